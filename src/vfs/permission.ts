// Who may do what to an inode: mode bits, capabilities that override them, the sticky bit, and what a new inode
// inherits from its directory (path_resolution(7), capabilities(7), inode(7)).

import { CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID } from '../abi/capability.ts';
import { EACCES, EPERM } from '../abi/errno.ts';
import { FS_APPEND_FL, FS_IMMUTABLE_FL } from '../abi/ioctl.ts';
import { S_IFDIR, S_IFMT, S_IRWXG, S_ISGID, S_ISVTX, S_IXUGO } from '../abi/stat.ts';
import { type Credentials, hasCapabilityIn, inGroup } from '../base/credentials.ts';
import { idInto, initialUser, NO_ID } from '../base/user-namespace.ts';
import { aclAllows } from './acl.ts';
import type { Inode } from './inode.ts';

export const MAY_EXECUTE = 1;
export const MAY_WRITE = 2;
export const MAY_READ = 4;

/** Whether a capability counts for an inode: in another user namespace only if that knows its owner and group. */
export function capableOver(inode: Inode, { effective, user }: Credentials, capability: number): boolean {
  if (!hasCapabilityIn(effective, capability)) return false;
  if (user === initialUser) return true;
  return idInto(user.uidMap, inode.uid) !== NO_ID && idInto(user.gidMap, inode.gid) !== NO_ID;
}

/** Checks MAY_* bits against the file-system ids and the effective capabilities. 0, -EACCES, or -EPERM if immutable. */
export function checkAccess(inode: Inode, credentials: Credentials, want: number): number {
  const mode = inode.mode;
  if (want & MAY_WRITE && inode.flags & FS_IMMUTABLE_FL) return -EPERM;
  let bits: number;
  if (inode.uid === credentials.fsuid) bits = mode >> 6;
  else {
    // The group's bits of a mode that stands for a list are only the most that the list may give.
    const list = mode & S_IRWXG && !overrides(inode, credentials, want) ? inode.accessList() : null;
    if (list !== null) return aclAllows(list, inode.gid, credentials, want) ? 0 : -EACCES;
    bits = inGroup(credentials, inode.gid) ? mode >> 3 : mode;
  }
  return (want & ~bits & 7) === 0 ? 0 : overrides(inode, credentials, want) || inode.callersOwn ? 0 : -EACCES;
}

/** Whether capabilities give what the mode does not. */
function overrides(inode: Inode, credentials: Credentials, want: number): boolean {
  const { mode } = inode;
  if ((mode & S_IFMT) === S_IFDIR) {
    if (capableOver(inode, credentials, CAP_DAC_OVERRIDE)) return true;
    if (!(want & MAY_WRITE) && capableOver(inode, credentials, CAP_DAC_READ_SEARCH)) return true;
    return false;
  }
  if (want === MAY_READ && capableOver(inode, credentials, CAP_DAC_READ_SEARCH)) return true;
  // Even root executes only what somebody may execute.
  if ((!(want & MAY_EXECUTE) || mode & S_IXUGO) && capableOver(inode, credentials, CAP_DAC_OVERRIDE)) return true;
  return false;
}

/** Whether the caller may act as the inode's owner (chmod, utimensat, O_NOATIME, …). */
export function isOwner(inode: Inode, credentials: Credentials): boolean {
  return inode.uid === credentials.fsuid || capableOver(inode, credentials, CAP_FOWNER);
}

/** May an entry for `child` be removed from or renamed out of `directory`? 0, -EACCES or -EPERM (sticky). */
export function checkDelete(directory: Inode, child: Inode, credentials: Credentials): number {
  const r = checkAccess(directory, credentials, MAY_WRITE | MAY_EXECUTE);
  if (r < 0) return r;
  if (directory.flags & FS_APPEND_FL || child.flags & (FS_APPEND_FL | FS_IMMUTABLE_FL)) return -EPERM;
  if (!(directory.mode & S_ISVTX)) return 0;
  if (child.uid === credentials.fsuid || directory.uid === credentials.fsuid) return 0;
  return capableOver(child, credentials, CAP_FOWNER) ? 0 : -EPERM;
}

/** The mode of what a task makes in `directory`: the umask applies unless a default list says what is allowed. */
export function maskedMode(directory: Inode, mode: number, umask: number): number {
  return directory.hasDefaultList ? mode : mode & ~umask;
}

/** Group of an inode made in `directory`: the directory's own when it has the set-group-id bit. */
export function inheritedGroup(directory: Inode, owner: Credentials): number {
  return directory.mode & S_ISGID ? directory.gid : owner.fsgid;
}

/** Mode of an inode made in `directory`: directories inherit set-group-id, files lose what their maker may not set. */
export function inheritedMode(directory: Inode, mode: number, owner: Credentials): number {
  if (!(directory.mode & S_ISGID)) return mode;
  return (mode & S_IFMT) === S_IFDIR ? mode | S_ISGID : withoutForeignSetgid(directory, mode, owner);
}

/**
 * The mode that may be asked for in a directory whose group the new file gets: no set-group-id for a program of a group
 * that its maker is not in. To be asked before the umask takes the execute bit that tells a program.
 */
export function withoutForeignSetgid(directory: Inode, mode: number, owner: Credentials): number {
  const executable = (mode & (S_ISGID | 0o10)) === (S_ISGID | 0o10);
  if (!executable || !(directory.mode & S_ISGID)) return mode;
  return inGroup(owner, directory.gid) || capableOver(directory, owner, CAP_FSETID) ? mode : mode & ~S_ISGID;
}
