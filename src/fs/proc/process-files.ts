// The text files of /proc/PID and /proc/PID/task/TID, as tables of what reads and writes them.

import { CAP_AUDIT_CONTROL, CAP_SYS_NICE, CAP_SYS_RESOURCE } from '../../abi/capability.ts';
import { EACCES, EINVAL, EPERM, ESRCH } from '../../abi/errno.ts';
import { deviceMajor, deviceMinor } from '../../abi/stat.ts';
import type { UserAddress } from '../../base/brands.ts';
import { capable } from '../../base/credentials.ts';
import { cgroupOf, rootCgroup } from '../../kernel/cgroups.ts';
import { kernel } from '../../kernel/kernel.ts';
import { numberIn, type PidNamespace } from '../../kernel/pid-namespaces.ts';
import { DEAD, ID_UNSET, RUNNING, type Task } from '../../kernel/task.ts';
import { offsetsText, writeOffsets } from '../../kernel/time-namespaces.ts';
import { mapText, writeMap, writeSetgroups } from '../../kernel/user-namespaces.ts';
import { allocateScratch, markScratch, readBytes, releaseScratch } from '../../platform/arena.ts';
import { hostProcLines } from '../../platform/host-proc.ts';
import type { Changes } from '../../vfs/changes.ts';
import type { Superblock } from '../../vfs/inode.ts';
import { listMounts, type MountInfo } from '../../vfs/mount-info.ts';
import { v1Lines } from '../sys/cgroup-v1.ts';
import type { TextSource } from '../virtual/inode.ts';
import { alive, checkPeek, isGone, readerRoot } from './access.ts';
import { MapsStream, mapsText, RollupStream, smapsRollupText, smapsText } from './maps.ts';
import type { ProcSuperblock } from './proc.ts';
import { mapsIoctl } from './procmap-query.ts';
import { statmText, statText, statusText } from './status.ts';

const COMM_MAX = 15;
/** Longest argument or environment area that is shown. */
const AREA_MAX = 4 << 20;
const CHUNK = 64 << 10;

type Reader = (task: Task, pids: PidNamespace) => string | number;

/** Whose numbers an instance of procfs shows. */
function pidsOf(superblock: Superblock): PidNamespace {
  return (superblock as ProcSuperblock).pids;
}

/** A file that everyone may read as long as the task is there. */
function open(read: Reader, mode = 0o444): TextSource<Task> {
  return { mode, read: (task, superblock) => (isGone(task) ? -ESRCH : read(task, pidsOf(superblock))) };
}

/** A file that only those may read who may look inside the task. */
function closed(read: Reader, mode = 0o400): TextSource<Task> {
  return {
    mode,
    open: checkPeek,
    read: (task, superblock) => (isGone(task) ? -ESRCH : read(task, pidsOf(superblock))),
  };
}

/** Bytes of a task's memory from `start` to `end`, as far as they can be read. */
export function memoryText(task: Task, start: number, end: number): string {
  const living = alive(task);
  const length = Math.min(end - start, AREA_MAX);
  if (!living || !(length > 0)) return '';
  const mark = markScratch();
  const at = allocateScratch(CHUNK);
  let text = '';
  while (at >= 0 && text.length < length) {
    const wanted = Math.min(CHUNK, length - text.length);
    const n = living.memory.readSome((start + text.length) as UserAddress, at, wanted);
    if (n <= 0) break;
    text += readBytes(at, n);
  }
  releaseScratch(mark);
  return text;
}

/**
 * /proc/PID/cmdline. A program that overwrites its arguments (setproctitle) may run on into its environment: then
 * the last byte of the arguments is no NUL, and the title ends at the first one.
 */
function commandLine(task: Task): string {
  const { mm } = task;
  const text = memoryText(task, mm.argStart, mm.argEnd);
  if (text === '' || text.endsWith('\0')) return text;
  const more = text + memoryText(task, mm.envStart, mm.envEnd);
  const nul = more.indexOf('\0');
  return nul < 0 ? more : more.slice(0, nul + 1);
}

