// The register storm (storm.c): the same natively and in the sandbox.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

const top = join(import.meta.dirname, '../..');
let directory: string;
let storm: string;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'cloister-storm-'));
  chmodSync(directory, 0o755);
  storm = join(directory, 'storm');
  const wide = readFileSync('/proc/cpuinfo', 'latin1').includes(' avx512f ') ? ['-mavx512f'] : [];
  // The vector registers of the loop are the program's own: the compiler must not use them.
  const flags = ['-O1', '-static', '-fno-tree-vectorize', '-fcf-protection=none', ...wide];
  execFileSync('cc', [...flags, join(import.meta.dirname, 'storm.c'), '-o', storm]);
});

after(() => rmSync(directory, { recursive: true }));

test('registers, red zone and vectors survive a storm of signals natively', () => {
  assert.equal(
    execFileSync(storm, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    '3000 signals, 0 of the calls bad\n',
  );
});

test('registers, red zone and vectors survive a storm of signals in the sandbox', () => {
  const args = ['do', '--bind', `${directory}:${directory}:ro`, '--', storm];
  const { stdout, stderr } = spawnSync(join(top, 'bin/cloister'), args, { encoding: 'utf8', timeout: 60_000 });
  assert.equal(stdout, '3000 signals, 0 of the calls bad\n', stderr);
});
