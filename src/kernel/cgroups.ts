// Control groups (cgroups(7)) inside the sandbox: trees by which programs group processes, count and bound their tasks, and
// end them together. One tree is version 2's; those of version 1 are hierarchies that programs mount, each with its
// controllers. The sandbox as a whole is in a cgroup of the host, which bounds memory and CPU. A container that joined it is
// in another of the host's, and has a tree of its own here.

import type { LimitsSpec } from '../base/spec.ts';
import { firstZygote, type Zygote } from '../platform/zygote.ts';
import { Changes } from '../vfs/changes.ts';
import type { ThreadGroup } from './task.ts';

/** A tree of version 1. */
export interface Hierarchy {
  readonly id: number;
  /** `name=`, or empty. */
  readonly name: string;
  readonly controllers: readonly string[];
  readonly root: Cgroup;
}

const NO_LIMITS: LimitsSpec = { pids: null, memory: null, cpuQuota: null, cpuPeriod: 100_000 };

export class Cgroup {
  readonly parent: Cgroup | null;
  readonly name: string;
  /** The tree of version 1 that it is in; null for version 2's. */
  readonly hierarchy: Hierarchy | null;
  readonly children = new Map<string, Cgroup>();
  /** Controllers that its children have (cgroup.subtree_control). */
  readonly enabled = new Set<string>();
  pidsMax = Number.POSITIVE_INFINITY;
  /** Of the root of a tree: what the container was given. */
  limits = NO_LIMITS;
  /** Of the root of a tree: whose blanks its programs are executed in, which are in a cgroup of the host's. */
  zygote: Zygote = firstZygote;
  /** CPU time of processes that are gone, in ns; of cgroups below that are gone, too. */
  readonly spent = { user: 0, system: 0 };
  removed = false;
  /** Its memory, in bytes: what it may be, with swap; whether all die when it is more; how often that was, who died. */
  readonly memory = {
    max: Number.POSITIVE_INFINITY,
    swapMax: Number.POSITIVE_INFINITY,
    killsAll: false,
    exceeded: 0,
    kills: 0,
    events: new Changes(false),
  };
  /** Whether a process was in it or below, when that was last looked at. */
  populated = false;
  /** Counts how often that has changed. */
  readonly events = new Changes(false);

  constructor(parent: Cgroup | null, name: string, hierarchy: Hierarchy | null = parent?.hierarchy ?? null) {
    this.parent = parent;
    this.name = name;
    this.hierarchy = hierarchy;
  }

  /** Whether a process is in it, and not below. */
  has(group: ThreadGroup): boolean {
    return cgroupOf(group, this.hierarchy) === this;
  }

  /** Whether a process is in it or below. */
  holds(group: ThreadGroup): boolean {
    return cgroupOf(group, this.hierarchy).isWithin(this);
  }

  /** Moves a process here. */
  take(group: ThreadGroup): void {
    if (this.hierarchy === null) group.cgroup = this;
    else {
      group.otherCgroups ??= new Map();
      group.otherCgroups.set(this.hierarchy, this);
    }
  }

  /** Whether it is the other or lies below it. */
  isWithin(other: Cgroup): boolean {
    for (let at: Cgroup | null = this; at; at = at.parent) if (at === other) return true;
    return false;
  }

  /** The root of its tree. */
  get top(): Cgroup {
    let at: Cgroup = this;
    while (at.parent) at = at.parent;
    return at;
  }

  /** Its path as seen from another, which need not be above it. */
  pathFrom(root: Cgroup): string {
    let up = '';
    let from = root;
    while (!this.isWithin(from) && from.parent) {
      up += '/..';
      from = from.parent;
    }
    let path = '';
    for (let at: Cgroup = this; at !== from && at.parent; at = at.parent) path = `/${at.name}${path}`;
    return `${up}${path}` || '/';
  }

  /** Somebody who spent that here is gone. */
  note(user: number, system: number): void {
    this.spent.user += user;
    this.spent.system += system;
  }

  get descendants(): number {
    let count = 0;
    for (const child of this.children.values()) count += 1 + child.descendants;
    return count;
  }
}

/** Told of each cgroup that has got its first process or lost its last. */
export const populationHooks: ((cgroup: Cgroup) => void)[] = [];

