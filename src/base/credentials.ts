// Credentials of a task (credentials(7), capabilities(7)): immutable once shared; a change makes a copy.
// Capability sets are two 32-bit words, as capget(2) has them.

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
});

export function hasCapabilityIn(set: CapabilitySet, capability: number): boolean {
  return capability < 32 ? (set.low & (1 << capability)) !== 0 : (set.high & (1 << (capability - 32))) !== 0;
}

/** Whether the effective set holds the capability (CAP_*). */
export function capable(credentials: Credentials, capability: number): boolean {
  return hasCapabilityIn(credentials.effective, capability);
}

/** Whether gid is the file-system gid or a supplementary group. */
export function inGroup(credentials: Credentials, gid: number): boolean {
  return credentials.fsgid === gid || credentials.groups.includes(gid);
}
