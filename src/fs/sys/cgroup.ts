// The cgroup2 filesystem: the sandbox's tree of cgroups (kernel/cgroups.ts). Its root shows the limits that programs size
// themselves by; what those bound is counted in the host's cgroup and shows there. Cgroups that programs make group
// processes, tell their CPU time and memory, bound their number (pids) and end them together. Version 1: cgroup-v1.ts.

import { EAGAIN, EBUSY, EEXIST, EINVAL, ENOENT, ENOMEM, EPERM, ESRCH } from '../../abi/errno.ts';
import { SIGKILL } from '../../abi/signal.ts';
import { CGROUP2_SUPER_MAGIC } from '../../abi/stat.ts';
import type { Pid } from '../../base/brands.ts';
import { limitMemory, membersOf, memoryHooks } from '../../kernel/cgroup-memory.ts';
import {
  boundTasks,
  Cgroup,
  cgroupOf,
  countTasks,
  hierarchies,
  isPopulated,
  moveProcess,
  notePopulation,
  populationHooks,
  rootCgroup,
} from '../../kernel/cgroups.ts';
import { detachAll } from '../../kernel/device-programs.ts';
import { killGroup } from '../../kernel/exit.ts';
import { groupExitHooks, reapHooks } from '../../kernel/exit-hooks.ts';
import { kernel } from '../../kernel/kernel.ts';
import { initialPids, type Numbered, numberIn } from '../../kernel/pid-namespaces.ts';
import { groupUsage, Usage } from '../../kernel/usage.ts';
import type { AttributeChange, DirectorySink, Inode } from '../../vfs/inode.ts';
import { notifyGenerated } from '../../vfs/notify.ts';
import { entryType, VirtualDirectory } from '../virtual/directory.ts';
import { GeneratedFile, type TextSource } from '../virtual/inode.ts';
import { ROOT_INO, VirtualSuperblock } from '../virtual/superblock.ts';
import { CONTROLLERS, fixed, limitText, memoryInAll, memoryStatistics } from './cgroup-controllers.ts';
import { file } from './cgroup-file.ts';

/** Cgroups there may be, and how deep: they are gone through by recursion. */
const CGROUPS_MAX = 10_000;
const DEPTH_MAX = 64;
const MICROSECOND = 1000;
const EVENTS = 'cgroup.events';

/** Those that a hierarchy of version 1 has are not here. */
const isTaken = (name: string): boolean =>
  [...hierarchies.values()].some(({ controllers }) => controllers.includes(name));

export function numbers(things: Iterable<Numbered>): string {
  const namespace = kernel.current?.pidNamespace ?? initialPids;
  return [...things]
    .map((thing) => numberIn(namespace, thing) as number)
    .filter((number) => number > 0)
    .sort((a, b) => a - b)
    .map((number) => `${number}\n`)
    .join('');
}

/** cgroup.procs: moves a process here, 0 being the writer's own. */
export function moveHere(cgroup: Cgroup, text: string): number {
  const caller = kernel.current;
  const word = text.trim();
  if (!caller || !/^\d{1,9}$/.test(word)) return -EINVAL;
  // Processes are in the leaves of what is controlled.
  if (cgroup.enabled.size > 0 && cgroup.parent) return -EBUSY;
  const group = word === '0' ? caller.group : caller.pidNamespace.groups.get(Number(word) as Pid);
  if (!group || group.status >= 0) return -ESRCH;
  if (cgroup.hierarchy === null && group.cgroup.top !== cgroup.top) return -ENOENT; // another container's
  moveProcess(cgroup, group, kernel.groups.values());
  return 0;
}

