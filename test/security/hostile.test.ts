// Guests that destroy or forge their stub, their slot and the doorbell (hostile.c), and processes that die on the host.
// Only the culprit may suffer: after each attack the same sandbox starts programs, and its shell is the one it was.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { compile, sharedDirectory } from './programs.ts';
import { assertGone, Sandbox } from './sandbox.ts';

const seed = Number(process.env.CLOISTER_SEED ?? Date.now() % 1_000_000);
/** How long slots and reports are made up, in a run of fuzzers. */
const seconds = Number(process.env.CLOISTER_FUZZ_SECONDS ?? 0);
const directory = sharedDirectory();
const program = compile('hostile', directory);
const forger = compile('forged', directory);

/** By which transport the tests are run (npm run test:ptrace). */
const traced = process.env.CLOISTER_PLATFORM === 'ptrace';

/** All the while the sentry looks whether what must hold of its data holds. */
process.env.CLOISTER_CHECK = '100';

const fresh = (): Sandbox => new Sandbox(['--bind', `${directory}:${directory}:ro`]);

describe('hostile guests', () => {
  let sandbox: Sandbox;
  /** What the last attack printed. */
  let said = '';
  before(() => {
    sandbox = fresh();
  });
  after(() => sandbox.end());

  const attack = (mode: string, ...expected: (string | RegExp)[]): Promise<void> => run(program, mode, expected);

  async function run(attacker: string, mode: string, expected: readonly (string | RegExp)[]): Promise<void> {
    // Not with the shell's own input: a scribbled call reads, and with it takes the commands that follow.
    const { output, status } = await sandbox.run(`${attacker} ${mode} </dev/null; kill -0 $$`, 60_000 + 5000 * seconds);
    for (const line of expected) {
      if (typeof line === 'string')
        assert.ok(output.includes(`${line}\n`), `${line} is missing (seed ${seed}):\n${output}`);
      else assert.match(output, line, `seed ${seed}`);
    }
    assert.equal(status, 0, `${output}\nseed ${seed}`);
    await sandbox.assertWell();
    assert.doesNotMatch(sandbox.errors, /bug|invariant/);
    said = output;
  }

  test('a stub that its program unmaps, overwrites, garbles', () =>
    attack(
      `destroy ${seed}`,
      /^unmap the stub: signal \d+$/m,
      /^overwrite the stub: signal \d+$/m,
      'unmap the slot: signal 9',
      'unmap the blocks: signal 9',
      'garble the block: signal 9',
      /^unmap everything: signal (9|11)$/m,
      // Under ptrace it cannot have children any more, and waits for one in vain.
      traced ? /^close all descriptors: (exit [45]|signal 9)$/m : /^close all descriptors: exit [45]$/m,
    ));

  test('a slot that another thread scribbles on while calls are made', () =>
    attack(`scribble ${seed} ${Math.max(8, seconds / 1.5)}`, 'scribbled'));

  test("rings for others' slots, for no slots, with wrong numbers", () => attack('rings', 'refused everywhere'));

  test('a ring that is repeated', () => attack('replay', /^replayed rings: /m));

  test('reports that no honest stub makes', () => attack(`forge ${seed} ${Math.max(12, seconds)}`, 'forged'));

  test('words of the hand-over, of own answers, and orders that change meanwhile', () =>
    run(forger, `words ${seed}`, ['forged']));

  test('a window that is not what the sentry takes it for, and reports of reads that were not ordered', () =>
    run(forger, `window ${seed}`, ['0 ways to write', 'forged']));

  test('every host call from the addresses of the stub, by int 0x80, as x32, by vsyscall, and from a thread of its own', () =>
    run(forger, `calls ${seed}`, ['forged']));

  test('threads that the sentry has not made', () => attack('rogue-threads', 'rogue threads rang in vain'));

  test('a process that the sentry has not made, with the slot of its maker', () =>
    attack('rogue-process', /^a rogue process beside: /m));

  test('a thread that says hello in the name of children', () => attack('steal', /^stolen hellos: /m));

  test('a child that is ordered and never made', async () => {
    await attack('lost-child', 'a child that never came: signal 9', /^left behind: \d+$/m);
    const left = /^left behind: (\d+)$/m.exec(said)?.[1];
    const { output } = await sandbox.run(
      `for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 ${left} 2>/dev/null || { echo gone; break; }; sleep 0.5; done`,
    );
    assert.equal(output, 'gone\n', 'the child of a parent that died stays for ever');
  });

  test('ends by the exit calls of the stub', () =>
    attack(
      'deaths',
      'exit_group in the stub: signal 9',
      'a thread that ends in the stub: exit 5',
      'a leader that ends in the stub: exit 6',
      'exec beside it: exit 0',
    ));

  test('SIGKILL ends what no host signal reaches', async () => {
    await sandbox.run(`${program} deaf > /tmp/deaf & victim=$!; while ! grep -q deaf /tmp/deaf; do sleep 0.05; done`);
    const { output } = await sandbox.run('kill -9 $victim; wait $victim; echo "ended $?"', 10_000);
    assert.match(output, /ended 137\n/);
    await sandbox.assertWell();
  });
});

