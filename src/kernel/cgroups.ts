// Control groups (cgroups(7), version 2) inside the sandbox: a tree by which programs group processes, count and bound
// their tasks, and end them together. The sandbox as a whole is in a cgroup of the host, which bounds memory and CPU.

import type { ThreadGroup } from './task.ts';

export class Cgroup {
  readonly parent: Cgroup | null;
  readonly name: string;
  readonly children = new Map<string, Cgroup>();
  /** Controllers that its children have (cgroup.subtree_control). */
  readonly enabled = new Set<string>();
  pidsMax = Number.POSITIVE_INFINITY;
  removed = false;

  constructor(parent: Cgroup | null, name: string) {
    this.parent = parent;
    this.name = name;
  }

  /** Whether it is the other or lies below it. */
  isWithin(other: Cgroup): boolean {
    for (let at: Cgroup | null = this; at; at = at.parent) if (at === other) return true;
    return false;
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

  get descendants(): number {
    let count = 0;
    for (const child of this.children.values()) count += 1 + child.descendants;
    return count;
  }
}

/** The one that the sandbox starts in. */
export const rootCgroup = new Cgroup(null, '');

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
  for (const group of groups) if (group.cgroup.isWithin(cgroup)) count += group.threads.size;
  return count;
}

/** Whether a cgroup that the process is in has as many tasks as it may. */
export function exceedsCgroupLimit(group: ThreadGroup, groups: Iterable<ThreadGroup>): boolean {
  if (bounded === 0) return false;
  const all = [...groups];
  for (let at: Cgroup | null = group.cgroup; at; at = at.parent) {
    if (at.pidsMax !== Infinity && countTasks(at, all) >= at.pidsMax) return true;
  }
  return false;
}
