// A C program that watches files while it does everything to them, natively and in a sandbox, on an overlay, a tmpfs
// and a bound directory of the host: all must print the same.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cloister } from '../cli/cloister.ts';

const PARTS = ['files', 'directories', 'moves', 'masks', 'reading', 'copies'];

const isRoot = process.getuid?.() === 0;

describe('inotify', { skip: !isRoot && 'compares with what root may do' }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'inotify-'));
  const program = join(directory, 'inotify');
  before(() => execFileSync('cc', ['-O1', '-o', program, join(import.meta.dirname, 'inotify.c')]));
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

  test('a file system goes', () => {
    const { stdout } = cloister(['do', '--cwd', fresh(), '--', program, 'unmounts']);
    const events = stdout.split('unmounted, ')[1].split('\n').slice(1, -1);
    assert.deepEqual(events.slice(-4), ['  2 UNMOUNT', '  2 IGNORED', '  1 UNMOUNT ISDIR', '  1 IGNORED']);
  });
});
