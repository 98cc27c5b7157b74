// Processes that make random calls on pipes, sockets and their kin, with threads and signals, and are killed in the
// midst of it (churn.c): nobody dies of anything else, and the sandbox lives on.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const CLOISTER = join(import.meta.dirname, '../../bin/cloister');

test('killed in the midst of everything', (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'cloister-churn-'));
  context.after(() => rmSync(directory, { recursive: true }));
  chmodSync(directory, 0o755);
  const program = join(directory, 'churn');
  const source = join(import.meta.dirname, 'churn.c');
  execFileSync('cc', ['-O1', '-Wall', '-Werror', '-static', '-pthread', source, '-o', program]);
  const args = ['do', '--bind', `${directory}:${directory}:ro`, '--', program, '6', '12'];
  const { stdout, stderr, status } = spawnSync(CLOISTER, args, { encoding: 'utf8', timeout: 120_000 });
  assert.equal(stdout, '0 ended badly\n', `status ${status}: ${stderr}`);
});
