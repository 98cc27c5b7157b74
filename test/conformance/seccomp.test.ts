// A C program that uses seccomp in every way, natively and in a sandbox: both must print the same.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cloister } from '../cli/cloister.ts';

const PARTS = ['actions', 'strict', 'filters', 'arithmetic', 'tasks'];

const isRoot = process.getuid?.() === 0;

describe('seccomp', { skip: !isRoot && 'compares with what root may do' }, () => {
  let directory = '';
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'seccomp-'));
    const source = join(import.meta.dirname, 'seccomp.c');
    execFileSync('cc', ['-O1', '-pthread', '-o', join(directory, 'seccomp'), source]);
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  for (const part of PARTS) {
    test(part, () => {
      const program = join(directory, 'seccomp');
      const native = execFileSync(program, [part], { encoding: 'utf8' });
      const inside = cloister(['do', '--', program, part]);
      assert.deepEqual(inside.stdout.split('\n'), native.split('\n'), inside.stderr);
      assert.equal(inside.status, 0);
    });
  }
});
