// Thousands of mutated ELF files and scripts executed in one sandbox (loader.c): each ends in an errno or a death, the
// sentry neither crashes nor hangs. CLOISTER_SEED repeats a run.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile, sharedDirectory } from './programs.ts';
import { Sandbox } from './sandbox.ts';

const seed = Number(process.env.CLOISTER_SEED ?? Date.now() % 1_000_000);
/** Some hundreds a second. */
const ROUNDS = 2500 + 100 * Number(process.env.CLOISTER_FUZZ_SECONDS ?? 0);

const directory = sharedDirectory();
const program = compile('loader', directory);

test(`mutated programs (seed ${seed})`, async () => {
  const sandbox = new Sandbox(['--bind', `${directory}:${directory}:ro`]);
  await sandbox.run('mkdir /tmp/mutants && chmod 777 /tmp/mutants');
  const { output, status } = await sandbox.run(`${program} ${seed} ${ROUNDS} /tmp/mutants`, 60_000 + 50 * ROUNDS);
  assert.equal(status, 0, output);
  const [, ran, refused, killed] =
    /^\d+ mutants: (\d+) ran, (\d+) were refused, (\d+) were killed\n$/.exec(output) ?? [];
  for (const count of [ran, refused, killed]) assert.ok(Number(count) > ROUNDS / 20, output);
  await sandbox.assertWell();
  assert.doesNotMatch(sandbox.errors, /bug/);
  assert.equal(await sandbox.end(), 42);
});
