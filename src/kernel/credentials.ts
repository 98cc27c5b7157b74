// Changes of credentials (credentials(7), capabilities(7)) as pure functions: each takes the old credentials and gives
// new ones or a negative errno. What else hangs on a change (dumpability, the parent-death signal) is done by
// `commitCredentials`. Ids are the sandbox's (base/user-namespace.ts): root is whom the user
// namespace calls 0.

import {
  CAP_CHOWN,
  CAP_DAC_OVERRIDE,
  CAP_DAC_READ_SEARCH,
  CAP_FOWNER,
  CAP_FSETID,
  CAP_KILL,
  CAP_LAST_CAP,
  CAP_LINUX_IMMUTABLE,
  CAP_MAC_OVERRIDE,
  CAP_MKNOD,
  CAP_SETGID,
  CAP_SETPCAP,
  CAP_SETUID,
  CAP_SYS_PTRACE,
} from '../abi/capability.ts';
import { EINVAL, EPERM } from '../abi/errno.ts';
import { ADDR_NO_RANDOMIZE } from '../abi/misc.ts';
import {
  SECBIT_KEEP_CAPS,
  SECBIT_KEEP_CAPS_LOCKED,
  SECBIT_NO_CAP_AMBIENT_RAISE,
  SECBIT_NO_SETUID_FIXUP,
  SECBIT_NOROOT,
} from '../abi/prctl.ts';
import { SIGCONT } from '../abi/signal.ts';
import { S_ISGID, S_ISUID, S_IXGRP } from '../abi/stat.ts';
import {
  type CapabilitySet,
  type Credentials,
  capableIn,
  hasCapabilityIn,
  NO_CAPABILITIES,
} from '../base/credentials.ts';
import type { ProcessSpec } from '../base/spec.ts';
import { idFrom, idInto, initialUser, NO_ID, type UserNamespace } from '../base/user-namespace.ts';
import { showOwnAnswers } from './own-answers.ts';
import type { Task } from './task.ts';

/** The id that means "leave it alone": -1 as the calls get it. */
export const UNCHANGED = 0xffffffff;
export const NGROUPS_MAX = 65536;

/** Every capability that exists. */
export const ALL_CAPABILITIES: CapabilitySet = Object.freeze({
  low: 0xffffffff,
  high: 2 ** (CAP_LAST_CAP - 31) - 1,
});

/** Secure bits that exist, without and with their locks (securebits.h; the two of exec checks came with Linux 6.14). */
const SECURE_BITS = 0x555;
const SECURE_LOCKS = 0xaaa;
/** Secure bits (and locks) that take no privilege: programs restrict themselves with them. */
const SECURE_UNPRIVILEGED = 0xf00;

// ---- capability sets ----

/** A set from two words of any sign; bits of capabilities that do not exist are dropped. */
export function capabilitySet(low: number, high: number): CapabilitySet {
  return { low: low >>> 0, high: (high & ALL_CAPABILITIES.high) >>> 0 };
}

export function union(a: CapabilitySet, b: CapabilitySet): CapabilitySet {
  return capabilitySet(a.low | b.low, a.high | b.high);
}

export function intersection(a: CapabilitySet, b: CapabilitySet): CapabilitySet {
  return capabilitySet(a.low & b.low, a.high & b.high);
}

/** What is in `a` and not in `b`. */
export function difference(a: CapabilitySet, b: CapabilitySet): CapabilitySet {
  return capabilitySet(a.low & ~b.low, a.high & ~b.high);
}

export function isSubset(a: CapabilitySet, of: CapabilitySet): boolean {
  return (a.low & ~of.low) === 0 && (a.high & ~of.high) === 0;
}

function only(capability: number): CapabilitySet {
  return capability < 32 ? capabilitySet(1 << capability, 0) : capabilitySet(0, 1 << (capability - 32));
}

export function isCapability(capability: number): boolean {
  return capability >= 0 && capability <= CAP_LAST_CAP;
}

