// Inode flags (ioctl_iflags(2)): files that cannot be changed, or only grow; reading and setting them, in the two forms
// that ioctl(2) and file_setattr(2) have.

import { CAP_LINUX_IMMUTABLE } from '../abi/capability.ts';
import { ENOTTY, EOPNOTSUPP, EPERM } from '../abi/errno.ts';
import {
  FS_APPEND_FL,
  FS_IMMUTABLE_FL,
  FS_NOATIME_FL,
  FS_NODUMP_FL,
  FS_SYNC_FL,
  FS_XFLAG_APPEND,
  FS_XFLAG_IMMUTABLE,
  FS_XFLAG_NOATIME,
  FS_XFLAG_NODUMP,
  FS_XFLAG_SYNC,
} from '../abi/ioctl.ts';
import { IN_ATTRIB } from '../abi/misc.ts';
import { type Credentials, capable } from '../base/credentials.ts';
import type { Path } from './dentry.ts';
import type { Inode } from './inode.ts';
import { notifyDentry } from './notify.ts';
import { isOwner } from './permission.ts';
import { checkWritable } from './walk.ts';

const FIXED = FS_IMMUTABLE_FL | FS_APPEND_FL;

/** Each flag of FS_IOC_GETFLAGS by what FS_IOC_FSGETXATTR calls it. */
const FORMS: readonly (readonly [flag: number, xflag: number])[] = [
  [FS_SYNC_FL, FS_XFLAG_SYNC],
  [FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE],
  [FS_APPEND_FL, FS_XFLAG_APPEND],
  [FS_NODUMP_FL, FS_XFLAG_NODUMP],
  [FS_NOATIME_FL, FS_XFLAG_NOATIME],
];
const XFLAGS = FORMS.reduce((sum, [, xflag]) => sum | xflag, 0);

/** Its attributes and names are not to be changed: it is immutable or append-only. */
export function isFixed(inode: Inode): boolean {
  return (inode.flags & FIXED) !== 0;
}

export function isImmutable(inode: Inode): boolean {
  return (inode.flags & FS_IMMUTABLE_FL) !== 0;
}

/** The inode may only grow. */
export function isAppendOnly(inode: Inode): boolean {
  return (inode.flags & FS_APPEND_FL) !== 0;
}

/** FS_*_FL, or -ENOTTY where there are none. */
export function getFlags(inode: Inode): number {
  return inode.settableFlags === 0 ? -ENOTTY : inode.flags;
}

export function toXflags(flags: number): number {
  return FORMS.reduce((sum, [flag, xflag]) => sum | (flags & flag ? xflag : 0), 0);
}

/** Sets FS_*_FL. 0 or -errno. */
export function setFlags(path: Path, inode: Inode, credentials: Credentials, flags: number): number {
  const readonly = checkWritable(path.mount);
  if (readonly < 0) return readonly;
  if (inode.settableFlags === 0) return -ENOTTY;
  if (!isOwner(inode, credentials)) return -EPERM;
  if ((flags ^ inode.flags) & FIXED && !capable(credentials, CAP_LINUX_IMMUTABLE)) return -EPERM;
  if (flags & ~inode.settableFlags) return -EOPNOTSUPP;
  const r = inode.setFlags(flags);
  if (r === 0) notifyDentry(path.dentry, inode, IN_ATTRIB);
  return r;
}

/** Sets FS_XFLAG_*; -EOPNOTSUPP for those that are no flags of the other form. */
export function setXflags(path: Path, inode: Inode, credentials: Credentials, xflags: number): number {
  if (inode.settableFlags !== 0 && xflags & ~XFLAGS) return -EOPNOTSUPP;
  const flags = FORMS.reduce((sum, [flag, xflag]) => sum | (xflags & xflag ? flag : 0), 0);
  return setFlags(path, inode, credentials, flags);
}
