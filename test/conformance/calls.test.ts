// C programs that make calls and print what these answer, also with bad arguments: what they print in a sandbox must be
// what they print on the host.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cloister } from '../cli/cloister.ts';

/** By program, the parts it can be asked for. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  aio: ['transfers', 'polls', 'refusals', 'waiting'],
  changes: ['mounts', 'cgroups', 'strings'],
  'device-programs': ['refusals', 'attachments', 'overriding', 'arithmetic'],
  'far-times': ['all'],
  files: [
    'mappings',
    'moving',
    'nodes',
    'mounts',
    'namespaces',
    'watching',
    'new_mounts',
    'numbers',
    'recursion',
    'corners',
    'bounds',
  ],
  futexes: ['locks', 'mutexes', 'deaths', 'moving', 'chains', 'several', 'hunted'],
  ipc: ['messages', 'semaphores', 'shared_memory', 'queues', 'mounted', 'chosen'],
  keys: ['adding', 'special', 'rights', 'linking', 'dying'],
  limits: ['limits', 'clocks'],
  memory: ['policies', 'locking', 'sealing', 'barriers', 'file_pages', 'modules'],
  namespaces: ['ids', 'names', 'files', 'networks', 'clocks', 'sharing'],
  options: ['all'],
  'pid-namespaces': ['numbers', 'inits'],
  sockets: ['streams', 'datagrams'],
  tasks: ['waiting', 'files', 'signals', 'memory', 'machine', 'cloning', 'execution', 'silent', 'altstack', 'orphans'],
};

const isRoot = process.getuid?.() === 0;

for (const [name, parts] of Object.entries(PROGRAMS)) {
  describe(`calls of ${name}.c`, { skip: !isRoot && 'compares with what root may do' }, () => {
    let directory = '';
    let program = '';
    before(() => {
      directory = mkdtempSync(join(tmpdir(), 'calls-'));
      program = join(directory, name);
      execFileSync('cc', ['-O1', '-pthread', '-o', program, join(import.meta.dirname, `${name}.c`)]);
    });
    after(() => rmSync(directory, { recursive: true, force: true }));

    for (const part of parts) {
      test(part, () => {
        // Mounts, queues and names are made where they harm nobody.
        const own = ['--mount', '--ipc', '--uts'];
        const native = execFileSync('unshare', [...own, '--', program, part], { encoding: 'utf8' });
        assert.notEqual(native, '', 'there is no such part');
        const inside = cloister(['do', '--', program, part]);
        assert.deepEqual(inside.stdout.split('\n'), native.split('\n'), inside.stderr);
        assert.equal(inside.status, 0);
      });
    }
  });
}