/** A set from the 16 hexadecimal digits of /proc/PID/status. */
export function parseCapabilities(digits: string): CapabilitySet {
  return capabilitySet(Number.parseInt(digits.slice(8), 16), Number.parseInt(digits.slice(0, 8), 16));
}

/** The 16 hexadecimal digits of /proc/PID/status. */
export function formatCapabilities(set: CapabilitySet): string {
  return (set.high >>> 0).toString(16).padStart(8, '0') + (set.low >>> 0).toString(16).padStart(8, '0');
}

const FS_CAPABILITIES = [
  CAP_CHOWN,
  CAP_MKNOD,
  CAP_DAC_OVERRIDE,
  CAP_DAC_READ_SEARCH,
  CAP_FOWNER,
  CAP_FSETID,
  CAP_LINUX_IMMUTABLE,
  CAP_MAC_OVERRIDE,
].reduce((set, capability) => union(set, only(capability)), NO_CAPABILITIES);

// ---- the start ----

/** Credentials of the sandbox's first process, before its exec. */
export function credentialsFromSpec(process: ProcessSpec): Credentials {
  const { uid, gid, capabilities } = process;
  const permitted = parseCapabilities(capabilities.permitted);
  const inheritable = parseCapabilities(capabilities.inheritable);
  return {
    uid,
    gid,
    euid: uid,
    egid: gid,
    suid: uid,
    sgid: gid,
    fsuid: uid,
    fsgid: gid,
    groups: sortedGroups(process.additionalGids),
    permitted,
    inheritable,
    effective: intersection(parseCapabilities(capabilities.effective), permitted),
    bounding: parseCapabilities(capabilities.bounding),
    ambient: intersection(parseCapabilities(capabilities.ambient), intersection(permitted, inheritable)),
    securebits: 0,
    noNewPrivileges: process.noNewPrivileges,
    user: initialUser,
  };
}

// ---- user and group ids ----

/** setuid(2). */
export function setUid(old: Credentials, uid: number): Credentials | number {
  if (uid === UNCHANGED) return -EINVAL;
  const fresh = { ...old, euid: uid, fsuid: uid };
  if (hasCapabilityIn(old.effective, CAP_SETUID)) fresh.uid = fresh.suid = uid;
  else if (uid !== old.uid && uid !== old.suid) return -EPERM;
  return fixUserChange(old, fresh);
}

/** setreuid(2). */
export function setReUid(old: Credentials, ruid: number, euid: number): Credentials | number {
  const privileged = hasCapabilityIn(old.effective, CAP_SETUID);
  const fresh = { ...old };
  if (ruid !== UNCHANGED) {
    if (!privileged && ruid !== old.uid && ruid !== old.euid) return -EPERM;
    fresh.uid = ruid;
  }
  if (euid !== UNCHANGED) {
    if (!privileged && euid !== old.uid && euid !== old.euid && euid !== old.suid) return -EPERM;
    fresh.euid = euid;
  }
  if (ruid !== UNCHANGED || (euid !== UNCHANGED && euid !== old.uid)) fresh.suid = fresh.euid;
  fresh.fsuid = fresh.euid;
  return fixUserChange(old, fresh);
}

/** setresuid(2). */
export function setResUid(old: Credentials, ruid: number, euid: number, suid: number): Credentials | number {
  const owned = (id: number) => id === UNCHANGED || id === old.uid || id === old.euid || id === old.suid;
  if (!(owned(ruid) && owned(euid) && owned(suid)) && !hasCapabilityIn(old.effective, CAP_SETUID)) return -EPERM;
  const fresh = { ...old };
  if (ruid !== UNCHANGED) fresh.uid = ruid;
  if (suid !== UNCHANGED) fresh.suid = suid;
  if (euid !== UNCHANGED) fresh.euid = euid;
  if (
    fresh.uid === old.uid &&
    fresh.suid === old.suid &&
    (euid === UNCHANGED || (euid === old.euid && euid === old.fsuid))
  )
    return old;
  fresh.fsuid = fresh.euid;
  return fixUserChange(old, fresh);
}

