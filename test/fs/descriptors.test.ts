// Descriptors of host files that nobody has open any more are kept for their next use, and large files in memory take one
// each; but never so many that there are none for other things.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CLOISTER } from '../cli/cloister.ts';

const FILES = 1500;
const directory = mkdtempSync(join(tmpdir(), 'descriptors-'));
after(() => rmSync(directory, { recursive: true }));

/** Runs a script in a sandbox whose sentry may have few descriptors; `$0` is the directory. */
function run(inside: string): string[] {
  const script = `ulimit -n 600 && exec "$0" do -- sh -c '${inside}' "$1"`;
  const { stdout, stderr } = spawnSync('sh', ['-c', script, CLOISTER, directory], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return stderr === '' ? stdout.split('\n') : [stderr];
}

test('more files are read than the sentry may open', () => {
  for (let i = 0; i < FILES; i++) writeFileSync(join(directory, String(i)), `${i}\n`);
  assert.deepEqual(run('cd "$0" && cat * | wc -l && ls | wc -l'), [String(FILES), String(FILES), '']);
});

test('more large files are made in memory than the sentry may open', () => {
  const make =
    'head -c 100000 /dev/zero >big && mkdir many && seq -f many/%g 700 | xargs -n 100 sh -c "tee \\$@ <big" tee';
  assert.deepEqual(run(`cd /dev/shm && ${make} >/dev/null && cat many/* | wc -c && ls many | wc -l`), [
    '70000000',
    '700',
    '',
  ]);
});
