// The processes of a container as the host sees them, and signals to them.

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import type { ProcessEntry } from '../base/control.ts';
import { textOfBytes } from './bytes.ts';
import { setFrozen } from './cgroups.ts';
import { ask } from './control.ts';
import { LaunchError } from './launch-error.ts';
import { containerName, controlDirectory } from './pod.ts';
import { type ContainerState, isAlive, requireState, statusOf } from './state.ts';

/** A signal by number, or by name with or without SIG. */
export function parseSignal(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : signalNumber(text.toUpperCase());
  if (!(number >= 0 && number <= 64)) throw new LaunchError(`unknown signal ${JSON.stringify(text)}`);
  return number;
}

function signalNumber(name: string): number {
  const full = name.startsWith('SIG') ? name : `SIG${name}`;
  const realTime = /^SIGRT(MIN|MAX)(?:([+-])(\d+))?$/.exec(full);
  if (realTime) return (realTime[1] === 'MIN' ? 34 : 64) + Number(`${realTime[2] ?? '+'}${realTime[3] ?? 0}`);
  return (constants.signals as Record<string, number>)[full] ?? Number.NaN;
}

/** Signals the container's first process, or all its processes. */
export async function signalContainer(
  root: string,
  state: ContainerState,
  signal: number,
  all: boolean,
): Promise<void> {
  if (!isAlive(state)) {
    if (all) return;
    throw new LaunchError('container not running');
  }
  const paused = statusOf(root, state) === 'paused';
  if (signal === constants.signals.SIGKILL || (paused && signal !== 0)) {
    // To the launcher: SIGKILL works whatever state the sandbox is in, others are forwarded when it goes on.
    process.kill(state.pid, signal);
    if (paused && signal === constants.signals.SIGKILL) setFrozen(state.cgroups, false);
    return;
  }
  if (signal !== 0)
    await ask(controlDirectory(root, state), { verb: 'signal', signal, all, container: containerName(state) });
}

export interface HostProcess extends ProcessEntry {
  /** Its pid in our own pid namespace. */
  readonly ownPid: number;
}

/** How often we ask again for processes that execute a program just now, and so change their pid on the host. */
const PROCESS_TRIES = 5;

/** The container's processes; none when it has ended. */
export async function containerProcesses(root: string, state: ContainerState): Promise<HostProcess[]> {
  for (let tries = 1; isAlive(state); tries++) {
    const { asked, found } = await askForProcesses(root, state);
    if (found.length === asked || tries === PROCESS_TRIES) return found;
  }
  return [];
}

async function askForProcesses(
  root: string,
  state: ContainerState,
): Promise<{ readonly asked: number; readonly found: HostProcess[] }> {
  const { processes = [] } = await ask(controlDirectory(root, state), {
    verb: 'ps',
    container: containerName(state),
  });
  const launcher = state.sandbox === undefined ? state : requireState(root, state.sandbox);
  const own = sandboxPids(launcher.pid);
  const found = processes.flatMap((entry) => {
    const ownPid = own.get(entry.hostPid);
    return ownPid === undefined ? [] : [{ ...entry, ownPid }];
  });
  return { asked: processes.length, found };
}

/**
 * The lines of ps(1) that tell of these processes. The options must make it print a column PID. On the host all of them
 * are an unprivileged user's; a first column of users says instead whose they are inside.
 */
export function formatProcesses(processes: readonly HostProcess[], options: readonly string[]): string {
  const args = options.length > 0 ? options : ['-ef'];
  const { stdout, stderr, status, error } = spawnSync('ps', args.map(textOrSame), { encoding: 'latin1' });
  if (error !== undefined || status !== 0) throw new LaunchError(`ps: ${error?.message ?? stderr.trim()}`);
  const [header = '', ...lines] = stdout.split('\n');
  const column = header.trim().split(/\s+/).indexOf('PID');
  if (column < 0) throw new LaunchError("couldn't find PID field in ps output");
  const names = /^(UID|USER)\b/.test(header) ? userNames() : null;
  const wanted = lines.flatMap((line) => {
    const pid = Number(line.trim().split(/\s+/)[column]);
    const process = processes.find(({ ownPid }) => ownPid === pid);
    if (process === undefined) return [];
    return [names === null ? line : withUser(line, names.get(process.uid) ?? String(process.uid))];
  });
  return [header, ...wanted].map((line) => `${line}\n`).join('');
}

/** The line with another user in its first column, which keeps its width. */
function withUser(line: string, name: string): string {
  const [cell = ''] = /^\S+\s+/.exec(line) ?? [];
  return `${name.slice(0, cell.length - 1).padEnd(cell.length)}${line.slice(cell.length)}`;
}

/** The host's users, as ps(1) names them. */
function userNames(): Map<number, string> {
  const names = new Map<number, string>();
  for (const line of readFileSync('/etc/passwd', 'latin1').split('\n')) {
    const [name = '', , uid = ''] = line.split(':');
    if (uid !== '' && !names.has(Number(uid))) names.set(Number(uid), name);
  }
  return names;
}

function textOrSame(bytes: string): string {
  return textOfBytes(bytes) ?? bytes;
}

/** Pids of the sandbox's processes: from the number in the sentry's namespace to the one in ours. */
function sandboxPids(launcher: number): Map<number, number> {
  const parents = new Map<number, number>();
  const levels = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const status = readStatus(Number(name));
    if (status === null) continue;
    parents.set(Number(name), status.parent);
    levels.set(Number(name), status.levels);
  }
  const init = [...parents].find(([, parent]) => parent === launcher)?.[0];
  const depth = init === undefined ? -1 : (levels.get(init) as number[]).length - 1;
  const found = new Map<number, number>();
  for (const [pid, numbers] of levels) {
    const inside = numbers[depth];
    if (inside !== undefined && isBelow(pid, init as number, parents)) found.set(inside, pid);
  }
  return found;
}

function isBelow(pid: number, ancestor: number, parents: ReadonlyMap<number, number>): boolean {
  for (let at: number | undefined = pid; at !== undefined && at > 1; at = parents.get(at))
    if (at === ancestor) return true;
  return false;
}

function readStatus(pid: number): { parent: number; levels: number[] } | null {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'latin1');
    const levels = /^NSpid:\s*(.*)$/m.exec(text)?.[1]?.trim().split(/\s+/).map(Number) ?? [];
    return { parent: Number(/^PPid:\s*(\d+)/m.exec(text)?.[1]), levels };
  } catch {
    return null; // it has ended meanwhile
  }
}
