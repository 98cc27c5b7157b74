// The console as a job of the caller's shell: in the background it leaves the terminal alone, writes to it, stops when
// it reads, and goes on in the foreground. The terminal is tmux's.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CLOISTER } from '../../cli/cloister.ts';

const SOCKET = `cloister-console-${process.pid}`;
const PATIENCE_MS = 10_000;

function tmux(...args: string[]): string {
  return execFileSync('tmux', ['-L', SOCKET, ...args], { encoding: 'utf8' });
}

/** Types, and waits until the screen matches. */
async function type(keys: readonly string[], wanted: RegExp): Promise<void> {
  if (keys.length > 0) tmux('send-keys', ...keys);
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const screen = tmux('capture-pane', '-p').trimEnd();
    if (wanted.test(screen)) return;
    assert.ok(Date.now() < deadline, `the screen never showed ${wanted}:\n${screen}`);
    await sleep(20);
  }
}

const able = spawnSync('tmux', ['-V']).status === 0 && spawnSync('bash', ['--version']).status === 0;
const skip = !able && 'tmux and bash are needed';

const UNTIL_STOPPED = 'until jobs | grep -q Stopped; do sleep .1; done; echo is stopped';

before(() => {
  if (able) tmux('-f', '/dev/null', 'new-session', '-d', '-x', '90', '-y', '24', "PS1='ready> ' bash --norc");
});
after(() => {
  if (able) spawnSync('tmux', ['-L', SOCKET, 'kill-server']);
});

test('a background job writes, and leaves the shell its terminal', { skip }, async () => {
  await type([], /ready>$/);
  await type([`${CLOISTER} do sh -c 'sleep 1; echo from inside; sleep 1' &`, 'Enter'], /\[1\] \d+\nready>$/);
  await type(['echo typed $((1 + 1))', 'Enter'], /\ntyped 2\n/);
  await type([], /from inside/);
  await type(['stty -a | grep -o .icanon', 'Enter'], /\n icanon|\nicanon/);
  await type(['wait; clear', 'Enter'], /^ready>$/);
});

test('it stops when it reads, and goes on in the foreground', { skip }, async () => {
  await type([`${CLOISTER} do cat &`, 'Enter'], /ready>/);
  await type([UNTIL_STOPPED, 'Enter'], /\nis stopped\n/);
  await type(['clear; fg', 'Enter'], /do cat$/);
  await type(['hello', 'Enter'], /\nhello\nhello$/);
  await type(['C-z'], /Stopped[^\n]*\nready>$/);
  await type(['bg', 'Enter'], /&\n(.*\n)*ready>$/);
  await type([`clear; ${UNTIL_STOPPED}`, 'Enter'], /is stopped\n(.*\n)*ready>$/);
  await type(['clear; fg', 'Enter'], /do cat$/);
  await type(['again', 'Enter'], /\nagain\nagain$/);
  await type(['C-d'], /\nready>$/);
  await type(['clear; stty -a | grep -o .icanon', 'Enter'], /icanon\nready>$/);
});
