// Text whose call sites were patched, and that is unmapped, written to, moved or looked at (replaced.c): the program gets
// the same answers as natively, and sees what it wrote, whichever way its calls take.

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
  directory = mkdtempSync(join(tmpdir(), 'cloister-replaced-'));
  chmodSync(directory, 0o755);
  program = join(directory, 'replaced');
  execFileSync('cc', ['-O2', '-static', '-pthread', join(import.meta.dirname, 'replaced.c'), '-o', program]);
});

after(() => rmSync(directory, { recursive: true }));

function inSandbox(way: readonly string[], ...args: string[]): { readonly stdout: string; readonly stderr: string } {
  const command = ['do', ...way, '--stats', '--bind', `${directory}:${directory}:ro`, '--', program, ...args];
  return spawnSync(CLOISTER, command, { encoding: 'utf8', timeout: 120_000, killSignal: 'SIGKILL' });
}

for (const way of [[], ['--spin', 'off']]) {
  test(`text that was patched gives way to other code, ${way.join(' ') || 'by default'}`, () => {
    const expected = execFileSync(program, { encoding: 'utf8' });
    assert.doesNotMatch(expected, /[1-9]\d* wrong/);
    const { stdout, stderr } = inSandbox(way);
    assert.equal(stdout, expected, stderr);
  });
}

test('such text is patched', () => {
  assert.equal(inSandbox([], 'patched').stdout, '4 sites are patched\n');
  assert.equal(inSandbox(['--no-patch'], 'patched').stdout, '0 sites are patched\n');
});

test('places in the tables are given to others when their text is gone', () => {
  const { stdout, stderr } = inSandbox([], 'crowd');
  assert.equal(stdout, 'crowd: 0 wrong\n');
  // Of 3 times 2048 sites and one page each has trapped six times; without room a third of them would have 16 times.
  assert.ok(Number(/of them by a trap: (\d+)/.exec(stderr)?.[1]) < 45_000, stderr);
});
