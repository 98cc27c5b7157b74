// The namespaces of a task (namespaces(7)) other than those of its mounts, which follow from its root directory, of its
// ids, which is part of its credentials, and of its own number. The set is shared by all tasks that have the same ones,
// and never changes: a task that enters another namespace gets another set. A namespace lasts while a task, an open file
// of it or a mount of that file holds it.

import { EINVAL, ENOSPC } from '../abi/errno.ts';
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUTS,
} from '../abi/sched.ts';
import { Namespace } from '../base/namespace.ts';
import { initialUser, type UserNamespace } from '../base/user-namespace.ts';
import { type Cgroup, rootCgroup } from './cgroups.ts';
import { kernel } from './kernel.ts';
import { initialPids, MAX_PID_LEVEL, PidNamespace } from './pid-namespaces.ts';

/** uts_namespaces(7) */
export class UtsNamespace extends Namespace {
  hostname: string;
  domainname: string;

  constructor(owner: UserNamespace, hostname: string, domainname: string) {
    super('uts', owner);
    this.hostname = hostname;
    this.domainname = domainname;
  }
}

/** ipc_namespaces(7) */
export class IpcNamespace extends Namespace {
  /** What kernel/ipc keeps for it, null until it is asked for. */
  objects: IpcObjects | null = null;

  constructor(owner: UserNamespace) {
    super('ipc', owner);
  }

  protected override ended(): void {
    this.objects?.discard();
    this.objects = null;
  }
}

export interface IpcObjects {
  /** Nobody can reach them any more. */
  discard(): void;
}

/** network_namespaces(7) */
export class NetworkNamespace extends Namespace {
  /** src/net's Network, null until it is asked for. */
  network: object | null = null;

  constructor(owner: UserNamespace) {
    super('net', owner);
  }
}

/** cgroup_namespaces(7): the cgroup that its maker was in is the root to all in it. */
export class CgroupNamespace extends Namespace {
  readonly root: Cgroup;

  constructor(owner: UserNamespace, root: Cgroup) {
    super('cgroup', owner);
    this.root = root;
  }
}

/** time_namespaces(7) */
export class TimeNamespace extends Namespace {
  /** What its clocks are ahead of the sandbox's, in ns. */
  monotonic: number;
  boottime: number;
  /** Somebody is in it: its clocks are not set any more. */
  frozen = false;

  constructor(owner: UserNamespace, monotonic: number, boottime: number) {
    super('time', owner);
    this.monotonic = monotonic;
    this.boottime = boottime;
  }
}

export interface NamespaceSet {
  readonly uts: UtsNamespace;
  readonly ipc: IpcNamespace;
  readonly net: NetworkNamespace;
  readonly cgroup: CgroupNamespace;
  readonly time: TimeNamespace;
  /** Of the children it will make; what it has itself is in its number. */
  readonly timeForChildren: TimeNamespace;
  readonly pidForChildren: PidNamespace;
}

export interface Namespaces extends NamespaceSet {
  /** Tasks that have this set. */
  users: number;
}

const time = new TimeNamespace(initialUser, 0, 0);

/** What the sandbox starts with, which stays. */
export const initialNamespaces: Namespaces = {
  uts: new UtsNamespace(initialUser, 'cloister', '(none)'),
  ipc: new IpcNamespace(initialUser),
  net: new NetworkNamespace(initialUser),
  cgroup: new CgroupNamespace(initialUser, rootCgroup),
  time,
  timeForChildren: time,
  pidForChildren: initialPids,
  users: 1,
};
for (const namespace of members(initialNamespaces)) namespace.hold();

function members(set: NamespaceSet): Namespace[] {
  return [set.uts, set.ipc, set.net, set.cgroup, set.time, set.timeForChildren, set.pidForChildren];
}

/** A set for a task that is to be in these. */
export function namespaceSet(set: NamespaceSet): Namespaces {
  for (const namespace of members(set)) namespace.hold();
  return { ...set, users: 0 };
}

export function useNamespaces(set: Namespaces): Namespaces {
  set.users++;
  return set;
}

/** A task has the set no more. */
export function leaveNamespaces(set: Namespaces): void {
  if (--set.users === 0) for (const namespace of members(set)) namespace.letGo();
}

/** A set that was made is not wanted after all. */
export function discardNamespaces(set: NamespaceSet): void {
  leaveNamespaces(useNamespaces(namespaceSet(set)));
}

export const SET_FLAGS = CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP | CLONE_NEWTIME | CLONE_NEWPID;

/** Counts the namespaces of a set that `from` has not for a user. False when one is too many, with none counted. */
function countNew(set: NamespaceSet, from: NamespaceSet, uid: number): boolean {
  const old = new Set(members(from));
  const counted: Namespace[] = [];
  for (const namespace of new Set(members(set))) {
    if (old.has(namespace)) continue;
    if (!namespace.count(uid)) {
      for (const one of counted) one.discount();
      return false;
    }
    counted.push(namespace);
  }
  return true;
}

/**
 * The set of a task with new namespaces of the kinds that the flags (CLONE_NEW*) name, owned by `owner` and made by the
 * user `uid` of it. `pids`: the pid namespace that the task is in. -EINVAL when its children's is another already, -ENOSPC when there are too many.
 */
export function newNamespaces(
  from: Namespaces,
  flags: number,
  owner: UserNamespace,
  pids: PidNamespace,
  uid = 0,
): NamespaceSet | number {
  if (flags & CLONE_NEWPID) {
    if (pids !== from.pidForChildren || !owner.isWithin(pids.owner)) return -EINVAL;
    if (pids.level >= MAX_PID_LEVEL) return -ENOSPC;
  }
  const { uts, timeForChildren } = from;
  const set: NamespaceSet = {
    uts: flags & CLONE_NEWUTS ? new UtsNamespace(owner, uts.hostname, uts.domainname) : uts,
    ipc: flags & CLONE_NEWIPC ? new IpcNamespace(owner) : from.ipc,
    net: flags & CLONE_NEWNET ? new NetworkNamespace(owner) : from.net,
    cgroup:
      flags & CLONE_NEWCGROUP ? new CgroupNamespace(owner, kernel.current?.group.cgroup ?? rootCgroup) : from.cgroup,
    time: from.time,
    timeForChildren:
      flags & CLONE_NEWTIME
        ? new TimeNamespace(owner, timeForChildren.monotonic, timeForChildren.boottime)
        : timeForChildren,
    pidForChildren: flags & CLONE_NEWPID ? new PidNamespace(pids, owner) : from.pidForChildren,
  };
  return countNew(set, from, uid) ? set : -ENOSPC;
}
