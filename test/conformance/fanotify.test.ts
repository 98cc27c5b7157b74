// fanotify(7) and file handles: a C program that marks files, does everything to them and reads the events, natively and
// in a sandbox, on an overlay, a tmpfs and a bound directory of the host: all must print the same.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cloister } from '../cli/cloister.ts';

const PARTS = ['descriptors', 'names', 'permission', 'ignoring', 'flags', 'handles'];

const isRoot = process.getuid?.() === 0;

describe('fanotify', { skip: !isRoot && 'compares with what root may do' }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'fanotify-'));
  const program = join(directory, 'fanotify');
  before(() => execFileSync('cc', ['-O1', '-o', program, join(import.meta.dirname, 'fanotify.c')]));
  after(() => rmSync(directory, { recursive: true, force: true }));

  function fresh(): string {
    const path = join(directory, 'work');
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path);
    return path;
  }

  for (const part of PARTS) {
    test(part, () => {
      const native = execFileSync(program, [part], { encoding: 'utf8', cwd: fresh() });
      const places = [
        ['--cwd', fresh()],
        ['--cwd', '/dev/shm'],
        ['--bind', `${fresh()}:/mnt`, '--cwd', '/mnt'],
      ];
      for (const place of places) {
        const inside = cloister(['do', ...place, '--', program, part]);
        assert.deepEqual(inside.stdout.split('\n'), native.split('\n'), `${place.join(' ')}: ${inside.stderr}`);
        assert.equal(inside.status, 0);
      }
    });
  }
});
