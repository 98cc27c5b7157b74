// Credentials of a task (credentials(7), capabilities(7)): immutable once shared; a change makes a copy.
// Capability sets are two 32-bit words, as capget(2) has them.

import { initialUser, type UserNamespace } from './user-namespace.ts';

export interface CapabilitySet {
  low: number;
  high: number;
}

export interface Credentials {
  uid: number;
  gid: number;
  euid: number;
  egid: number;
  suid: number;
  sgid: number;
  fsuid: number;
  fsgid: number;
  groups: readonly number[];
  effective: CapabilitySet;
  permitted: CapabilitySet;
  inheritable: CapabilitySet;
  bounding: CapabilitySet;
  ambient: CapabilitySet;
  securebits: number;
  noNewPrivileges: boolean;
  /** Where its ids are looked up and its capabilities count. */
  user: UserNamespace;
}

export const NO_CAPABILITIES: CapabilitySet = Object.freeze({ low: 0, high: 0 });

/** Root's ids without any right: who owns what the sentry itself makes in a filesystem. */
export const ROOT: Credentials = Object.freeze({
  uid: 0,
  gid: 0,
  euid: 0,
  egid: 0,
  suid: 0,
  sgid: 0,
  fsuid: 0,
  fsgid: 0,
  groups: [],
  effective: NO_CAPABILITIES,
  permitted: NO_CAPABILITIES,
  inheritable: NO_CAPABILITIES,
  bounding: NO_CAPABILITIES,
  ambient: NO_CAPABILITIES,
  securebits: 0,
  noNewPrivileges: false,
  user: initialUser,
});

export function hasCapabilityIn(set: CapabilitySet, capability: number): boolean {
  return capability < 32 ? (set.low & (1 << capability)) !== 0 : (set.high & (1 << (capability - 32))) !== 0;
}

/** Whether it has the capability (CAP_*) over the sandbox as a whole: no other user namespace than the first gives it. */
export function capable(credentials: Credentials, capability: number): boolean {
  return credentials.user === initialUser && hasCapabilityIn(credentials.effective, capability);
}

/**
 * Whether it has the capability over what belongs to a user namespace: by its effective set in that one or one above,
 * and all of them over namespaces that its user made from where it is (user_namespaces(7)).
 */
export function capableIn(user: UserNamespace, credentials: Credentials, capability: number): boolean {
  const { user: own } = credentials;
  for (let at: UserNamespace | null = user; at !== null; at = at.parent) {
    if (at === own) return hasCapabilityIn(credentials.effective, capability);
    if (at.level <= own.level) return false;
    if (at.parent === own && at.ownerUid === credentials.euid) return true;
  }
  return false;
}

/** Whether gid is the file-system gid or a supplementary group. */
export function inGroup(credentials: Credentials, gid: number): boolean {
  return credentials.fsgid === gid || credentials.groups.includes(gid);
}