/** cgroup.subtree_control: `+pids -pids` */
function control(cgroup: Cgroup, text: string): number {
  const words = text.split(/\s+/).filter((word) => word !== '');
  for (const word of words) {
    if (!/^[+-][a-z]+$/.test(word)) return -EINVAL;
    const name = word.slice(1);
    if (!Object.hasOwn(CONTROLLERS, name)) return -EINVAL;
    if (isTaken(name)) return -ENOENT;
    if (word[0] === '+' && cgroup.parent && !cgroup.parent.enabled.has(word.slice(1))) return -ENOENT;
    if (word[0] === '+' && cgroup.parent && membersOf(cgroup).length > 0) return -EBUSY;
    if (word[0] === '-' && [...cgroup.children.values()].some((child) => child.enabled.has(word.slice(1))))
      return -EBUSY;
  }
  for (const word of words) {
    if (word[0] === '+') cgroup.enabled.add(word.slice(1));
    else cgroup.enabled.delete(word.slice(1));
  }
  return 0;
}

/** cgroup.kill: everybody here and below. */
function kill(cgroup: Cgroup, text: string): number {
  if (text.trim() !== '1') return -EINVAL;
  const caller = kernel.current;
  for (const group of [...kernel.groups.values()]) {
    if (group.status < 0 && cgroup.holds(group)) killGroup(group, SIGKILL, caller?.group === group ? caller : null);
  }
  return 0;
}

/** What the processes of a cgroup have used, those that are gone among them. */
export function usageOf(cgroup: Cgroup): Usage {
  const sum = new Usage();
  const one = new Usage();
  addSpent(cgroup, sum);
  for (const group of kernel.groups.values()) {
    if (!cgroup.holds(group)) continue;
    groupUsage(group, one);
    sum.add(one);
  }
  return sum;
}

function addSpent({ spent, children }: Cgroup, sum: Usage): void {
  sum.userTime += spent.user;
  sum.systemTime += spent.system;
  for (const child of children.values()) addSpent(child, sum);
}

reapHooks.push((group) => {
  const { userTime, systemTime } = group.pastUsage;
  group.cgroup.note(userTime, systemTime);
  for (const hierarchy of hierarchies.values()) cgroupOf(group, hierarchy).note(userTime, systemTime);
});

groupExitHooks.push((group) => notePopulation(group.cgroup, kernel.groups.values()));

function cpuStatistics(cgroup: Cgroup): string {
  const sum = usageOf(cgroup);
  const [user, system] = [sum.userTime, sum.systemTime].map((time) => Math.floor(time / MICROSECOND));
  return `usage_usec ${user + system}\nuser_usec ${user}\nsystem_usec ${system}\n`;
}

/** What every cgroup has. */
const COMMON: Readonly<Record<string, TextSource<Cgroup>>> = {
  'cgroup.controllers': file(
    ({ parent }) =>
      `${Object.keys(CONTROLLERS)
        .filter((name) => (parent ? parent.enabled.has(name) : !isTaken(name)))
        .join(' ')}\n`,
  ),
  'cgroup.max.depth': file(() => 'max\n'),
  'cgroup.max.descendants': file(() => 'max\n'),
  'cgroup.procs': file((cgroup) => numbers(membersOf(cgroup)), moveHere),
  'cgroup.stat': file((cgroup) => `nr_descendants ${cgroup.descendants}\nnr_dying_descendants 0\n`),
  'cgroup.subtree_control': file(
    (cgroup) =>
      `${Object.keys(CONTROLLERS)
        .filter((name) => cgroup.enabled.has(name))
        .join(' ')}\n`,
    control,
  ),
  'cgroup.threads': file((cgroup) => numbers(membersOf(cgroup).flatMap(({ threads }) => [...threads]))),
  'cgroup.type': file(() => 'domain\n'),
  [EVENTS]: {
    ...file((cgroup) => `populated ${isPopulated(cgroup, kernel.groups.values()) ? 1 : 0}\nfrozen 0\n`),
    changes: ({ events }) => events,
  },
  'cpu.stat': file(cpuStatistics),
};

