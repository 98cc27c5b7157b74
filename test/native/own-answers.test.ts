// Answers that the stub gives by itself: ids (own-answers.c) and the signal mask (own-mask.c). They are the same as
// natively, and under --strace none is given.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

const CLOISTER = join(import.meta.dirname, '../../bin/cloister');
let directory: string;
let program: string;
let masks: string;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'cloister-own-'));
  chmodSync(directory, 0o755);
  program = join(directory, 'own');
  masks = join(directory, 'masks');
  execFileSync('cc', ['-O2', '-pthread', join(import.meta.dirname, 'own-answers.c'), '-o', program]);
  execFileSync('cc', ['-O2', '-pthread', join(import.meta.dirname, 'own-mask.c'), '-o', masks]);
});

after(() => rmSync(directory, { recursive: true }));

function inSandbox(options: readonly string[], tested = program): { readonly stdout: string; readonly stderr: string } {
  // Below a shell that stays: its parent is then a process of the sandbox, as natively.
  const command = ['sh', '-c', `${tested}; exit $?`];
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

for (const way of [[], ['--spin', 'off'], ['--strace']]) {
  test(`no signal is lost while the stub changes the mask, ${way.join(' ') || 'by default'}`, () => {
    const { stdout, stderr } = inSandbox([...way, '--stats'], masks);
    assert.equal(stdout, execFileSync(masks, { encoding: 'utf8' }));
    const alone = Number(/own threads: (\d+)/.exec(stderr)?.[1]);
    assert.ok(way.includes('--strace') ? alone === 0 : alone > 2000, stderr.slice(-2000));
  });
}

test('a filter that judges none of these calls leaves them to the stub', () => {
  const { stdout, stderr } = inSandbox(['--stats'], `${program} filter`);
  assert.equal(stdout.split('filtered').length, 11);
  assert.ok(Number(/own threads: (\d+)/.exec(stderr)?.[1]) > 10_000, stderr);
});

test('with --strace every call is seen', () => {
  const { stderr } = inSandbox(['--strace']);
  // 200 rounds in each of nine states; the shell asks too.
  assert.ok([...stderr.matchAll(/ getegid\(\) += /g)].length >= 9 * 200);
});
