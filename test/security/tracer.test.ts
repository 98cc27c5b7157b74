// A hostile tracer (tracer.c): whatever it asks for and does to its tracees, the sentry lives on and no handler throws.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cloister } from '../cli/cloister.ts';
import { compile, sharedDirectory } from './programs.ts';

const program = compile('tracer', sharedDirectory());
const seed = Number(process.env.CLOISTER_SEED ?? Date.now() % 1_000_000);

test(`any requests on tracees in any state (seed ${seed})`, () => {
  const command = ['sh', '-c', '"$0" "$@"; exit $?', program, String(seed), '4'];
  const { status, stdout, stderr } = cloister(['--debug', 'do', '--', ...command]);
  assert.equal(stdout, 'done\n', stderr);
  assert.equal(status, 0);
  assert.doesNotMatch(stderr, /bug in|sentry was killed/);
});
