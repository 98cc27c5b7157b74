// Answers that the stub gives by itself (own-answers.c): the same as natively, and none of them under --strace.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

const CLOISTER = join(import.meta.dirname, '../../bin/cloister');
let directory: string;
let program: string;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'cloister-own-'));
  chmodSync(directory, 0o755);
  program = join(directory, 'own');
  execFileSync('cc', ['-O2', '-pthread', join(import.meta.dirname, 'own-answers.c'), '-o', program]);
});

after(() => rmSync(directory, { recursive: true }));

function inSandbox(options: readonly string[]): { readonly stdout: string; readonly stderr: string } {
  // Below a shell that stays: its parent is then a process of the sandbox, as natively.
  const command = ['sh', '-c', `${program}; exit $?`];
  const args = ['do', ...options, '--bind', `${directory}:${directory}:ro`, '--', ...command];
  return spawnSync(CLOISTER, args, { encoding: 'utf8', timeout: 60_000, killSignal: 'SIGKILL', maxBuffer: 1 << 28 });
}

for (const way of [[], ['--no-patch'], ['--spin', 'off']]) {
  test(`ids answered by the stub follow every change, ${way.join(' ') || 'by default'}`, () => {
    const { stdout, stderr } = inSandbox([...way, '--stats']);
    assert.equal(stdout, execFileSync(program, { encoding: 'utf8' }));
    const own = /own threads: (\d+)/.exec(stderr);
    assert.ok(Number(own?.[1]) > 5000, stderr);
  });
}

test('with --strace every call is seen', () => {
  const { stderr } = inSandbox(['--strace']);
  // 200 rounds in each of nine states; the shell asks too.
  assert.ok([...stderr.matchAll(/ getegid\(\) += /g)].length >= 9 * 200);
});
