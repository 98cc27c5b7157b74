// Descriptors of host files that nobody has open any more are kept for their next use, but never so many that there are
// none for other things.

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

test('more files are read than the sentry may open', () => {
  for (let i = 0; i < FILES; i++) writeFileSync(join(directory, String(i)), `${i}\n`);
  const inside = 'cd "$0" && cat * | wc -l && ls | wc -l';
  const script = `ulimit -n 600 && exec "$0" do -- sh -c '${inside}' "$1"`;
  const { stdout, stderr } = spawnSync('sh', ['-c', script, CLOISTER, directory], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.deepEqual(stdout.split('\n'), [String(FILES), String(FILES), ''], stderr);
});