const LIMITS: readonly [name: string, unit: string][] = [
  ['Max cpu time', 'seconds'],
  ['Max file size', 'bytes'],
  ['Max data size', 'bytes'],
  ['Max stack size', 'bytes'],
  ['Max core file size', 'bytes'],
  ['Max resident set', 'bytes'],
  ['Max processes', 'processes'],
  ['Max open files', 'files'],
  ['Max locked memory', 'bytes'],
  ['Max address space', 'bytes'],
  ['Max file locks', 'locks'],
  ['Max pending signals', 'signals'],
  ['Max msgqueue size', 'bytes'],
  ['Max nice priority', ''],
  ['Max realtime priority', ''],
  ['Max realtime timeout', 'us'],
];

function limitsText(task: Task): string {
  const { limits } = task.group;
  const show = (value: number): string => (Number.isFinite(value) ? String(value) : 'unlimited').padEnd(20);
  let text = `${'Limit'.padEnd(25)} ${'Soft Limit'.padEnd(20)} ${'Hard Limit'.padEnd(20)} ${'Units'.padEnd(10)}\n`;
  LIMITS.forEach(([name, unit], i) => {
    text += `${name.padEnd(25)} ${show(limits.soft[i])} ${show(limits.hard[i])} ${unit.padEnd(10)}\n`;
  });
  return text;
}

