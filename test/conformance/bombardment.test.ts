// Signals at any moment: a program that is bombarded with them in tight loops of calls loses none and sees no call end
// otherwise than it may, in the sandbox as on the host.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { cloister } from '../cli/cloister.ts';

let directory = '';
let program = '';

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'bombardment-'));
  program = join(directory, 'bombardment');
  execFileSync('cc', ['-O1', '-pthread', '-o', program, join(import.meta.dirname, 'bombardment.c')]);
});

after(() => rmSync(directory, { recursive: true, force: true }));

test('every signal is taken once, wherever it finds the program', () => {
  const native = execFileSync(program, { encoding: 'utf8' });
  assert.match(native, /^(\w+: 4000 taken, 0 wrong, sum -?\d+\n){9}$/);
  const inside = cloister(['do', '--', program]);
  assert.equal(inside.stdout, native, inside.stderr);
  assert.equal(inside.status, 0);
});
