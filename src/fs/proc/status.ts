// /proc/PID/stat, statm and status: a process's state in numbers, in the formats of proc(5) and Linux 6.

import { RLIMIT_RSS, RLIMIT_SIGPENDING } from '../../abi/resource.ts';
import { SIG_DFL, SIG_IGN } from '../../abi/signal.ts';
import type { CapabilitySet } from '../../base/credentials.ts';
import { type IdRange, shownId } from '../../base/user-namespace.ts';
import { kernel } from '../../kernel/kernel.ts';
import { lockedMemory } from '../../kernel/locked-memory.ts';
import { recallMask } from '../../kernel/own-answers.ts';
import { type Numbered, numberIn, type PidNamespace } from '../../kernel/pid-namespaces.ts';
import { tracerOf } from '../../kernel/ptrace/tracing.ts';
import { shownPriority } from '../../kernel/scheduling.ts';
import { seccompFilterCount, seccompMode } from '../../kernel/seccomp.ts';
import { bitHigh, bitLow, type SignalActions } from '../../kernel/signal-state.ts';
import { BLOCKED, DEAD, RUNNING, STOPPED, type Task, TRACED, WITHHELD } from '../../kernel/task.ts';
import { groupUsage, threadUsage, Usage } from '../../kernel/usage.ts';
import { hostProcLines, hostStat } from '../../platform/host-proc.ts';
import { alive } from './access.ts';
import { cpuList, cpuMask } from './cpus.ts';
import { stubSize } from './maps.ts';

const PAGE = 4096;
/** Nanoseconds in a clock tick (USER_HZ is 100). */
const TICK = 1e7;
const INFINITY = '18446744073709551615';
const PF_FORKNOEXEC = 0x40;
const PF_RANDOMIZE = 0x400000;

const STATE_NAMES: Readonly<Record<string, string>> = {
  R: 'R (running)',
  S: 'S (sleeping)',
  D: 'D (disk sleep)',
  T: 'T (stopped)',
  t: 't (tracing stop)',
  Z: 'Z (zombie)',
  X: 'X (dead)',
};

/** State letter of a thread. One that runs its program may sleep in a call that the host serves. */
function stateOf(task: Task, host: string[] | null): string {
  if (task.state === DEAD) return task.group.threads.size === 0 ? 'Z' : 'X';
  if (task.state === TRACED) return 't';
  if (task.group.stopped) return 'T';
  if (task.state === BLOCKED) return 'S';
  if (task.state === STOPPED) return 'T';
  if (task.state === WITHHELD) return 'D';
  return task.state === RUNNING && host?.[3] === 'S' ? 'S' : 'R';
}

function hostThreadStat(task: Task): string[] | null {
  return task.state === DEAD ? null : hostStat(`${task.mm.hostPid}/task/${task.hostTid}/stat`);
}

function ticks(nanoseconds: number): number {
  return Math.floor(nanoseconds / TICK);
}

/** Both words of a signal or capability set as sixteen hexadecimal digits. */
export function hex64(low: number, high: number): string {
  return (high >>> 0).toString(16).padStart(8, '0') + (low >>> 0).toString(16).padStart(8, '0');
}

interface SignalSet {
  low: number;
  high: number;
}

/** The signals that are ignored and those that have a handler. */
function dispositions(actions: SignalActions): { ignored: SignalSet; caught: SignalSet } {
  const ignored = { low: 0, high: 0 };
  const caught = { low: 0, high: 0 };
  for (let signo = 1; signo <= 64; signo++) {
    const { handler } = actions.get(signo);
    if (handler === SIG_DFL) continue;
    const set = handler === SIG_IGN ? ignored : caught;
    set.low |= bitLow(signo);
    set.high |= bitHigh(signo);
  }
  return { ignored, caught };
}