/** setfsuid(2): the old credentials when it is not allowed; the call cannot fail. */
export function setFsUid(old: Credentials, uid: number): Credentials {
  if (uid === UNCHANGED || uid === old.fsuid) return old;
  const owned = uid === old.uid || uid === old.euid || uid === old.suid;
  if (!owned && !hasCapabilityIn(old.effective, CAP_SETUID)) return old;
  const fresh = { ...old, fsuid: uid };
  if (old.securebits & SECBIT_NO_SETUID_FIXUP) return fresh;
  const root = rootOf(old);
  if (old.fsuid === root) fresh.effective = difference(old.effective, FS_CAPABILITIES);
  else if (uid === root) fresh.effective = union(old.effective, intersection(FS_CAPABILITIES, old.permitted));
  return fresh;
}

/** setgid(2). */
export function setGid(old: Credentials, gid: number): Credentials | number {
  if (gid === UNCHANGED) return -EINVAL;
  const fresh = { ...old, egid: gid, fsgid: gid };
  if (hasCapabilityIn(old.effective, CAP_SETGID)) fresh.gid = fresh.sgid = gid;
  else if (gid !== old.gid && gid !== old.sgid) return -EPERM;
  return fresh;
}

/** setregid(2). */
export function setReGid(old: Credentials, rgid: number, egid: number): Credentials | number {
  const privileged = hasCapabilityIn(old.effective, CAP_SETGID);
  const fresh = { ...old };
  if (rgid !== UNCHANGED) {
    if (!privileged && rgid !== old.gid && rgid !== old.egid) return -EPERM;
    fresh.gid = rgid;
  }
  if (egid !== UNCHANGED) {
    if (!privileged && egid !== old.gid && egid !== old.egid && egid !== old.sgid) return -EPERM;
    fresh.egid = egid;
  }
  if (rgid !== UNCHANGED || (egid !== UNCHANGED && egid !== old.gid)) fresh.sgid = fresh.egid;
  fresh.fsgid = fresh.egid;
  return fresh;
}

/** setresgid(2). */
export function setResGid(old: Credentials, rgid: number, egid: number, sgid: number): Credentials | number {
  const owned = (id: number) => id === UNCHANGED || id === old.gid || id === old.egid || id === old.sgid;
  if (!(owned(rgid) && owned(egid) && owned(sgid)) && !hasCapabilityIn(old.effective, CAP_SETGID)) return -EPERM;
  const fresh = { ...old };
  if (rgid !== UNCHANGED) fresh.gid = rgid;
  if (sgid !== UNCHANGED) fresh.sgid = sgid;
  if (egid !== UNCHANGED) fresh.egid = egid;
  if (
    fresh.gid === old.gid &&
    fresh.sgid === old.sgid &&
    (egid === UNCHANGED || (egid === old.egid && egid === old.fsgid))
  )
    return old;
  fresh.fsgid = fresh.egid;
  return fresh;
}

/** setfsgid(2): the old credentials when it is not allowed; the call cannot fail. */
export function setFsGid(old: Credentials, gid: number): Credentials {
  if (gid === UNCHANGED || gid === old.fsgid) return old;
  const owned = gid === old.gid || gid === old.egid || gid === old.sgid;
  return owned || hasCapabilityIn(old.effective, CAP_SETGID) ? { ...old, fsgid: gid } : old;
}

/** setgroups(2), of a list whose length was checked. */
export function setGroups(old: Credentials, groups: readonly number[]): Credentials | number {
  if (!hasCapabilityIn(old.effective, CAP_SETGID)) return -EPERM;
  if (groups.includes(UNCHANGED)) return -EINVAL;
  return { ...old, groups: sortedGroups(groups) };
}

function sortedGroups(groups: readonly number[]): readonly number[] {
  return [...groups].sort((a, b) => a - b);
}

