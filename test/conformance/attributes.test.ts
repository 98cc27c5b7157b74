// A C program that makes every call on ids, limits, scheduling, clocks and timers, also with bad arguments: what it
// prints in a sandbox must be what it prints on the host.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cloister } from '../cli/cloister.ts';

const PARTS = [
  'sessions',
  'limits',
  'priorities',
  'scheduling',
  'options',
  'clocks',
  'interval_timers',
  'posix_timers',
  'waiting',
  'usage',
  'profiling',
];

const isRoot = process.getuid?.() === 0;

describe('calls on a process and its attributes', { skip: !isRoot && 'compares with what root may do' }, () => {
  let directory = '';
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'attributes-'));
    const source = join(import.meta.dirname, 'attributes.c');
    execFileSync('cc', ['-O1', '-pthread', '-o', join(directory, 'attributes'), source]);
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  for (const part of PARTS) {
    test(part, () => {
      const program = join(directory, 'attributes');
      const native = execFileSync(program, [part], { encoding: 'utf8' });
      const inside = cloister(['do', '--', program, part]);
      assert.deepEqual(inside.stdout.split('\n'), native.split('\n'), inside.stderr);
      assert.equal(inside.status, 0);
    });
  }
});