/** The text of /proc/PID/stat, or of /proc/PID/task/TID/stat when `whole` is false. */
export function statText(task: Task, pids: PidNamespace, whole: boolean): string {
  recallMask(task);
  const { group } = task;
  const living = whole ? alive(task) : task.state === DEAD ? null : task;
  const thread = hostThreadStat(task);
  const host = whole && living ? hostStat(`${living.mm.hostPid}/stat`) : thread;
  const { mm } = task;
  const { session } = group.processGroup;
  const terminal = session.terminal;
  const { ignored, caught } = dispositions(group.actions);
  const hidden = living ? stubSize(living.mm).total : 0;
  const rssLimit = group.limits.soft[RLIMIT_RSS];
  const peek = living !== null;
  const usage = new Usage();
  if (whole) groupUsage(group, usage);
  else threadUsage(task, usage);
  const { childUsage } = group;
  const number = (index: number): string => host?.[index] ?? '0';
  return `${[
    numberIn(pids, task),
    `(${task.name})`,
    stateOf(whole ? (living ?? task) : task, thread),
    numberIn(pids, group.parent),
    numberIn(pids, group.processGroup),
    numberIn(pids, session),
    terminal?.rdev ?? 0,
    terminal ? numberIn(pids, terminal.foreground) : -1,
    PF_RANDOMIZE | (group.hasExecuted ? 0 : PF_FORKNOEXEC),
    usage.minorFaults,
    childUsage.minorFaults,
    usage.majorFaults,
    childUsage.majorFaults,
    ticks(usage.userTime),
    ticks(usage.systemTime),
    ticks(childUsage.userTime),
    ticks(childUsage.systemTime),
    shownPriority(task.scheduling),
    task.scheduling.nice,
    group.threads.size,
    0,
    ticks(Math.max(0, task.startTime - kernel.bootTime + (kernel.current?.namespaces.time.boottime ?? 0))),
    peek ? Math.max(0, Number(number(23)) - hidden) : 0,
    peek ? number(24) : 0,
    Number.isFinite(rssLimit) ? rssLimit : INFINITY,
    peek ? mm.startCode : 0,
    peek ? mm.endCode : 0,
    peek ? mm.startStack : 0,
    0,
    0,
    task.pending.low & 0x7fffffff,
    task.maskLow & 0x7fffffff,
    ignored.low & 0x7fffffff,
    caught.low & 0x7fffffff,
    task.state === BLOCKED ? 1 : 0,
    0,
    0,
    group.exitSignal,
    number(39),
    task.scheduling.priority,
    task.scheduling.policy,
    0,
    0,
    0,
    peek ? mm.startData : 0,
    peek ? mm.endData : 0,
    peek ? mm.startBrk : 0,
    peek ? mm.argStart : 0,
    peek ? mm.argEnd : 0,
    peek ? mm.envStart : 0,
    peek ? mm.envEnd : 0,
    Math.max(0, group.status),
  ].join(' ')}\n`;
}

/** The text of /proc/PID/statm, in pages. */
export function statmText(task: Task): string {
  const living = alive(task);
  const line = living ? hostProcLines(`${living.mm.hostPid}/statm`)[0] : undefined;
  if (!living || !line) return '0 0 0 0 0 0 0\n';
  const { total, data } = stubSize(living.mm);
  const numbers = line.split(' ').map(Number);
  numbers[0] -= total / PAGE;
  numbers[5] -= data / PAGE;
  return `${numbers.map((value) => Math.max(0, value)).join(' ')}\n`;
}

const MEMORY_LINE = /^(Vm\w+|Rss\w+|HugetlbPages):\s+(\d+) kB$/;

/** The memory lines of status: the host's, without what is the stub's. */
function memoryLines(task: Task): string {
  const living = alive(task);
  if (!living) return '';
  const { total, data } = stubSize(living.mm);
  let text = '';
  for (const line of hostProcLines(`${living.mm.hostPid}/status`)) {
    const parts = MEMORY_LINE.exec(line);
    if (!parts) continue;
    let size = Number(parts[2]);
    if (parts[1] === 'VmPeak' || parts[1] === 'VmSize') size -= total / 1024;
    else if (parts[1] === 'VmData') size -= data / 1024;
    else if (parts[1] === 'VmLck') size = lockedMemory(living.mm) / 1024;
    text += `${parts[1]}:\t${String(Math.max(0, size)).padStart(8)} kB\n`;
  }
  return text;
}

function capabilityLine(name: string, set: CapabilitySet): string {
  return `${name}:\t${hex64(set.low, set.high)}\n`;
}

