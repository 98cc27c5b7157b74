// What must hold of tasks, processes, open files, mounts and address spaces, looked at from above: reference counts
// against who refers, lists against what says to be in them, states against what goes with them. For tests: see
// base/invariants.ts. Between two pieces of work of the loop nothing is half done.

import { addInvariant, violations } from '../base/invariants.ts';
import type { WaitEntry } from '../base/wait-queue.ts';
import { kernel } from '../kernel/kernel.ts';
import type { PidNamespace } from '../kernel/pid-namespaces.ts';
import type { PendingSignals } from '../kernel/signal-state.ts';
import { BLOCKED, DEAD, RESUMED, type Task, type ThreadGroup } from '../kernel/task.ts';
import type { AddressSpace } from '../mm/address-space.ts';
import { ownerOf } from '../platform/slots.ts';
import type { Dentry, FsContext, Mount } from '../vfs/dentry.ts';
import { type FdTable, filesInTables, placesInTables } from '../vfs/fd-table.ts';
import type { MountNamespace } from '../vfs/mount.ts';
import { mountsInAll } from '../vfs/mount.ts';
import type { OpenFile } from '../vfs/open-file.ts';
import { callName } from './turns.ts';

type Fail = (what: string) => void;

/** Signals from this one on are queued as often as they are sent. */
const SIGRTMIN = 32;
const LAST_SIGNAL = 64;
/** More than any program of a test brings about: what goes on for ever. */
const LONGEST_QUEUE = 1 << 20;
/** Calls that are remembered, for the report. */
const REMEMBERED = 24;

function count<T>(counts: Map<T, number>, thing: T): void {
  counts.set(thing, (counts.get(thing) ?? 0) + 1);
}

// ---- tasks ----

function checkWaits(task: Task, fail: Fail): void {
  const name = `task ${task.tid} in ${callName(task.nr)}`;
  const waits = task.state === BLOCKED || task.queued;
  if (!waits && task.waitCount > 0) fail(`${name} waits for ${task.waitCount} queues in state ${task.state}`);
  if (!waits && task.timeout.armed) fail(`${name} has a deadline in state ${task.state}`);
  for (const [index, entry] of task.waits.entries()) {
    if (index >= task.waitCount) {
      if (entry.queue !== null) fail(`${name} stands on a queue that it does not know`);
    } else if (entry.queue !== null && !isListed(entry)) fail(`${name} is not on the queue that it waits for`);
  }
  if (task.queued && task.state !== BLOCKED && task.state !== RESUMED && task.state !== DEAD)
    fail(`${name} is to run in state ${task.state}`);
}

/** Whether a wait entry is in its queue, whose links lead there and back. */
function isListed(entry: WaitEntry): boolean {
  let found = false;
  let before: WaitEntry | null = null;
  let length = 0;
  for (let at = entry.queue?.first ?? null; at !== null; at = at.next) {
    if (at.previous !== before || at.queue !== entry.queue || ++length > LONGEST_QUEUE) return false;
    found ||= at === entry;
    before = at;
  }
  return found && entry.queue?.last === before;
}

function checkPending(pending: PendingSignals, whose: string, fail: Fail): void {
  let low = 0;
  let high = 0;
  const seen = new Set<number>();
  for (const { signo } of pending.queue) {
    if (!(signo >= 1 && signo <= LAST_SIGNAL)) fail(`${whose}: signal ${signo}`);
    if (signo <= SIGRTMIN) low |= 1 << (signo - 1);
    else high |= 1 << (signo - 33);
    if (signo < SIGRTMIN && seen.has(signo)) fail(`${whose}: signal ${signo} is pending twice`);
    seen.add(signo);
  }
  if (low !== pending.low || high !== pending.high) fail(`${whose}: the pending set is not what is queued`);
}

function checkTask(task: Task, fail: Fail): void {
  const name = `task ${task.tid}`;
  if (task.state === DEAD) fail(`${name} is dead and listed`);
  if (!task.group.threads.has(task)) fail(`${name} is not a thread of its group`);
  if (!task.mm.tasks.has(task)) fail(`${name} is not in its address space`);
  if (!task.mm.blocks.has(task.block)) fail(`${name} has block ${task.block}, which is free`);
  const { slot } = task.memory;
  if (slot > 0 && ownerOf(slot) !== task) fail(`${name} does not own slot ${slot}`);
  if (slot > 0 && !task.mm.slots.has(slot)) fail(`${name} has slot ${slot}, which its process does not have`);
  if (task.files.users < 1 || task.fs.users < 1) fail(`${name} has a table that is nobody's`);
  checkWaits(task, fail);
  checkPending(task.pending, name, fail);
}

function checkGroup(group: ThreadGroup, fail: Fail): void {
  const name = `process ${group.pid}`;
  if (group.reaped) fail(`${name} was waited for and is listed`);
  if (group.status < 0 && group.threads.size === 0 && !group.pidNamespace.closed) fail(`${name} lives without threads`);
  for (const thread of group.threads) if (thread.group !== group) fail(`${name} has another's thread`);
  if (group.parent && !group.parent.children.has(group)) fail(`${name} is not a child of its parent`);
  for (const child of group.children) if (child.parent !== group) fail(`${name} has another's child`);
  const { processGroup } = group;
  if (!processGroup.members.has(group)) fail(`${name} is not in its process group`);
  if (processGroup.session.groups.get(processGroup.id) !== processGroup) fail(`${name}: a group without a session`);
  checkPending(group.pending, name, fail);
}