/** The user who is root to these credentials; NO_ID if nobody is. */
function rootOf({ user }: Credentials): number {
  return idFrom(user.uidMap, 0);
}

/** The effect of changed user ids on the capabilities, unless SECBIT_NO_SETUID_FIXUP says there is none. */
function fixUserChange(old: Credentials, fresh: Credentials): Credentials {
  if (old.securebits & SECBIT_NO_SETUID_FIXUP) return fresh;
  const root = rootOf(old);
  const wasRoot = old.uid === root || old.euid === root || old.suid === root;
  const isRoot = fresh.uid === root || fresh.euid === root || fresh.suid === root;
  if (wasRoot && !isRoot) {
    if (!(old.securebits & SECBIT_KEEP_CAPS)) fresh.permitted = fresh.effective = NO_CAPABILITIES;
    fresh.ambient = NO_CAPABILITIES;
  }
  if (old.euid === root && fresh.euid !== root) fresh.effective = NO_CAPABILITIES;
  if (old.euid !== root && fresh.euid === root) fresh.effective = fresh.permitted;
  return fresh;
}

// ---- capabilities ----

/** capset(2). */
export function setCapabilities(
  old: Credentials,
  effective: CapabilitySet,
  permitted: CapabilitySet,
  inheritable: CapabilitySet,
): Credentials | number {
  if (!hasCapabilityIn(old.effective, CAP_SETPCAP) && !isSubset(inheritable, union(old.inheritable, old.permitted)))
    return -EPERM;
  if (!isSubset(inheritable, union(old.inheritable, old.bounding))) return -EPERM;
  if (!isSubset(permitted, old.permitted)) return -EPERM;
  if (!isSubset(effective, permitted)) return -EPERM;
  const ambient = intersection(old.ambient, intersection(permitted, inheritable));
  return { ...old, effective, permitted, inheritable, ambient };
}

/** prctl(PR_CAPBSET_DROP). */
export function dropBounding(old: Credentials, capability: number): Credentials | number {
  if (!hasCapabilityIn(old.effective, CAP_SETPCAP)) return -EPERM;
  if (!isCapability(capability)) return -EINVAL;
  return { ...old, bounding: difference(old.bounding, only(capability)) };
}

/** prctl(PR_SET_KEEPCAPS). */
export function setKeepCapabilities(old: Credentials, keep: number): Credentials | number {
  if (keep !== 0 && keep !== 1) return -EINVAL;
  if (old.securebits & SECBIT_KEEP_CAPS_LOCKED) return -EPERM;
  const securebits = keep ? old.securebits | SECBIT_KEEP_CAPS : old.securebits & ~SECBIT_KEEP_CAPS;
  return { ...old, securebits };
}

/** prctl(PR_SET_SECUREBITS). */
export function setSecurebits(old: Credentials, bits: number): Credentials | number {
  if (!(bits >= 0 && bits <= (SECURE_BITS | SECURE_LOCKS))) return -EPERM;
  const locked = old.securebits & SECURE_LOCKS;
  const changed = old.securebits ^ bits;
  if ((locked >> 1) & changed || locked & ~bits) return -EPERM;
  // Without privilege even setting what is set already is refused, as it always was.
  if (!hasCapabilityIn(old.effective, CAP_SETPCAP) && (changed === 0 || changed & ~SECURE_UNPRIVILEGED)) return -EPERM;
  return { ...old, securebits: bits };
}

/** prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE) of a capability that exists. */
export function raiseAmbient(old: Credentials, capability: number): Credentials | number {
  if (!hasCapabilityIn(old.permitted, capability) || !hasCapabilityIn(old.inheritable, capability)) return -EPERM;
  if (old.securebits & SECBIT_NO_CAP_AMBIENT_RAISE) return -EPERM;
  return { ...old, ambient: union(old.ambient, only(capability)) };
}

/** prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER) of a capability that exists. */
export function lowerAmbient(old: Credentials, capability: number): Credentials {
  return { ...old, ambient: difference(old.ambient, only(capability)) };
}