/** Control characters and backslashes of a thread's name as status shows them. */
function escapedName(name: string): string {
  return name.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

/** How many descriptors the table has room for, counted in words as Linux grows it. */
function tableSize(task: Task): number {
  const highest = task.files.files.length;
  return Math.max(64, 2 ** Math.ceil(Math.log2(Math.max(1, highest))));
}

/** The text of /proc/PID/status or /proc/PID/task/TID/status. */
export function statusText(task: Task, pids: PidNamespace): string {
  recallMask(task);
  const { group, credentials } = task;
  const state = stateOf(group.leader === task ? (alive(task) ?? task) : task, hostThreadStat(task));
  const { ignored, caught } = dispositions(group.actions);
  const { session } = group.processGroup;
  const queueLimit = group.limits.soft[RLIMIT_SIGPENDING];
  const pending = task.pending.queue.length + group.pending.queue.length;
  const switches = hostProcLines(`${task.mm.hostPid}/task/${task.hostTid}/status`).filter((l) => l.includes('ctxt_'));
  const inward = (thing: Numbered) => thing.numbers.slice(pids.level).join('\t');
  const { uidMap, gidMap } = (kernel.current ?? task).credentials.user;
  const ids = (map: readonly IdRange[] | null, ...own: number[]) => own.map((id) => shownId(map, id)).join('\t');
  return (
    `Name:\t${escapedName(task.name)}\n` +
    `Umask:\t${task.fs.umask.toString(8).padStart(4, '0')}\n` +
    `State:\t${STATE_NAMES[state]}\n` +
    `Tgid:\t${numberIn(pids, group)}\nNgid:\t0\nPid:\t${numberIn(pids, task)}\nPPid:\t${numberIn(pids, group.parent)}\nTracerPid:\t${numberIn(pids, tracerOf(task)?.group)}\n` +
    `Uid:\t${ids(uidMap, credentials.uid, credentials.euid, credentials.suid, credentials.fsuid)}\n` +
    `Gid:\t${ids(gidMap, credentials.gid, credentials.egid, credentials.sgid, credentials.fsgid)}\n` +
    `FDSize:\t${task.state === DEAD ? 0 : tableSize(task)}\n` +
    `Groups:\t${credentials.groups.map((gid) => shownId(gidMap, gid)).join(' ')} \n` +
    `NStgid:\t${inward(group)}\nNSpid:\t${inward(task)}\nNSpgid:\t${inward(group.processGroup)}\nNSsid:\t${inward(session)}\nKthread:\t0\n` +
    memoryLines(task) +
    (task.state === DEAD ? '' : 'CoreDumping:\t0\nTHP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\n') +
    `Threads:\t${Math.max(1, group.threads.size)}\n` +
    `SigQ:\t${pending}/${Number.isFinite(queueLimit) ? queueLimit : INFINITY}\n` +
    `SigPnd:\t${hex64(task.pending.low, task.pending.high)}\n` +
    `ShdPnd:\t${hex64(group.pending.low, group.pending.high)}\n` +
    `SigBlk:\t${hex64(task.maskLow, task.maskHigh)}\n` +
    `SigIgn:\t${hex64(ignored.low, ignored.high)}\n` +
    `SigCgt:\t${hex64(caught.low, caught.high)}\n` +
    capabilityLine('CapInh', credentials.inheritable) +
    capabilityLine('CapPrm', credentials.permitted) +
    capabilityLine('CapEff', credentials.effective) +
    capabilityLine('CapBnd', credentials.bounding) +
    capabilityLine('CapAmb', credentials.ambient) +
    `NoNewPrivs:\t${credentials.noNewPrivileges ? 1 : 0}\nSeccomp:\t${seccompMode(task)}\n` +
    `Seccomp_filters:\t${seccompFilterCount(task)}\n` +
    'Speculation_Store_Bypass:\tthread vulnerable\nSpeculationIndirectBranch:\tconditional enabled\n' +
    `Cpus_allowed:\t${cpuMask(task)}\nCpus_allowed_list:\t${cpuList(task)}\n` +
    'Mems_allowed:\t1\nMems_allowed_list:\t0\n' +
    switches.map((line) => `${line}\n`).join('')
  );
}
