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