/** What a container's own has: the limits that it was given. */
const ROOT: Readonly<Record<string, TextSource<Cgroup>>> = {
  'cpu.max': file(({ limits }) => `${limitText(limits.cpuQuota)} ${limits.cpuPeriod}\n`),
  'memory.current': file((cgroup) => `${memoryInAll(cgroup)}\n`),
  'memory.stat': file(memoryStatistics),
  'memory.max': file(({ limits }) => `${limitText(limits.memory)}\n`),
  'pids.current': file((cgroup) => `${countTasks(cgroup, kernel.groups.values())}\n`),
  'pids.max': file(({ limits }) => `${limitText(limits.pids)}\n`),
};

const BELOW: Readonly<Record<string, TextSource<Cgroup>>> = {
  'cgroup.freeze': fixed(() => '0'),
  'cgroup.kill': { ...file(() => '', kill), mode: 0o200 },
};

let count = 0;
/** Directories in all filesystems, each of which has its own for a cgroup, and how many there may be. */
let directoriesInAll = 0;
const DIRECTORIES_MOST = 50_000;

/** The directory of a cgroup. */
export class CgroupDirectory extends VirtualDirectory {
  declare readonly superblock: CgroupSuperblock;
  readonly cgroup: Cgroup;
  private readonly files = new Map<string, Inode>();

  constructor(superblock: CgroupSuperblock, ino: number, cgroup: Cgroup) {
    super(superblock, ino, 0o755);
    this.cgroup = cgroup;
    for (const sources of superblock.filesOf(cgroup)) this.addFiles(sources);
  }

  private addFiles(sources: Readonly<Record<string, TextSource<Cgroup>>>): void {
    const { superblock } = this;
    for (const [name, source] of Object.entries(sources)) {
      this.files.set(name, new OwnedFile(superblock, superblock.nextIno(), this.cgroup, source));
    }
  }

  override get cacheable(): boolean {
    return false;
  }

  /** Tells those that watch cgroup.events or memory.events, by inotify(7), that it has changed. */
  eventsChanged(name: string): void {
    const file = this.files.get(name);
    if (file) notifyGenerated(this, name, file);
  }

  private has(name: string): boolean {
    const { parent, hierarchy } = this.cgroup;
    if (hierarchy !== null || !parent) return true;
    // In version 2 they are there while the parent has the controller enabled.
    const controller = Object.keys(CONTROLLERS).find((each) => Object.hasOwn(CONTROLLERS[each], name));
    return controller === undefined || parent.enabled.has(controller);
  }

  override lookup(name: string): Inode | number {
    const below = this.cgroup.children.get(name);
    if (below) return this.superblock.hasRoom(below) ? this.superblock.directoryOf(below) : -ENOMEM;
    return (this.has(name) && this.files.get(name)) || -ENOENT;
  }

  override readdir(offset: number, sink: DirectorySink): number {
    let index = 0;
    const entries: (readonly [string, Inode])[] = [...this.files].filter(([name]) => this.has(name));
    for (const [name, cgroup] of this.cgroup.children) entries.push([name, this.superblock.directoryOf(cgroup)]);
    for (const [name, inode] of entries) {
      if (index++ >= offset && !sink(name, inode.ino, entryType(inode), index)) break;
    }
    return 0;
  }

  override mkdir(name: string): Inode | number {
    const { cgroup } = this;
    if (this.files.has(name)) return -EEXIST;
    if (cgroup.removed) return -ENOENT;
    if (name.includes('\n')) return -EINVAL;
    let depth = 0;
    for (let at: Cgroup | null = cgroup; at; at = at.parent) depth++;
    if (count >= CGROUPS_MAX || depth > DEPTH_MAX || directoriesInAll >= DIRECTORIES_MOST) return -EAGAIN;
    count++;
    const made = new Cgroup(cgroup, name);
    cgroup.children.set(name, made);
    this.nlink++;
    return this.superblock.directoryOf(made);
  }