function checkNumbers(namespace: PidNamespace, fail: Fail): void {
  for (const table of ['tasks', 'groups', 'processGroups', 'sessions'] as const) {
    for (const [number, thing] of namespace[table])
      if (thing.numbers[namespace.level] !== number) fail(`${table}: ${number} is ${thing.numbers[namespace.level]}`);
  }
}

addInvariant((fail) => {
  const namespaces = new Set<PidNamespace>();
  const spaces = new Map<AddressSpace, number>();
  const actions = new Map<object, number>();
  for (const task of kernel.tasks.values()) {
    checkTask(task, fail);
    namespaces.add(task.pidNamespace);
    count(spaces, task.mm);
  }
  for (const group of kernel.groups.values()) {
    checkGroup(group, fail);
    if (group.threads.size > 0) count(actions, group.actions);
  }
  for (const namespace of namespaces) checkNumbers(namespace, fail);
  for (const [mm, users] of spaces) {
    if (mm.tasks.size !== users) fail(`an address space has ${mm.tasks.size} tasks, used by ${users}`);
    if (mm.spareSlots.length !== mm.spareBlocks.length) fail('an address space has slots without blocks');
    for (const slot of mm.spareSlots) if (ownerOf(slot) !== null) fail(`slot ${slot} is spare and has an owner`);
  }
});

// ---- open files, directories, mounts ----

interface Users {
  readonly tables: Map<FdTable, number>;
  readonly contexts: Map<FsContext, number>;
}

function usersOfTables(): Users {
  const users: Users = { tables: new Map(), contexts: new Map() };
  for (const { files, fs } of kernel.tasks.values()) {
    count(users.tables, files);
    count(users.contexts, fs);
  }
  return users;
}

function checkFiles(tables: Iterable<FdTable>, pins: Map<Dentry, number>, fail: Fail): void {
  const descriptors = new Map<OpenFile, number>();
  const opens = new Map<Dentry, number>();
  let places = 0;
  for (const table of tables) {
    table.check(fail);
    places += table.files.length;
    for (const file of table.files) if (file) count(descriptors, file);
  }
  if (places !== placesInTables()) fail(`${places} places in tables, counted ${placesInTables()}`);
  if (descriptors.size !== filesInTables()) fail(`${descriptors.size} open files, counted ${filesInTables()}`);
  for (const [file, users] of descriptors) {
    const name = `the open file ${file.path.dentry.name}`;
    if (file.descriptors !== users) fail(`${name} has ${users} descriptors, counted ${file.descriptors}`);
    if (file.refs < users) fail(`${name} has ${users} descriptors and ${file.refs} references`);
    if (file.inode.uses < 1) fail(`${name} has an inode without users`);
    count(opens, file.path.dentry);
  }
  for (const [dentry, users] of opens)
    if (dentry.opens < users) fail(`the name ${dentry.name} is open ${users} times, counted ${dentry.opens}`);
  for (const [dentry, users] of pins)
    if (dentry.pins < users) fail(`the name ${dentry.name} is held ${users} times, counted ${dentry.pins}`);
}

function checkMount(mount: Mount, namespace: MountNamespace, pins: Map<Dentry, number>, fail: Fail): number {
  let sum = 1;
  count(pins, mount.root);
  if (mount.namespace !== namespace) fail(`mount ${mount.id} is in another tree`);
  if (mount.superblock.mounts < 1) fail(`mount ${mount.id} shows a file system that is gone`);
  for (const child of mount.children) {
    if (child.parent !== mount) fail(`mount ${child.id} has another parent`);
    if (!child.mountpoint?.mounts?.includes(child)) fail(`mount ${child.id} is not where it is mounted`);
    sum += checkMount(child, namespace, pins, fail);
  }
  return sum;
}

addInvariant((fail) => {
  const { tables, contexts } = usersOfTables();
  const pins = new Map<Dentry, number>();
  const namespaces = new Set<MountNamespace>();
  for (const [table, users] of tables)
    if (table.users !== users) fail(`a table of descriptors has ${users} users, counted ${table.users}`);
  for (const [context, users] of contexts) {
    if (context.users !== users) fail(`a working directory has ${users} users, counted ${context.users}`);
    count(pins, context.root.dentry);
    count(pins, context.cwd.dentry);
    if (context.root.mount.namespace) namespaces.add(context.root.mount.namespace);
  }
  let mounts = 0;
  for (const namespace of namespaces) mounts += checkMount(namespace.root, namespace, pins, fail);
  if (mounts > mountsInAll()) fail(`${mounts} mounts, counted ${mountsInAll()}`);
  checkFiles(tables.keys(), pins, fail);
});

// ---- when it is asked ----

/** Asks every `interval` turns of the loop; `broken` is told what does not hold, and what was done last. */
export class Checker {
  private readonly interval: number;
  private readonly broken: (report: string) => never;
  private readonly recent: string[] = [];
  private turns = 0;

  constructor(interval: number, broken: (report: string) => never) {
    this.interval = interval;
    this.broken = broken;
  }

  /** A turn of the loop is over, in which this was done; '' for nothing. */
  turn(what: string): void {
    if (what !== '') this.recent.push(what);
    if (this.recent.length > REMEMBERED) this.recent.shift();
    if (++this.turns % this.interval === 0) this.check();
  }

  check(): void {
    const found = violations();
    if (found.length === 0) return;
    const lines = found.slice(0, 20).map((line) => `invariant: ${line}`);
    this.broken(`${lines.join('\n')}\nafter ${this.recent.join(', ')}`);
  }
}
