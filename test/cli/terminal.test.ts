// `cloister do` at a terminal: it stays one, with its size, its line discipline, ^C, ^Z and job control. The terminal is
// tmux's, so that keys and screen are a person's.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CLOISTER } from './cloister.ts';

const SOCKET = `cloister-test-${process.pid}`;
const PATIENCE_MS = 10_000;

function tmux(...args: string[]): string {
  return execFileSync('tmux', ['-L', SOCKET, ...args], { encoding: 'utf8' });
}

function screen(): string {
  return tmux('capture-pane', '-p').trimEnd();
}

/** Types a line, or a key like `C-c`, and waits until the screen ends in this way. */
async function type(keys: readonly string[], ends: RegExp): Promise<void> {
  tmux('send-keys', ...keys);
  const deadline = Date.now() + PATIENCE_MS;
  while (!ends.test(screen())) {
    assert.ok(Date.now() < deadline, `the screen never showed ${ends}:\n${screen()}`);
    await sleep(20);
  }
}

const able = spawnSync('tmux', ['-V']).status === 0;

before(() => {
  const shell = `PS1='ready> ' '${CLOISTER}' do bash --norc`;
  if (able) tmux('-f', '/dev/null', 'new-session', '-d', '-x', '90', '-y', '20', shell);
});
after(() => {
  if (able) spawnSync('tmux', ['-L', SOCKET, 'kill-server']);
});

test('an interactive shell', { skip: !able && 'tmux is not installed' }, async () => {
  await type([], /^ready>$/);
  await type(['tty; stty size', 'Enter'], /\n\/dev\/pts\/0\n20 90\nready>$/);
  await type(['echo typed wronk', 'BSpace', 'g', 'Enter'], /\ntyped wrong\nready>$/);
  await type(['Up', 'Enter'], /\ntyped wrong\nready>.*\ntyped wrong\nready>$/);
  await type(['clear', 'Enter'], /^ready>$/);
  await type(['sleep 1000', 'Enter'], /sleep 1000$/);
  await type(['C-c'], /\^C\nready>$/);
  await type(['echo $?', 'Enter'], /\n130\nready>$/);
  await type(['clear', 'Enter'], /^ready>$/);
  await type(['sleep 1000', 'Enter'], /sleep 1000$/);
  await type(['C-z'], /Stopped +sleep 1000\nready>$/);
  await type(['bg', 'Enter'], /\[1\]\+ sleep 1000 &\nready>$/);
  await type(['fg', 'Enter'], /\nsleep 1000$/);
  await type(['C-c'], /\^C\nready>$/);
  tmux('resize-window', '-x', '100', '-y', '30');
  await type(['clear; stty size', 'Enter'], /30 100\nready>$/);
  await type(['cat >/dev/null', 'Enter'], /null$/);
  await type(['C-d'], /\nready>$/);
});

test('the program ends, and the terminal is as it was', { skip: !able && 'tmux is not installed' }, async () => {
  tmux(
    'respawn-pane',
    '-k',
    `stty -a >/tmp/${SOCKET}; '${CLOISTER}' do sh -c 'stty raw -echo'; stty -a | diff /tmp/${SOCKET} - && echo same; rm /tmp/${SOCKET}; exec cat`,
  );
  await type([], /^same$/);
});