  override rmdir(name: string, target: Inode): number {
    const { cgroup } = target as CgroupDirectory;
    if (!(target instanceof CgroupDirectory)) return -EPERM;
    if (cgroup.children.size > 0 || isPopulated(cgroup, kernel.groups.values())) return -EBUSY;
    // Who has ended and was not waited for yet goes on being counted above.
    for (const group of kernel.groups.values()) if (cgroup.has(group)) this.cgroup.take(group);
    cgroup.removed = true;
    detachAll(cgroup);
    this.cgroup.note(cgroup.spent.user, cgroup.spent.system);
    boundTasks(cgroup, Infinity);
    limitMemory(cgroup, Infinity);
    this.cgroup.children.delete(name);
    this.nlink--;
    target.nlink = 0;
    count--;
    return 0;
  }

  override setattr(change: AttributeChange): number {
    return takeOwner(this, change) ?? super.setattr(change);
  }
}

/** Files of a cgroup can be given away: that is how a part of the tree is delegated. */
class OwnedFile extends GeneratedFile<Cgroup> {
  override setattr(change: AttributeChange): number {
    return takeOwner(this, change) ?? super.setattr(change);
  }
}

function takeOwner(inode: Inode, { mode, uid, gid }: AttributeChange): number | null {
  if (mode === undefined && uid === undefined && gid === undefined) return null;
  if (mode !== undefined) inode.mode = (inode.mode & ~0o7777) | (mode & 0o7777);
  if (uid !== undefined) inode.uid = uid;
  if (gid !== undefined) inode.gid = gid;
  return 0;
}

/** The cgroup filesystems that are mounted, or were. */
const superblocks = new Set<WeakRef<CgroupSuperblock>>();

function eventsChanged(cgroup: Cgroup, name: string): void {
  for (const reference of superblocks) {
    const superblock = reference.deref();
    if (superblock) superblock.knownDirectory(cgroup)?.eventsChanged(name);
    else superblocks.delete(reference);
  }
}

populationHooks.push((cgroup) => eventsChanged(cgroup, EVENTS));
memoryHooks.push((cgroup) => eventsChanged(cgroup, 'memory.events'));

export class CgroupSuperblock extends VirtualSuperblock {
  readonly typeName: string = 'cgroup2';
  readonly root: Inode;
  private readonly directories = new WeakMap<Cgroup, CgroupDirectory>();
  /** How many of these it has made. */
  private made = 0;

  /** What is mounted starts at the root of the mounter's cgroup namespace. */
  constructor(root: Cgroup = rootCgroup) {
    super();
    this.source = 'cgroup';
    this.magic = CGROUP2_SUPER_MAGIC;
    this.root = new CgroupDirectory(this, ROOT_INO, root);
    this.directories.set(root, this.root as CgroupDirectory);
    superblocks.add(new WeakRef(this));
  }

  /** The directory of a cgroup, if anybody has looked there. */
  knownDirectory(cgroup: Cgroup): CgroupDirectory | undefined {
    return this.directories.get(cgroup);
  }

  /** The files that a cgroup may have. */
  filesOf(cgroup: Cgroup): Readonly<Record<string, TextSource<Cgroup>>>[] {
    return cgroup.parent ? [COMMON, BELOW, ...Object.values(CONTROLLERS)] : [COMMON, ROOT];
  }

  /** Whether there is a directory for a cgroup, or may be one more. */
  hasRoom(cgroup: Cgroup): boolean {
    return directoriesInAll < DIRECTORIES_MOST || this.directories.has(cgroup);
  }

  override shutDown(): void {
    directoriesInAll -= this.made;
    this.made = 0;
  }

  directoryOf(cgroup: Cgroup): CgroupDirectory {
    let directory = this.directories.get(cgroup);
    if (!directory) {
      directoriesInAll++;
      this.made++;
      directory = new CgroupDirectory(this, this.nextIno(), cgroup);
      this.directories.set(cgroup, directory);
    }
    return directory;
  }
}
