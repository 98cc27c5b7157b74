// What floods.c prints in a sandbox is what it prints natively, in a network of its own; and the sentry keeps nothing of
// them.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CLOISTER } from '../cli/cloister.ts';

const NATIVE = 'ip link set lo up && exec "$0"';

test('floods over the loopback', {
  skip: process.getuid?.() !== 0 && 'a network to flood natively is for root',
}, (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'floods-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const program = join(directory, 'floods');
  execFileSync('cc', ['-O1', '-Wall', '-Werror', '-o', program, join(import.meta.dirname, 'floods.c')]);
  const options = { encoding: 'utf8', timeout: 120_000 } as const;
  const native = spawnSync('unshare', ['-n', 'sh', '-c', NATIVE, program], options);
  const inside = spawnSync(CLOISTER, ['do', '--stats', '--', program], options);
  assert.deepEqual(inside.stdout.split('\n'), native.stdout.split('\n'));
  assert.match(native.stdout, /as before: abc\n$/);
  const [, heap = ''] = /objects, (\d+) KiB of heap/.exec(inside.stderr) ?? [];
  assert.ok(Number(heap) > 0 && Number(heap) < 32 << 10, inside.stderr);
});
