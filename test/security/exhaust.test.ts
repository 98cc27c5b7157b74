// Guests that want ever more of one thing (exhaust.c), or make long calls (turns.c), each in a container of its own of one pod:
// they get Linux's own errors at the limit. Meanwhile the sentry answers whoever asks from outside, another container runs
// programs, and the host has what it had: the sandbox's memory and processes are bounded.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { needsRoot, Pod } from './pod.ts';
import { compile, sharedDirectory } from './programs.ts';
import { assertGone } from './sandbox.ts';

let pod: Pod;
after(() => pod?.end()); // before its directories go
const directory = sharedDirectory();
const programs = sharedDirectory();
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

/** Under ptrace (npm run test:ptrace) each process that is made takes several times as long. */
const SLOWER = process.env.CLOISTER_PLATFORM === 'ptrace' ? 5 : 1;
/** Milliseconds in which the sentry is to answer, and a command line, which has to start Node on a busy machine. */
const SOON = 5000 * SLOWER;
const COMMAND_SOON = 20_000 * SLOWER;

before(() => {
  if (needsRoot) return;
  compile('exhaust', programs);
  compile('turns', programs);
  pod = new Pod(directory, programs);
  pod.start('other', ['sleep', '100000']);
});

/** Asks from outside until `done`: the longest times that it took, in ms. */
async function probe(done: () => boolean): Promise<{ readonly answers: number[]; readonly commands: number[] }> {
  const answers: number[] = [];
  const commands: number[] = [];
  const asked = (async () => {
    for (const args of [
      ['state', 'bomb'],
      ['kill', 'bomb', 'CONT'],
      ['exec', 'other', 'cat', '/etc/name'],
    ]) {
      const begin = performance.now();
      const { text } = await pod.ask(...args);
      // By then it may be over: nobody is left to be sent a signal.
      if (args[0] !== 'kill') assert.match(text, args[0] === 'exec' ? /^other\n$/ : /"id": *"bomb"/);
      commands.push(performance.now() - begin);
    }
  })();
  const end = performance.now() + 120_000;
  while (!done() && performance.now() < end) {
    answers.push(await pod.answer());
    await sleep(20);
  }
  await asked;
  return { answers, commands };
}

const worst = (times: readonly number[]): number => Math.ceil(Math.max(0, ...times));

/** Runs a program in a container while others ask; what it said. */
async function bomb(context: TestContext, args: readonly string[]): Promise<string> {
  const { pid } = pod.sentry();
  writeFileSync(`/proc/${pid}/clear_refs`, '5'); // VmHWM begins anew
  pod.start('bomb', args);
  const { answers, commands } = await probe(() => pod.hasEnded('bomb'));
  const memory = Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);
  context.diagnostic(
    `the sentry answered ${answers.length} times, at worst after ${worst(answers)} ms; state, kill and exec at worst after ${worst(commands)} ms; it had ${memory >> 10} MiB`,
  );
  assert.ok(worst(answers) < SOON);
  assert.ok(worst(commands) < COMMAND_SOON);
  assert.ok(memory < MOST_MEMORY, `${memory} KiB`);
  const said = pod.said('bomb');
  pod.succeed('delete', '--force', 'bomb');
  assert.equal(pod.state('pod').status, 'running');
  return said;
}

for (const [thing, expected] of THINGS) {
  test(`many ${thing}`, { skip: needsRoot }, async (context) => {
    assert.match(await bomb(context, ['/programs/exhaust', thing]), expected);
  });
}

test('long calls', { skip: needsRoot }, async (context) => {
  assert.match(await bomb(context, ['/programs/turns', '/tmp']), /\ngetrandom: \d+ \n$/);
});

test('a fork bomb is stopped by a limit and can be killed', { skip: needsRoot }, async (context) => {
  pod.start('bomb', ['/programs/exhaust', 'bomb']);
  let pids: number[] = [];
  const most = async (): Promise<void> => {
    for (let before = -1; before !== pids.length && pids.length < 2000; await sleep(500)) {
      before = pids.length;
      pids = pod.processes().map((process) => process.pid);
    }
  };
  let grown = false;
  const growing = most().then(() => {
    grown = true;
  });
  const { answers, commands } = await probe(() => grown);
  await growing;
  context.diagnostic(
    `${pids.length} host processes; the sentry answered at worst after ${worst(answers)} ms; state, kill and exec at worst after ${worst(commands)} ms`,
  );
  assert.ok(pids.length > 500 && pids.length < 4300, `${pids.length} host processes`);
  assert.ok(worst(answers) < SOON);
  const begin = performance.now();
  pod.succeed('kill', 'bomb', 'KILL');
  for (let tries = 0; tries < 1000 && !pod.hasEnded('bomb'); tries++) await sleep(20);
  context.diagnostic(`killed after ${Math.ceil(performance.now() - begin)} ms`);
  assert.equal(pod.state('bomb').status, 'stopped');
  pod.succeed('delete', '--force', 'bomb');
  assert.equal(pod.succeed('exec', 'other', 'cat', '/etc/name'), 'other\n');
  const ours = new Set(pod.processes().map((process) => process.pid));
  await assertGone(
    pids.filter((pid) => !ours.has(pid)),
    20_000,
  );
});