test('processes made past the sentry are bounded, and end with the sandbox', async () => {
  const sandbox = fresh();
  await sandbox.assertWell();
  const { output } = await sandbox.run(`${program} rogue-bomb`);
  assert.match(output, /the host refused after some: -11\n/);
  const { output: shell } = await sandbox.run('echo "the shell lives"');
  assert.equal(shell, 'the shell lives\n');
  const pids = sandbox.processes().map(({ pid }) => pid);
  assert.ok(pids.length < 4300, `${pids.length} host processes`);
  assert.equal(await sandbox.end(), 42);
  await assertGone(pids, 20_000);
});

test('a guest process killed on the host is a program killed by SIGKILL', async () => {
  const sandbox = fresh();
  await sandbox.run('sleep 1000 & victim=$!; cat </dev/zero >/dev/null & busy=$!; sleep 0.3');
  for (const [name, variable] of [
    ['sleep', 'victim'],
    ['cat', 'busy'],
  ]) {
    const victim = sandbox.guests().find(({ pid }) => new RegExp(`/${name}$`, 'm').test(maps(pid)));
    assert.ok(victim, `no host process runs ${name}`);
    process.kill(victim.pid, 'SIGKILL');
    const { output } = await sandbox.run(`wait $${variable}; echo "ended $?"`, 10_000);
    assert.match(output, /ended 137\n/);
    await sandbox.assertWell();
  }
  assert.equal(await sandbox.end(), 42);
});

function maps(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/maps`, 'latin1');
  } catch {
    return '';
  }
}

test('blanks killed on the host are replaced', async () => {
  const sandbox = fresh();
  await sandbox.assertWell();
  for (let round = 0; round < 3; round++) {
    const guests = sandbox.guests();
    const zygote = guests[0]?.pid;
    const blanks = guests.filter(
      ({ pid, parent }) => parent === zygote && !/ \//.test(maps(pid).replace(/ \/memfd:.*/g, '')),
    );
    assert.ok(blanks.length > 0, 'no blanks found');
    for (const { pid } of blanks) process.kill(pid, 'SIGKILL');
    await sandbox.assertWell();
    await sleep(50);
  }
  assert.equal(await sandbox.end(), 42);
});

test('a zygote killed on the host ends the sandbox', async () => {
  const sandbox = fresh();
  await sandbox.assertWell();
  const guests = sandbox.guests();
  const pids = sandbox.processes().map(({ pid }) => pid);
  process.kill((guests[0] as { pid: number }).pid, 'SIGKILL');
  assert.equal(await sandbox.ended(), 137);
  await assertGone(pids);
});

test('when the sentry is killed, all guests go with it', async () => {
  const sandbox = fresh();
  await sandbox.run('sleep 1000 & sh -c "while :; do :; done" & sleep 0.2');
  const pids = sandbox.processes().map(({ pid }) => pid);
  assert.ok(sandbox.guests().length > 3);
  process.kill(sandbox.sentry().pid, 'SIGKILL');
  assert.equal(await sandbox.ended(), 137);
  await assertGone(pids);
});
