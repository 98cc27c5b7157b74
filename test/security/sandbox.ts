// A sandbox that goes on running: a shell to which tests give commands, and the view of it from the host. What an
// attack did to others is asked by giving the same sandbox the next command.

import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CLOISTER } from '../cli/cloister.ts';

export interface Outcome {
  readonly output: string;
  /** As in the shell's $?. */
  readonly status: number;
}

export interface HostProcess {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
}

/** Those that a failed test left behind must not keep the test process. */
const launchers = new Set<ChildProcessWithoutNullStreams>();
after(() => {
  for (const launcher of launchers) launcher.kill('SIGKILL');
});

export class Sandbox {
  readonly #launcher: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<number>;
  #output = '';
  #errors = '';
  #commands = 0;
  #wake: () => void = () => {};

  constructor(options: readonly string[] = [], prefix: readonly string[] = []) {
    const [command, ...args] = [...prefix, CLOISTER, 'do', ...options, '--', 'sh'];
    this.#launcher = spawn(command as string, args);
    launchers.add(this.#launcher);
    this.#launcher.stdout.setEncoding('latin1').on('data', (text: string) => {
      this.#output += text;
      this.#wake();
    });
    this.#launcher.stderr.setEncoding('latin1').on('data', (text: string) => {
      this.#errors += text;
    });
    // A sandbox that ended shows in the next command's time-out, with what it said.
    this.#launcher.stdin.on('error', () => {});
    this.#ended = new Promise((resolve) => {
      this.#launcher.on('close', (code, signal) => {
        launchers.delete(this.#launcher);
        resolve(code ?? (signal ? 128 : -1));
        this.#wake();
      });
    });
  }

  get launcher(): number {
    return this.#launcher.pid as number;
  }

  get errors(): string {
    return this.#errors;
  }

  /** Runs a command in the sandbox's shell; fails when it is not through after `ms`. */
  async run(command: string, ms = 60_000): Promise<Outcome> {
    const mark = `@${++this.#commands}@`;
    const start = this.#output.length;
    this.#launcher.stdin.write(`${command}\necho "${mark}$?${mark}"\n`);
    const end = Date.now() + ms;
    for (;;) {
      const text = this.#output.slice(start);
      const found = new RegExp(`${mark}(\\d+)${mark}\n`).exec(text);
      if (found) return { output: text.slice(0, found.index), status: Number(found[1]) };
      const left = end - Date.now();
      if (left <= 0 || this.#launcher.exitCode !== null) {
        const state = this.#launcher.exitCode === null ? 'hangs' : `ended with ${this.#launcher.exitCode}`;
        this.#launcher.kill('SIGKILL');
        assert.fail(`the sandbox ${state} in: ${command}\n${text}\n${this.#errors.slice(-4000)}`);
      }
      await Promise.race([sleep(Math.min(left, 500)), new Promise<void>((resolve) => (this.#wake = resolve))]);
    }
  }

  /** Others than the culprit do well: a program starts, a pipe works, a file is read. */
  async assertWell(): Promise<void> {
    const { output, status } = await this.run(
      'cat /proc/self/status | grep -c Name && ls -d /proc/1 && echo well',
      10_000,
    );
    assert.deepEqual({ output, status }, { output: '1\n/proc/1\nwell\n', status: 0 }, this.#errors.slice(-4000));
  }

  /** Ends the shell and with it the sandbox; its exit status. */
  async end(): Promise<number> {
    this.#launcher.stdin.end('exit 42\n');
    return this.ended();
  }

  /** The exit status of the launcher, which is expected to end by itself. */
  async ended(ms = 20_000): Promise<number> {
    const status = await Promise.race([this.#ended, sleep(ms, undefined, { ref: false })]);
    if (status !== undefined) return status;
    this.#launcher.kill('SIGKILL');
    return assert.fail('the sandbox does not end');
  }

  /** All host processes of the sandbox: the descendants of its launcher. */
  processes(): HostProcess[] {
    return descendants(this.launcher);
  }

  /** Guest processes on the host: descendants of the sandbox that run the stub. */
  guests(): HostProcess[] {
    return this.processes().filter(({ pid }) => isStub(pid));
  }

  /** The sentry's host process. */
  sentry(): HostProcess {
    const [sentry] = this.processes().filter(({ name }) => name.startsWith('node'));
    return sentry ?? assert.fail('no sentry among the processes of the sandbox');
  }
}

function executable(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return '';
  }
}

function isStub(pid: number): boolean {
  return executable(pid).startsWith('/memfd:stub');
}

function allProcesses(): HostProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const fields = /^(\d+) \((.*)\) . (\d+)/s.exec(readFileSync(`/proc/${name}/stat`, 'latin1'));
        return fields ? [{ pid: Number(fields[1]), name: fields[2] as string, parent: Number(fields[3]) }] : [];
      } catch {
        return []; // it has ended meanwhile
      }
    });
}

/** The processes below `root`, parents before their children. */
export function descendants(root: number): HostProcess[] {
  const all = allProcesses();
  const found: HostProcess[] = [];
  const below = new Set([root]);
  for (let before = -1; before !== found.length; ) {
    before = found.length;
    for (const process of all) {
      if (!below.has(process.parent) || below.has(process.pid)) continue;
      below.add(process.pid);
      found.push(process);
    }
  }
  return found;
}

/** Waits until none of these processes is there any more. */
export async function assertGone(pids: readonly number[], ms = 5000): Promise<void> {
  const end = Date.now() + ms;
  for (;;) {
    const left = allProcesses().filter(({ pid, parent }) => pids.includes(pid) && parent !== process.pid);
    if (left.length === 0) return;
    if (Date.now() > end) assert.fail(`still there: ${left.map(({ pid, name }) => `${pid} ${name}`).join(', ')}`);
    await sleep(20);
  }
}