/** Spaces and the like in the fields of the mount tables. */
function mangle(text: string): string {
  return text.replace(/[ \t\n\\#]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

function mountsOf(task: Task): MountInfo[] {
  return listMounts((alive(task) ?? task).fs.root);
}

/** Options as /proc/PID/mounts merges them: of the mount, then of the superblock. */
function mergedOptions(info: MountInfo): string {
  const own = info.options.split(',');
  const shared = info.superOptions.split(',');
  const access = own[0] === 'ro' || shared[0] === 'ro' ? 'ro' : 'rw';
  return [access, ...own.slice(1), ...shared.slice(1)].join(',');
}

function mountChanges(task: Task): Changes | null {
  return (alive(task) ?? task).fs.root.mount.namespace?.changes ?? null;
}

function mountsText(task: Task): string {
  let text = '';
  for (const info of mountsOf(task)) {
    text += `${mangle(info.source)} ${mangle(info.mountpoint)} ${info.type} ${mergedOptions(info)} 0 0\n`;
  }
  return text;
}

function mountInfoText(task: Task): string {
  let text = '';
  for (const info of mountsOf(task)) {
    const device = `${deviceMajor(info.device)}:${deviceMinor(info.device)}`;
    const where = `${info.id} ${info.parentId} ${device} ${mangle(info.root)} ${mangle(info.mountpoint)}`;
    text += `${where} ${info.options}${info.propagation && ` ${info.propagation}`} - ${info.type} ${mangle(info.source)} ${info.superOptions}\n`;
  }
  return text;
}

function mountStatsText(task: Task): string {
  let text = '';
  for (const info of mountsOf(task)) {
    text += `device ${mangle(info.source)} mounted on ${mangle(info.mountpoint)} with fstype ${info.type}\n`;
  }
  return text;
}

/** Writing comm names the thread, as prctl(PR_SET_NAME) does; only threads of the process itself may. */
function writeName(task: Task, text: string): number {
  if (isGone(task)) return -ESRCH;
  if (kernel.current && kernel.current.group !== task.group) return -EINVAL;
  task.name = text.replace(/\n$/, '').split('\0')[0].slice(0, COMM_MAX);
  return 0;
}

/** A decimal number as the kernel's kstrtoint takes it, or NaN. */
export function parseNumber(text: string): number {
  const trimmed = text.trim();
  return /^[-+]?(0x[0-9a-f]+|\d+)$/i.test(trimmed) ? Number(trimmed) : Number.NaN;
}

const OOM_SCORE_MAX = 1000;

function writeOomScore(task: Task, text: string): number {
  const value = parseNumber(text);
  if (Number.isNaN(value) || value < -OOM_SCORE_MAX || value > OOM_SCORE_MAX) return -EINVAL;
  if (isGone(task)) return -ESRCH;
  const caller = kernel.current;
  if (value < task.group.oomScoreAdjust && caller && !capable(caller.credentials, CAP_SYS_RESOURCE)) return -EACCES;
  task.group.oomScoreAdjust = value;
  return 0;
}

const CORE_FILTER_BITS = 0x1ff;

function writeCoreFilter(task: Task, text: string): number {
  const value = parseNumber(text);
  if (!(value >= 0 && value < 2 ** 32)) return -EINVAL;
  if (isGone(task)) return -ESRCH;
  task.group.coreFilter = value & CORE_FILTER_BITS;
  return 0;
}

let lastAuditSession = 0;

/**
 * The user who logged in, which a session keeps whatever ids it takes later: login programs set it, once, for
 * themselves; to change it takes CAP_AUDIT_CONTROL (kernel/audit.c: audit_set_loginuid).
 */
function writeLoginUid(task: Task, text: string): number {
  const value = parseNumber(text);
  const uid = value === -1 ? ID_UNSET : value;
  if (!(uid >= 0 && uid <= ID_UNSET)) return -EINVAL;
  if (kernel.current !== task) return -EPERM;
  if (task.loginUid !== ID_UNSET && !capable(task.credentials, CAP_AUDIT_CONTROL)) return -EPERM;
  task.loginUid = uid;
  task.auditSession = uid === ID_UNSET ? ID_UNSET : ++lastAuditSession;
  return 0;
}

function writeTimerSlack(task: Task, text: string): number {
  const value = parseNumber(text);
  if (Number.isNaN(value) || value < 0) return -EINVAL;
  const caller = kernel.current;
  if (caller && caller !== task && !capable(caller.credentials, CAP_SYS_NICE)) return -EPERM;
  task.scheduling.timerSlack = value === 0 ? task.scheduling.defaultTimerSlack : value;
  return 0;
}

/** Of projects: everything is itself in the first user namespace, and there are none in others. */
const PROJECT_MAP = `${'0'.padStart(10)} ${'0'.padStart(10)} 4294967295\n`;

/** uid_map or gid_map, as the reader sees it. */
function idMap(kind: 'uidMap' | 'gidMap'): TextSource<Task> {
  return {
    mode: 0o644,
    read: (task) => {
      if (isGone(task)) return -ESRCH;
      const { user } = task.credentials;
      return mapText(user, kind, kernel.current?.credentials.user ?? user);
    },
    write: (task, text) => {
      if (isGone(task)) return -ESRCH;
      return kernel.current ? writeMap(task.credentials.user, kind, kernel.current, text) : -EPERM;
    },
  };
}

const SETGROUPS: TextSource<Task> = {
  mode: 0o644,
  read: (task) => (isGone(task) ? -ESRCH : task.credentials.user.setgroupsAllowed ? 'allow\n' : 'deny\n'),
  write: (task, text) => {
    if (isGone(task)) return -ESRCH;
    return kernel.current ? writeSetgroups(task.credentials.user, kernel.current, text) : -EPERM;
  },
};

function livingMaps(read: (task: Task) => string): Reader {
  return (task) => {
    const living = alive(task);
    return living ? read(living) : '';
  };
}

function mapsStream(file: 'maps' | 'smaps'): (task: Task) => MapsStream | null {
  return (task) => {
    const living = isGone(task) ? null : alive(task);
    return living && MapsStream.open(file, living.mm, readerRoot(living));
  };
}

/** The call that a thread waits in: number, arguments, stack and instruction pointer; a running one has none. */
function pendingCall(task: Task): string {
  if (task.state === DEAD || task.state === RUNNING) return 'running\n';
  const hex = (value: number): string => `0x${(value < 0 ? value + 2 ** 64 : value).toString(16)}`;
  return `${task.nr} ${[...task.args, task.rsp, task.rip].map(hex).join(' ')}\n`;
}

/** Files that a process and each of its threads have. */
const COMMON: Readonly<Record<string, TextSource<Task>>> = {
  auxv: closed(livingMaps((task) => Buffer.from(task.mm.auxv).toString('latin1'))),
  cgroup: open(({ group }) => {
    const root = kernel.current?.namespaces.cgroup.root ?? rootCgroup;
    const others = v1Lines((hierarchy) => cgroupOf(group, hierarchy).pathFrom(hierarchy.root));
    return `${others}0::${group.cgroup.pathFrom(root)}\n`;
  }),
  cmdline: open(commandLine),
  comm: { ...open((task) => `${task.name}\n`), mode: 0o644, write: writeName },
  environ: closed(livingMaps((task) => memoryText(task, task.mm.envStart, task.mm.envEnd))),
  gid_map: idMap('gidMap'),
  limits: open(limitsText),
  loginuid: { ...open((task) => String(task.loginUid)), mode: 0o644, write: writeLoginUid },
  maps: {
    ...closed(
      livingMaps((task) => mapsText(task.mm, readerRoot(task))),
      0o444,
    ),
    stream: mapsStream('maps'),
    ioctl: mapsIoctl,
  },
  mountinfo: { ...open(mountInfoText), changes: mountChanges },
  mounts: { ...open(mountsText), changes: mountChanges },
  oom_score: open((task) => `${Math.max(0, 666 + Math.floor((task.group.oomScoreAdjust * 2) / 3))}\n`),
  oom_score_adj: {
    mode: 0o644,
    read: (task) => (isGone(task) ? -ESRCH : `${task.group.oomScoreAdjust}\n`),
    write: writeOomScore,
  },
  personality: closed(() => '00000000\n'),
  projid_map: open((task) => (task.credentials.user.parent === null ? PROJECT_MAP : '')),
  schedstat: open(
    (task) => hostProcLines(`${task.mm.hostPid}/task/${task.hostTid}/schedstat`)[0]?.concat('\n') ?? '0 0 0\n',
  ),
  sessionid: open((task) => String(task.auditSession)),
  setgroups: SETGROUPS,
  smaps: {
    ...closed(
      livingMaps((task) => smapsText(task.mm, readerRoot(task))),
      0o444,
    ),
    stream: mapsStream('smaps'),
  },
  smaps_rollup: {
    ...closed(
      livingMaps((task) => smapsRollupText(task.mm)),
      0o444,
    ),
    stream: (task) => {
      const living = isGone(task) ? null : alive(task);
      return living && RollupStream.open(living.mm);
    },
  },
  statm: open(statmText),
  status: open(statusText),
  syscall: closed(pendingCall),
  uid_map: idMap('uidMap'),
  wchan: open(() => '0'),
};

/** Text files of /proc/PID. */
export const PROCESS_FILES: Readonly<Record<string, TextSource<Task>>> = {
  ...COMMON,
  coredump_filter: {
    mode: 0o644,
    read: (task) => (isGone(task) ? -ESRCH : `${task.group.coreFilter.toString(16).padStart(8, '0')}\n`),
    write: writeCoreFilter,
  },
  mountstats: { ...closed(mountStatsText), changes: mountChanges },
  stat: open((task, pids) => statText(task, pids, true)),
  timens_offsets: {
    mode: 0o644,
    read: (task) => (isGone(task) ? -ESRCH : offsetsText(task)),
    write: (task, text) => {
      if (isGone(task)) return -ESRCH;
      return kernel.current ? writeOffsets(task, kernel.current, text) : -EPERM;
    },
  },
  timerslack_ns: {
    mode: 0o666,
    read: (task) => (isGone(task) ? -ESRCH : `${task.scheduling.timerSlack}\n`),
    write: writeTimerSlack,
  },
};

/** Text files of /proc/PID/task/TID. */
export const THREAD_FILES: Readonly<Record<string, TextSource<Task>>> = {
  ...COMMON,
  children: open((task, pids) => {
    const own = task === task.group.leader || task.group.leader.state === DEAD;
    return own ? [...task.group.children].map((child) => `${numberIn(pids, child)} `).join('') : '';
  }),
  stat: open((task, pids) => statText(task, pids, false)),
};
