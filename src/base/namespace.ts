// Namespaces (namespaces(7)) as such: each has an inode number by which programs tell it from others, and belongs to
// the user namespace that it was made in, whose capabilities rule over it. What a kind holds is with that kind.

import type { UserNamespace } from './user-namespace.ts';

export type NamespaceKind = 'cgroup' | 'ipc' | 'mnt' | 'net' | 'pid' | 'time' | 'user' | 'uts';

/** Inode numbers of the namespaces that the sandbox starts with: Linux's own for its initial ones. */
const INITIAL_INOS: Readonly<Record<NamespaceKind, number>> = {
  cgroup: 4026531835,
  ipc: 4026531839,
  mnt: 4026531841,
  net: 4026531840,
  pid: 4026531836,
  time: 4026531834,
  user: 4026531837,
  uts: 4026531838,
};

const NOBODY = -1;

/** The number given out last; those of namespaces that were made later follow. */
let lastIno = 4026532200;
const known = new Set<NamespaceKind>();

export abstract class Namespace {
  readonly kind: NamespaceKind;
  readonly ino: number;
  /** The user namespace it belongs to; for a user namespace its parent, and the first one belongs to itself. */
  readonly owner: UserNamespace;

  /** Sets of namespaces, open files and mounts that keep it. */
  private holders = 0;

  /** The user that it counts for (/proc/sys/user), by the sandbox's id; NOBODY while it does not count. */
  private countsFor = NOBODY;

  /** The first of a kind is the initial one. */
  constructor(kind: NamespaceKind, owner: UserNamespace | null) {
    this.kind = kind;
    this.owner = owner ?? (this as Namespace as UserNamespace);
    this.ino = known.has(kind) ? ++lastIno : INITIAL_INOS[kind];
    known.add(kind);
  }

  hold(): void {
    this.holders++;
  }

  letGo(): void {
    if (--this.holders > 0) return;
    this.discount();
    this.ended();
  }

  /** Counts it for a user of its owner. False if that is one too many: then it is not to be used. */
  count(uid: number): boolean {
    if (!this.owner.charge(this.kind, uid)) return false;
    this.countsFor = uid;
    return true;
  }

  discount(): void {
    if (this.countsFor === NOBODY) return;
    this.owner.uncharge(this.kind, this.countsFor);
    this.countsFor = NOBODY;
  }

  get held(): boolean {
    return this.holders > 0;
  }

  /** Nobody has it any more. */
  protected ended(): void {}

  get initial(): boolean {
    return this.ino === INITIAL_INOS[this.kind];
  }
}
