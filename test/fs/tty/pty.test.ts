// Pseudo-terminals as programs use them: one script, natively and in a sandbox, prints the same.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cloister } from '../../cli/cloister.ts';

const SCRIPT = readFileSync(join(import.meta.dirname, 'pty-guest.py'), 'utf8');

const noPython = spawnSync('python3', ['--version']).status !== 0 && 'python3 plays the guest';

test('sessions, signals, timers and packets of a pty', { skip: noPython }, () => {
  const native = spawnSync('python3', ['-'], { input: SCRIPT, encoding: 'utf8', timeout: 60_000 });
  const boxed = cloister(['do', 'python3', '-'], { input: SCRIPT });
  assert.deepEqual([native.status, native.stderr], [0, '']);
  assert.deepEqual([boxed.status, boxed.stderr], [0, '']);
  assert.deepEqual(boxed.stdout.split('\n'), native.stdout.split('\n'));
});
