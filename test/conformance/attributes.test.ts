// C programs that make every call on ids, limits, scheduling, clocks and timers, also with bad arguments: what they
// print in a sandbox must be what they print on the host.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cloister } from '../cli/cloister.ts';

/** By program, the parts it can be asked for. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  attributes: ['sessions', 'limits', 'priorities', 'scheduling', 'options'],
  times: ['clocks', 'interval_timers', 'posix_timers', 'waiting', 'usage', 'profiling'],
};

const isRoot = process.getuid?.() === 0;

describe('calls on a process and its attributes', { skip: !isRoot && 'compares with what root may do' }, () => {
  let directory = '';
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'attributes-'));
    for (const name of Object.keys(PROGRAMS)) {
      execFileSync('cc', ['-O1', '-pthread', '-o', join(directory, name), join(import.meta.dirname, `${name}.c`)]);
    }
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  for (const [name, parts] of Object.entries(PROGRAMS)) {
    for (const part of parts) {
      test(part, () => {
        const program = join(directory, name);
        const native = execFileSync(program, [part], { encoding: 'utf8' });
        assert.notEqual(native, '', 'there is no such part');
        const inside = cloister(['do', '--', program, part]);
        assert.deepEqual(inside.stdout.split('\n'), native.split('\n'), inside.stderr);
        assert.equal(inside.status, 0);
      });
    }
  }
});
