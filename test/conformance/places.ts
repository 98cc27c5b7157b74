// A C program beside the tests, run natively and in a sandbox on an overlay, a tmpfs and a bound directory of the host:
// each of its parts must print the same everywhere.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { cloister } from '../cli/cloister.ts';

export interface Places {
  /** Path of the program, once the tests run. */
  readonly program: string;
  /** Path of an empty directory: the same each time. */
  fresh(): string;
}

/** Compiles `name`.c and defines a test for each of its parts; to be called in a describe(). */
export function sameInPlaces(name: string, parts: readonly string[]): Places {
  const directory = mkdtempSync(join(tmpdir(), `${name}-`));
  const program = join(directory, name);
  before(() => execFileSync('cc', ['-O1', '-o', program, join(import.meta.dirname, `${name}.c`)]));
  after(() => rmSync(directory, { recursive: true, force: true }));

  function fresh(): string {
    const path = join(directory, 'work');
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path);
    return path;
  }

  for (const part of parts) {
    test(part, () => {
      const native = execFileSync(program, [part], { encoding: 'utf8', cwd: fresh() });
      assert.notEqual(native, '', 'there is no such part');
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
  return { program, fresh };
}
