// The process before the command line (native/boot/front.c), if bin/cloister has started one: it becomes the launcher, so
// that nobody waits for the end of this process, and may have begun the sandbox already.

import { closeSync, readFileSync, readSync, writeSync } from 'node:fs';
import type { CgroupState } from './state.ts';

const VARIABLE = 'CLOISTER_FRONT';
/** What the environment of programs must not have. */
export const FRONT_VARIABLE = `${VARIABLE}=`;

interface Front {
  readonly socket: number;
  readonly pid: number;
}

function front(): Front | null {
  const [, socket, pid] = /^(\d+):(\d+)$/.exec(process.env[VARIABLE] ?? '') ?? [];
  return pid === undefined ? null : { socket: Number(socket), pid: Number(pid) };
}

/** The process that will be the launcher if this one becomes it. */
export function launcherPid(): number {
  return front()?.pid ?? process.pid;
}

/** Hands the launcher's options over to the process before us, and ends after `last`. Returns if there is none. */
export function handOver(args: readonly string[], last: () => void): void {
  const { socket } = front() ?? {};
  if (socket === undefined) return;
  tell(socket, `${args.join('\0')}\0\0`);
  try {
    // Whoever reads what the container prints must see its end, not ours.
    for (const fd of [0, 1, 2]) closeSync(fd);
    last();
  } finally {
    process.exit(0);
  }
}

/** It is to begin nothing: what we do is done without it. */
export function declineFront(): void {
  const { socket } = front() ?? {};
  if (socket === undefined) return;
  tell(socket, '\0\0');
  delete process.env[VARIABLE];
}

/** Waits until it has understood, and taken over the descriptors that are meant. */
function tell(socket: number, text: string): void {
  const bytes = Buffer.from(text, 'utf8');
  for (let done = 0; done < bytes.length; ) done += writeSync(socket, bytes, done);
  while (!read(socket).endsWith('\0'));
}

/** What it has said: names of cgroups, and a zero byte when it has understood. Throws when it is gone. */
function read(socket: number): string {
  const bytes = Buffer.alloc(1 << 16);
  const length = readSync(socket, bytes);
  if (length === 0) throw new Error('the launcher is gone');
  return bytes.toString('latin1', 0, length);
}

/** The cgroups that it has made, if it is gone: they are nobody's now. */
export function orphanedCgroups(): CgroupState | null {
  const its = front();
  if (its === null || process.ppid === its.pid) return null;
  let text = '';
  try {
    for (;;) text += read(its.socket);
  } catch {
    // That is all.
  }
  const directories = text.split('\n').filter((line) => line.startsWith('/'));
  return { version: 1, directories: Object.fromEntries(directories.map((directory) => [directory, directory])) };
}

/** Whether a process is one of the sandbox that has been begun for us, or has ended. */
export function isBegun(pid: number): boolean {
  const its = front();
  if (its === null) return false;
  for (let at = pid; at !== its.pid; at = parentOf(at)) if (at <= 1) return at === 0;
  return true;
}

function parentOf(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return 0; // it has ended
  }
}
