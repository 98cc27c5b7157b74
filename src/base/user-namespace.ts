// User namespaces (user_namespaces(7)): which ids of the sandbox the programs in one see as which, and who made it.
// Inside the kernel every user and group id is the initial namespace's; ids are translated where programs give or see
// them. The first namespace maps all ids to themselves and costs nothing.

import { Namespace, type NamespaceKind } from './namespace.ts';

/** The id that stands for no id: (uid_t) -1. */
export const NO_ID = 0xffffffff;
/** What programs see of an id that their namespace does not map (/proc/sys/kernel/overflowuid). */
export const OVERFLOW_ID = 65534;
/** The deepest level that Linux lets another one be made in. */
export const MAX_USER_LEVEL = 32;

/** Namespaces of a kind for one user, while nobody has set another limit: in the first user namespace, and in others. */
const DEFAULT_LIMIT = 96365;
const UNLIMITED = 2 ** 31 - 1;

/** `count` ids from `first` on, as the namespace's programs see them, are the sandbox's from `kernel` on. */
export interface IdRange {
  readonly first: number;
  readonly kernel: number;
  readonly count: number;
}

export class UserNamespace extends Namespace {
  readonly parent: UserNamespace | null;
  readonly level: number;
  /** Who made it, by the sandbox's ids: has all capabilities over it when in its parent. */
  readonly ownerUid: number;
  readonly ownerGid: number;
  /** Null: every id is itself. Empty until somebody writes the map. */
  uidMap: readonly IdRange[] | null;
  gidMap: readonly IdRange[] | null;
  /** /proc/PID/setgroups */
  setgroupsAllowed = true;
  /** Whoever made it might have had any gid mapped: CAP_SETFCAP at that time (a map of root needs it). */
  readonly makerCouldSetFileCapabilities: boolean;

  constructor(parent: UserNamespace | null, ownerUid: number, ownerGid: number, couldSetFileCapabilities: boolean) {
    super('user', parent);
    this.parent = parent;
    this.level = parent === null ? 0 : parent.level + 1;
    this.ownerUid = ownerUid;
    this.ownerGid = ownerGid;
    this.uidMap = parent === null ? null : [];
    this.gidMap = parent === null ? null : [];
    this.setgroupsAllowed = parent?.setgroupsAllowed ?? true;
    this.makerCouldSetFileCapabilities = couldSetFileCapabilities;
  }

  /** Most namespaces of a kind for each of its users; what is not there is unlimited. */
  readonly limits = new Map<NamespaceKind, number>();
  /** How many there are, by kind and user. */
  private readonly counts = new Map<string, number>();

  limit(kind: NamespaceKind): number {
    return this.limits.get(kind) ?? (this.parent === null ? DEFAULT_LIMIT : UNLIMITED);
  }

  /** Counts a namespace for a user here, and for whoever made this one above. False at a limit, with nothing counted. */
  charge(kind: NamespaceKind, uid: number): boolean {
    const key = `${kind} ${uid}`;
    const count = this.counts.get(key) ?? 0;
    if (count >= this.limit(kind) || this.parent?.charge(kind, this.ownerUid) === false) return false;
    this.counts.set(key, count + 1);
    return true;
  }

  uncharge(kind: NamespaceKind, uid: number): void {
    const key = `${kind} ${uid}`;
    const count = (this.counts.get(key) ?? 0) - 1;
    if (count > 0) this.counts.set(key, count);
    else this.counts.delete(key);
    this.parent?.uncharge(kind, this.ownerUid);
  }

  /** Whether this one is the other or lies within it. */
  isWithin(other: UserNamespace): boolean {
    let at: UserNamespace | null = this;
    while (at !== null && at.level > other.level) at = at.parent;
    return at === other;
  }
}

/** The one that the sandbox starts with. */
export const initialUser = new UserNamespace(null, 0, 0, true);

/** The sandbox's id of one that a program gave, or NO_ID if the namespace has none for it. */
export function idFrom(map: readonly IdRange[] | null, id: number): number {
  if (map === null || id === NO_ID) return id;
  for (const { first, kernel, count } of map) if (id >= first && id < first + count) return kernel + id - first;
  return NO_ID;
}

/** What a program of the namespace sees of the sandbox's id, or NO_ID. */
export function idInto(map: readonly IdRange[] | null, id: number): number {
  if (map === null) return id;
  for (const { first, kernel, count } of map) if (id >= kernel && id < kernel + count) return first + id - kernel;
  return NO_ID;
}

/** As `idInto`, with the overflow id for what is not mapped: how ids are shown. */
export function shownId(map: readonly IdRange[] | null, id: number): number {
  if (map === null) return id;
  const shown = idInto(map, id);
  return shown === NO_ID ? OVERFLOW_ID : shown;
}