// ---- exec ----

/** Capabilities of a file, as its `security.capability` attribute holds them. */
export interface FileCapabilities {
  permitted: CapabilitySet;
  inheritable: CapabilitySet;
  /** The new permitted set becomes effective at once. */
  effective: boolean;
}

/**
 * Reads a `security.capability` attribute (a byte string; capabilities(7)). Null when it is none of the three
 * revisions, or is meant for another user namespace.
 */
export function parseFileCapabilities(value: string, user: UserNamespace = initialUser): FileCapabilities | null {
  const word = (i: number) => Buffer.from(value.slice(4 * i, 4 * i + 4), 'latin1').readUInt32LE();
  if (value.length < 12 || value.length % 4 !== 0) return null;
  const words = value.length / 4;
  const magic = word(0);
  const revision = magic >>> 24;
  if ((magic & 0x00fffffe) !== 0) return null;
  const wide = (revision === 2 && words === 5) || (revision === 3 && words === 6 && isRootFor(user, word(5)));
  if (!wide && !(revision === 1 && words === 3)) return null;
  return {
    permitted: capabilitySet(word(1), wide ? word(3) : 0),
    inheritable: capabilitySet(word(2), wide ? word(4) : 0),
    effective: (magic & 1) !== 0,
  };
}

/** Whether the user is root in the namespace or one above. */
function isRootFor(user: UserNamespace, uid: number): boolean {
  for (let at: UserNamespace | null = user; at !== null; at = at.parent) if (idInto(at.uidMap, uid) === 0) return true;
  return false;
}

/** What exec looks at of the program's file. */
export interface ExecFile {
  uid: number;
  gid: number;
  mode: number;
  capabilities: FileCapabilities | null;
  /** It lies on a mount with MS_NOSUID: set-id bits and capabilities count for nothing. */
  nosuid: boolean;
}

export interface ExecCredentials {
  credentials: Credentials;
  /** AT_SECURE: the program runs with more than its caller had. */
  secure: boolean;
}

/**
 * Credentials after executing a file (execve(2), capabilities(7) "Transformation of capabilities during execve").
 * `sharesFs`: another process shares the root and working directory (CLONE_FS), so that nothing may be gained without
 * CAP_SETUID. -EPERM when the file's capabilities cannot be had in full and it cannot do without.
 */
export function execCredentials(old: Credentials, file: ExecFile, sharesFs = false): ExecCredentials | number {
  const fresh = { ...old };
  const root = rootOf(old);
  const { uidMap, gidMap } = old.user;
  // Ids that the caller's namespace does not know are not taken on.
  const known = idInto(uidMap, file.uid) !== NO_ID && idInto(gidMap, file.gid) !== NO_ID;
  if (!file.nosuid && !old.noNewPrivileges && known) {
    if (file.mode & S_ISUID) fresh.euid = file.uid;
    if ((file.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)) fresh.egid = file.gid;
  }
  const capabilities = file.nosuid ? null : file.capabilities;
  let effective = capabilities?.effective ?? false;
  fresh.permitted = capabilities ? filePermitted(old, capabilities) : NO_CAPABILITIES;
  if (capabilities?.effective && !isSubset(capabilities.permitted, fresh.permitted)) return -EPERM;

  // Root has every capability in its bounding set, unless a set-uid-root file names its own.
  if (!(old.securebits & SECBIT_NOROOT) && !(capabilities && fresh.uid !== root && fresh.euid === root)) {
    if (fresh.uid === root || fresh.euid === root) fresh.permitted = union(old.bounding, old.inheritable);
    if (fresh.euid === root) effective = true;
  }

  const idChanged = fresh.euid !== old.euid || !(fresh.egid === old.fsgid || old.groups.includes(fresh.egid));
  const gained = !isSubset(fresh.permitted, old.permitted);
  if ((idChanged || gained) && (sharesFs || old.noNewPrivileges)) {
    if (!hasCapabilityIn(old.effective, CAP_SETUID) || old.noNewPrivileges) {
      fresh.euid = fresh.uid;
      fresh.egid = fresh.gid;
    }
    fresh.permitted = intersection(fresh.permitted, old.permitted);
  }
  fresh.suid = fresh.fsuid = fresh.euid;
  fresh.sgid = fresh.fsgid = fresh.egid;
  if (capabilities || idChanged) fresh.ambient = NO_CAPABILITIES;
  fresh.permitted = union(fresh.permitted, fresh.ambient);
  fresh.effective = effective ? fresh.permitted : fresh.ambient;
  fresh.securebits &= ~SECBIT_KEEP_CAPS;
  const grew = effective || !isSubset(fresh.permitted, fresh.ambient);
  const secure = idChanged || fresh.euid !== old.uid || fresh.egid !== old.gid || (fresh.uid !== root && grew);
  return { credentials: fresh, secure };
}

