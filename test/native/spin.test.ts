// When the sentry spins for calls: only where there is a CPU to spare and it is not forbidden. Two sandboxes that are both
// busy on two CPUs are both served, and one that sleeps takes no CPU time.

import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

const CLOISTER = join(import.meta.dirname, '../../bin/cloister');
const CALLS = 30_000;
let directory: string;
let program: string;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'cloister-spin-'));
  chmodSync(directory, 0o755);
  program = join(directory, 'calls');
  const source = `#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
  int right = 0;
  for (int i = 0; i < ${CALLS}; i++) right += syscall(SYS_getpgid, 0) == getpgrp();
  printf("%d right\\n", right);
}`;
  writeFileSync(`${program}.c`, source);
  execFileSync('cc', ['-O2', '-static', `${program}.c`, '-o', program]);
});

after(() => rmSync(directory, { recursive: true }));

const command = (options: readonly string[]): string[] => [
  CLOISTER,
  ...['do', '--stats', ...options, '--bind', `${directory}:${directory}:ro`, '--', program],
];

/** How many calls were answered without a ring. */
function spun(stderr: string): number {
  return Number(/without a ring: (\d+)/.exec(stderr)?.[1] ?? Number.NaN);
}

function run(before: readonly string[], options: readonly string[] = []): string {
  const [file, ...args] = [...before, ...command(options)];
  const { stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', timeout: 60_000, killSignal: 'SIGKILL' });
  assert.equal(stdout, `${CALLS} right\n`, stderr);
  return stderr;
}

test('a busy program is served without rings where there is a CPU to spare', { skip: cpus().length < 2 }, () => {
  const stderr = run([]);
  assert.ok(spun(stderr) > 0, stderr);
});

test('nobody spins on a single CPU, or with --spin off', () => {
  assert.equal(spun(run(['taskset', '-c', '0'])), 0);
  assert.equal(spun(run([], ['--spin', 'off'])), 0);
});

test('two busy sandboxes and one more are all served', async () => {
  const all = [1, 2, 3].map(async () => {
    const [file, ...args] = command([]);
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'ignore'], timeout: 60_000, killSignal: 'SIGKILL' });
    const [stdout] = await Promise.all([child.stdout.toArray(), once(child, 'close')]);
    return Buffer.concat(stdout).toString();
  });
  assert.deepEqual(await Promise.all(all), new Array(3).fill(`${CALLS} right\n`));
});

/** Every process below `root`. */
function descendants(root: number): number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name): [number, number][] => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
        return [[Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])]];
      } catch {
        return []; // it has just ended
      }
    });
  const tree = [root];
  for (const pid of tree) tree.push(...parents.filter(([, parent]) => parent === pid).map(([child]) => child));
  return tree;
}

/** Nanoseconds on a CPU and times on one, of all threads of a process. */
function onCpu(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1'),
  );
}

test('an idle sandbox takes no CPU time', async () => {
  const args = [
    'do',
    '--',
    'sh',
    '-c',
    'i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); umask >/dev/null; done; echo idle; read x',
  ];
  const child = spawn(CLOISTER, args, { stdio: ['pipe', 'pipe', 'ignore'] });
  try {
    await once(child.stdout, 'data');
    // It may have something to clear up; then nothing runs any more, not once.
    let before = '';
    let now = '-';
    for (let tries = 0; tries < 20 && now !== before; tries++) {
      before = now;
      await sleep(500);
      now = JSON.stringify(
        descendants(child.pid as number)
          .map(onCpu)
          .map((times) => times.map((time) => time.split(' ')[2])),
      );
    }
    assert.equal(now, before);
  } finally {
    child.stdin.end();
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await once(child, 'close');
    clearTimeout(timer);
  }
});
