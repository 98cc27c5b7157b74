// Guests that want ever more of one thing (exhaust.c): they get Linux's own errors at the limit, and meanwhile and
// afterwards the sandbox serves others.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { compile, sharedDirectory } from './programs.ts';
import { assertGone, Sandbox } from './sandbox.ts';

const directory = sharedDirectory();
const program = compile('exhaust', directory);
/** KiB that the sentry may come to need, whatever a guest does. */
const MOST_MEMORY = 1 << 20;

const THINGS: readonly (readonly [string, RegExp])[] = [
  ['files', /^files: 200000, enough\n$/],
  ['pipes', /^pipes: 20000, enough\n$/],
  ['sockets', /^socket pairs: 2000, enough\n$/],
  ['epoll', /^epoll items: 150000, enough\n$/],
  ['timers', /^timers: \d+, EAGAIN\n$/],
  ['signals', /^queued signals: \d+, EAGAIN\n$/],
  ['arguments', /^arguments: \d{7}, E2BIG\n$/],
  ['deep', /^deep directories: 20000, enough\n$/],
  ['names', /^names: 100000, enough\n$/],
  ['watches', /^watches: \d+, (ENOSPC|enough)\n$/],
  ['mappings', /^mappings: \d+, ENOMEM\n$/],
  ['locks', /^locks: 5000, enough\n$/],
  ['datagrams', /^datagram sockets: 4000, enough\nbounded\n$/],
  ['links', /^links: \d{5}, ENOSPC\n$/],
  ['listings', /^names: 100000, enough\nlistings: 41, ENOMEM\n$/],
  ['attributes', /^attributes: \d{4}, ENOSPC\n$/],
];

const start = (): Sandbox => new Sandbox(['--bind', `${directory}:${directory}:ro`]);

for (const [thing, expected] of THINGS) {
  test(`many ${thing}`, async () => {
    const sandbox = start();
    await sandbox.run(`${program} ${thing} > /tmp/report & victim=$!; true`);
    await sandbox.assertWell();
    const { output } = await sandbox.run('wait $victim; cat /tmp/report', 120_000);
    assert.match(output, expected, sandbox.errors);
    const memory = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${sandbox.sentry().pid}/status`, 'latin1'))?.[1];
    assert.ok(Number(memory) < MOST_MEMORY, `${memory} KiB`);
    await sandbox.assertWell();
    assert.doesNotMatch(sandbox.errors, /bug/);
    assert.equal(await sandbox.end(), 42);
  });
}

test('a fork bomb is stopped by a limit and can be killed', async () => {
  const sandbox = start();
  await sandbox.run(`${program} bomb & victim=$!`);
  let pids: number[] = [];
  for (let i = 0; i < 300 && pids.length < 2000; i++) {
    await sleep(100);
    pids = sandbox.processes().map(({ pid }) => pid);
    // The shell may not be able to start a program now, but it has commands of its own.
    await sandbox.run('true', process.env.CLOISTER_PLATFORM === 'ptrace' ? 60_000 : 10_000);
  }
  assert.ok(pids.length > 500 && pids.length < 4300, `${pids.length} host processes`);
  await sandbox.run('kill -9 -$victim; wait $victim', 60_000);
  await sandbox.assertWell();
  assert.equal(await sandbox.end(), 42);
  await assertGone(pids, 20_000);
});
