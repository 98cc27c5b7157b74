// Guests that want more of one thing than there is to be, by ways that a single process's limits do not see, or make one call
// take long (hoard.c): Linux's errors at the limit of the whole sandbox, no long turns, and what may not be written is not.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readlinkSync, statfsSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CLOISTER } from '../cli/cloister.ts';
import { compile, sharedDirectory } from './programs.ts';
import { Sandbox } from './sandbox.ts';
import { longTurns } from './turns.ts';

const directory = sharedDirectory();
const program = compile('hoard', directory);
/** Milliseconds of the CPU for one turn; the tables of what there are hundreds of thousands of are copied when they grow. */
const MOST = 150;

const THINGS: readonly (readonly [thing: string, said: RegExp])[] = [
  ['tables', /^tables: [5-9], ENOMEM\n$/],
  ['files', /^\/proc.*file-max: EINVAL\nfiles: 99\d\d, ENFILE\n$/],
  ['items', /^\/proc.*watches: EINVAL\nepoll items: 10000, ENOSPC\n$/],
  ['locks', /^locks: 32767, ENOLCK\n$/],
  ['keyrings', /^links of keyrings: 8000, enough\nlisted\n$/],
  ['filters', /^filters: 9\d\d, ENOMEM\n$/],
  ['groups', /^lists of groups: 6\d, ENOMEM\n$/],
  ['operations', /^operations: 60000, enough\nevents: 60000, enough\n0 wrong\n$/],
  ['signals', /^0 failed, not all kept\n$/],
  ['cgroups', /^cgroups: 60, enough\nprocesses: 299, EAGAIN\n$/],
  ['memfds', /^sizes: 0, enough\nmapped: 0, ENOMEM\nmapped: 1, enough\ngrown: -1, ENOMEM\ngrown: 0, enough\n$/],
  ['segments', /^segments: \d{4}, ENOSPC\n$/],
  ['segment', /^to be written: 1, EACCES\nto be read: 1, enough\nmade writable: -1, EACCES\n0 ways to write\n$/],
];

function run(args: readonly string[], options: readonly string[] = []): { said: string; statistics: string } {
  const command = ['do', '--stats', '--bind', `${directory}:${directory}:ro`, ...options, '--', program, ...args];
  const { stdout, stderr, status } = spawnSync(CLOISTER, command, { encoding: 'utf8', timeout: 120_000 });
  assert.equal(status, 0, stdout + stderr);
  assert.doesNotMatch(stderr, /bug/);
  return { said: stdout, statistics: stderr };
}

for (const [thing, said] of THINGS) {
  test(`too many, or too long: ${thing}`, () => {
    const result = run([thing]);
    assert.match(result.said, said, result.statistics);
    assert.deepEqual(longTurns(result.statistics, MOST), []);
  });
}

test('a file that an event brings open for writing is copied up in turns', () => {
  const file = join(sharedDirectory(), 'large');
  writeFileSync(file, Buffer.alloc(100 << 20));
  const { said, statistics } = run(['copied', file]);
  assert.equal(said, 'bytes of events: 24, enough\nwritten: 5, enough\n');
  assert.deepEqual(longTurns(statistics, 30), []);
});

test('the host bounds what is mapped of files in memory', async () => {
  const sandbox = new Sandbox(['--bind', `${directory}:${directory}:ro`]);
  await sandbox.run(`${program} memory >/tmp/said & victim=$!; while ! grep -q bytes /tmp/said; do sleep 0.05; done`);
  assert.equal((await sandbox.run('cat /tmp/said')).output, `holes: 3, enough\n${2 ** 45} bytes, removed\n`);
  // Each is a file without a name in a tmpfs of the sandbox's own, which is no larger than half of the machine's memory.
  const descriptors = `/proc/${sandbox.sentry().pid}/fd`;
  const sizes = readdirSync(descriptors)
    .map((fd) => join(descriptors, fd))
    .filter((fd) => /^\/#\d+ \(deleted\)$/.test(readlinkSync(fd)))
    .map((fd) => statfsSync(fd))
    .map(({ blocks, bsize }) => blocks * bsize);
  assert.ok(sizes.length >= 2, `${sizes.length} files`);
  for (const size of sizes) assert.ok(size > 0 && size <= totalmem() / 2, `${size} bytes`);
  await sandbox.run('kill -9 $victim; wait $victim');
  await sandbox.assertWell();
  assert.equal(await sandbox.end(), 42);
});
