// Propagation of mounts (mount_namespaces(7)): what is mounted on or taken off one mount of a peer group is so on all of
// them, and on their slaves. Here is who belongs together; the trees themselves are changed by mount.ts.

import { MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE } from '../abi/mount.ts';
import type { Dentry, Mount } from './dentry.ts';

/** Mounts that share what is mounted on them, and the slaves that only receive it. */
export class PeerGroup {
  readonly id: number;
  readonly members = new Set<Mount>();
  readonly slaves = new Set<Mount>();

  constructor() {
    let id = 1;
    while (groups.has(id)) id++;
    this.id = id;
    groups.set(id, this);
  }
}

const groups = new Map<number, PeerGroup>();

function join(mount: Mount, group: PeerGroup): void {
  mount.peers = group;
  group.members.add(mount);
}

function follow(mount: Mount, master: PeerGroup | null): void {
  mount.master?.slaves.delete(mount);
  mount.master = master;
  master?.slaves.add(mount);
}

/** Takes a mount out of its peer group; slaves of a group that has no members left follow `heir`. */
function leave(mount: Mount, heir: PeerGroup | null): void {
  const group = mount.peers;
  if (!group) return;
  mount.peers = null;
  group.members.delete(mount);
  if (group.members.size > 0) return;
  for (const slave of [...group.slaves]) follow(slave, heir);
  groups.delete(group.id);
}

/** Makes a mount MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE. */
export function setPropagation(mount: Mount, type: number): void {
  mount.unbindable = type === MS_UNBINDABLE;
  if (type === MS_SHARED) {
    if (!mount.peers) join(mount, new PeerGroup());
    return;
  }
  const group = mount.peers;
  const others = group !== null && group.members.size > 1;
  leave(mount, mount.master);
  if (type !== MS_SLAVE) follow(mount, null);
  else if (others) follow(mount, group);
}

/** MS_* of a mount, as statmount(2) tells them. */
export function propagationOf(mount: Mount): number {
  let type = 0;
  if (mount.peers) type |= MS_SHARED;
  if (mount.master) type |= MS_SLAVE;
  if (mount.unbindable) type |= MS_UNBINDABLE;
  return type === 0 ? MS_PRIVATE : type;
}

/** A copy of a mount receives what the original does, and with `asSlave` only receives what its peers would share. */
export function inheritPropagation(copy: Mount, from: Mount, asSlave: boolean): void {
  if (from.peers && !asSlave) join(copy, from.peers);
  follow(copy, from.peers && asSlave ? from.peers : from.master);
}

/** The mount is gone. */
export function forgetPropagation(mount: Mount): void {
  setPropagation(mount, MS_PRIVATE);
}

/** A place where something that happens on another mount happens too. */
export interface Receiver {
  readonly mount: Mount;
  /** Null: it is a peer; else the slave's own group, or its being one of none, makes its copies slaves. */
  readonly slave: boolean;
  /** Its group, for which copies are peers of each other; null for a slave that shares with nobody. */
  readonly group: PeerGroup | null;
  /** The group from which it receives. */
  readonly from: PeerGroup;
}

/** Where what is done at a dentry of `mount` happens too, those who pass it on before those who receive it from them. */
export function receivers(mount: Mount, dentry: Dentry): Receiver[] {
  const found: Receiver[] = [];
  if (mount.peers) collect(mount.peers, mount, dentry, found, new Set());
  return found;
}

function collect(group: PeerGroup, except: Mount, dentry: Dentry, into: Receiver[], seen: Set<PeerGroup>): void {
  seen.add(group);
  for (const member of group.members) {
    if (member !== except && covers(member, dentry) && !into.some((one) => one.mount === member)) {
      into.push({ mount: member, slave: false, group, from: group });
    }
  }
  for (const slave of group.slaves) {
    const own = slave.peers;
    if (own === null) {
      if (covers(slave, dentry)) into.push({ mount: slave, slave: true, group: null, from: group });
    } else if (!seen.has(own)) {
      for (const member of own.members) {
        if (covers(member, dentry)) into.push({ mount: member, slave: true, group: own, from: group });
      }
      collect(own, except, dentry, into, seen);
    }
  }
}

/** Whether a mount that is in a tree shows the dentry. */
function covers(mount: Mount, dentry: Dentry): boolean {
  if (mount.namespace === null) return false;
  for (let at: Dentry | null = dentry; at; at = at.parent) if (at === mount.root) return true;
  return false;
}
