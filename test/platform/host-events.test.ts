// Events of host descriptors, several at a time: what one of them does must not make another one's event somebody else's.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { POLLIN } from '../../src/abi/poll.ts';
import type { HostFd } from '../../src/base/brands.ts';
import { loadAddon } from '../../src/host/addon.ts';
import { deliverHostEvents, unwatchHostFd, watchHostFd } from '../../src/platform/host-events.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-events-'));
after(() => rmSync(scratch, { recursive: true }));
loadAddon(join(import.meta.dirname, '../../dist/cloister.node'));

/** A fifo that this process reads and writes. */
function fifo(name: string): HostFd {
  const path = join(scratch, name);
  execFileSync('mkfifo', [path]);
  return openSync(path, 'r+') as HostFd;
}

test('an event is not for whoever got the number of its descriptor meanwhile', () => {
  const first = fifo('first');
  const second = fifo('second');
  execFileSync('mkfifo', [join(scratch, 'third')]);
  const told: string[] = [];
  let third = -1 as HostFd;
  watchHostFd(first, POLLIN, {
    ready() {
      told.push('first');
      unwatchHostFd(first);
      unwatchHostFd(second);
      closeSync(second);
      third = openSync(join(scratch, 'third'), 'r+') as HostFd;
      watchHostFd(third, POLLIN, { ready: () => told.push('third') });
    },
  });
  watchHostFd(second, POLLIN, { ready: () => told.push('second') });
  writeSync(first, 'x');
  writeSync(second, 'x');
  deliverHostEvents();
  assert.equal(third, second);
  assert.deepEqual(told, ['first']);
  writeSync(third, 'x');
  deliverHostEvents();
  assert.deepEqual(told, ['first', 'third']);
  unwatchHostFd(third);
  closeSync(third);
  closeSync(first);
});
