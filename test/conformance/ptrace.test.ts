// Tracing (ptrace(2)): what a tracer sees is the same natively and in a sandbox, and no thread of a busy process is lost
// to a tracer that comes and goes.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cloister } from '../cli/cloister.ts';

const [major, minor] = release().split('.').map(Number);
/** The host must have the request (PTRACE_SET_SYSCALL_INFO) to be compared with. */
const young = major > 6 || (major === 6 && minor >= 16);

/** By program (ptrace-NAME.c), the parts it can be asked for. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  calls: ['calls', 'changes', ...(young ? ['info'] : []), 'emulation', 'filters'],
  signals: ['signals', 'siginfo', 'groups', 'restarts'],
  state: ['steps', 'vectors', 'watches', 'text'],
  life: ['events', 'seize', 'attach', 'ends', 'errors', 'status'],
};

describe('tracing', () => {
  let directory = '';
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'ptrace-'));
    for (const name of [...Object.keys(PROGRAMS).map((topic) => `ptrace-${topic}`), 'tracer-storm']) {
      const source = join(import.meta.dirname, `${name}.c`);
      execFileSync('cc', ['-O1', '-pthread', '-o', join(directory, name), source]);
    }
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  for (const [topic, parts] of Object.entries(PROGRAMS)) {
    for (const part of parts) {
      test(part, () => {
        const program = join(directory, `ptrace-${topic}`);
        const native = execFileSync(program, [part], { encoding: 'utf8' });
        assert.notEqual(native, '', 'there is no such part');
        // Not as the first process: that one gets no signals from others that it does not handle.
        const inside = cloister(['do', '--', 'sh', '-c', '"$0" "$1"; exit $?', program, part]);
        assert.deepEqual(inside.stdout.split('\n'), native.split('\n'), inside.stderr);
        assert.equal(inside.status, 0);
      });
    }
  }

  test('storm', () => {
    const inside = cloister(['do', '--', join(directory, 'tracer-storm'), '4']);
    assert.match(inside.stdout, /^(?:thread \d works\n){7}4 rounds, then 9\n$/, inside.stderr);
  });
});
