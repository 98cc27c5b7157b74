// A C program that writes to what runs and runs what is written to, and looks at its locks: natively, and in a sandbox
// on an overlay, a tmpfs and a bound directory of the host. All must print the same.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cloister } from '../cli/cloister.ts';

const PARTS = ['running', 'executing', 'locks'];

describe('text that runs, and locks', () => {
  const directory = mkdtempSync(join(tmpdir(), 'busy-'));
  const program = join(directory, 'busy');
  before(() => execFileSync('cc', ['-O1', '-o', program, join(import.meta.dirname, 'busy.c')]));
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