/** Whether a process that has not ended is in a cgroup or below. */
export function isPopulated(cgroup: Cgroup, groups: Iterable<ThreadGroup>): boolean {
  for (const group of groups) if (group.status < 0 && cgroup.holds(group)) return true;
  return false;
}

/** A process has come to a cgroup or gone from it: those above it change as long as each does. */
export function notePopulation(cgroup: Cgroup, groups: Iterable<ThreadGroup>): void {
  if (cgroup.parent === null) return;
  const all = [...groups];
  for (let at = cgroup; at.parent; at = at.parent) {
    const populated = isPopulated(at, all);
    if (populated === at.populated) return;
    at.populated = populated;
    at.events.note();
    for (const hook of populationHooks) hook(at);
  }
}

/** Moves a process to a cgroup. */
export function moveProcess(cgroup: Cgroup, group: ThreadGroup, groups: Iterable<ThreadGroup>): void {
  const from = cgroupOf(group, cgroup.hierarchy);
  const all = [...groups];
  cgroup.take(group);
  notePopulation(from, all);
  notePopulation(cgroup, all);
}

/** The one that the sandbox starts in. Those of containers that joined it have no parent either. */
export const rootCgroup = new Cgroup(null, '');

/** The hierarchies of version 1 that are mounted, by their numbers. */
export const hierarchies = new Map<number, Hierarchy>();

/** Which cgroup of a tree a process is in. */
export function cgroupOf(group: ThreadGroup, hierarchy: Hierarchy | null): Cgroup {
  if (hierarchy === null) return group.cgroup;
  return group.otherCgroups?.get(hierarchy) ?? hierarchy.root;
}

/** Begins a hierarchy with these controllers, which no other has. */
export function makeHierarchy(name: string, controllers: readonly string[]): Hierarchy {
  let id = 1;
  while (hierarchies.has(id)) id++;
  const hierarchy = { id, name, controllers, root: null as unknown as Cgroup };
  hierarchy.root = new Cgroup(null, '', hierarchy);
  hierarchies.set(id, hierarchy);
  return hierarchy;
}

/** Whether any cgroup bounds its tasks: next to never. */
let bounded = 0;

/** Sets pids.max. */
export function boundTasks(cgroup: Cgroup, most: number): void {
  bounded += Number(most !== Infinity) - Number(cgroup.pidsMax !== Infinity);
  cgroup.pidsMax = most;
}

/** How many tasks processes of a cgroup, and of those below it, have. */
export function countTasks(cgroup: Cgroup, groups: Iterable<ThreadGroup>): number {
  let count = 0;
  for (const group of groups) if (cgroup.holds(group)) count += group.threads.size;
  return count;
}

/** Whether a cgroup that the process is in has as many tasks as it may. */
export function exceedsCgroupLimit(group: ThreadGroup, groups: Iterable<ThreadGroup>): boolean {
  if (bounded === 0) return false;
  const all = [...groups];
  for (const hierarchy of [null, ...hierarchies.values()]) {
    const own = cgroupOf(group, hierarchy);
    if (isBounded(own) && isFull(own, all)) return true;
  }
  return false;
}

function isBounded(cgroup: Cgroup): boolean {
  for (let at: Cgroup | null = cgroup; at; at = at.parent) if (at.pidsMax !== Infinity) return true;
  return false;
}

/** Whether it, or one above it, has as many tasks as it may. Each process is looked at once, however deep the tree is. */
function isFull(cgroup: Cgroup, groups: readonly ThreadGroup[]): boolean {
  const direct = new Map<Cgroup, number>();
  for (const group of groups) {
    const its = cgroupOf(group, cgroup.hierarchy);
    direct.set(its, (direct.get(its) ?? 0) + group.threads.size);
  }
  const counts = new Map<Cgroup, number>();
  for (const [its, count] of direct)
    for (let at: Cgroup | null = its; at; at = at.parent) counts.set(at, (counts.get(at) ?? 0) + count);
  for (let at: Cgroup | null = cgroup; at; at = at.parent) if ((counts.get(at) ?? 0) >= at.pidsMax) return true;
  return false;
}