function filePermitted(old: Credentials, file: FileCapabilities): CapabilitySet {
  return union(intersection(old.bounding, file.permitted), intersection(old.inheritable, file.inheritable));
}

// ---- tasks ----

/** Whether the change makes a process undumpable (and forget its parent-death signal): it got or changed privilege. */
export function losesDumpability(old: Credentials, fresh: Credentials): boolean {
  return (
    old.euid !== fresh.euid ||
    old.egid !== fresh.egid ||
    old.fsuid !== fresh.fsuid ||
    old.fsgid !== fresh.fsgid ||
    (!isSubset(fresh.permitted, old.permitted) && !rulesOver(old, fresh.user)) ||
    (old.user !== fresh.user && !rulesOver(old, fresh.user))
  );
}

/** Whether a user namespace was made from where these credentials are, by their user. */
function rulesOver(old: Credentials, user: UserNamespace): boolean {
  return user.parent === old.user && user.ownerUid === old.euid;
}

/** Gives a task new credentials. */
export function commitCredentials(task: Task, fresh: Credentials): void {
  if (losesDumpability(task.credentials, fresh)) {
    task.group.dumpable = false;
    task.group.parentDeathSignal = 0;
  }
  task.credentials = fresh;
  showOwnAnswers(task);
}

/**
 * Gives a task the credentials of its exec and settles dumpability. `readable`: the caller may read the program's file.
 * Call once exec cannot fail any more.
 */
export function commitExecCredentials(task: Task, exec: ExecCredentials, readable: boolean): void {
  const { credentials } = exec;
  const { group } = task;
  if (exec.secure) {
    group.parentDeathSignal = 0;
    task.personality &= ~ADDR_NO_RANDOMIZE;
  }
  group.dumpable = readable && credentials.euid === credentials.uid && credentials.egid === credentials.gid;
  commitCredentials(task, credentials);
}

/** Whether the sender may send the signal to the target's process (kill(2)). */
export function mayKill(sender: Task, target: Task, signo: number): boolean {
  if (sender.group === target.group) return true;
  const from = sender.credentials;
  const to = target.credentials;
  if (from.euid === to.suid || from.euid === to.uid || from.uid === to.suid || from.uid === to.uid) return true;
  if (capableIn(to.user, from, CAP_KILL)) return true;
  return signo === SIGCONT && sender.group.processGroup.session === target.group.processGroup.session;
}

/** Whether a task may look into another as ptrace(2)'s PTRACE_MODE_READ_REALCREDS asks: files in /proc, robust lists. */
export function mayInspect(task: Task, target: Task): boolean {
  if (task.group === target.group) return true;
  const own = task.credentials;
  const its = target.credentials;
  const same =
    own.uid === its.euid &&
    own.uid === its.suid &&
    own.uid === its.uid &&
    own.gid === its.egid &&
    own.gid === its.sgid &&
    own.gid === its.gid;
  if (capableIn(its.user, own, CAP_SYS_PTRACE)) return true;
  return same && target.group.dumpable && own.user === its.user && isSubset(its.permitted, own.permitted);
}
