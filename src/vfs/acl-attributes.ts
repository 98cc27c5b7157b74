// Access control lists as extended attributes: who may set one, and what else changes with it. The filesystem keeps the
// list and the mode in step.

import { CAP_FSETID } from '../abi/capability.ts';
import { EACCES, EINVAL, ENODATA, EOPNOTSUPP, EPERM } from '../abi/errno.ts';
import { S_IFLNK, S_IFMT, S_ISGID } from '../abi/stat.ts';
import { type Credentials, inGroup } from '../base/credentials.ts';
import { idFrom, initialUser, NO_ID, shownId } from '../base/user-namespace.ts';
import { ACL_ACCESS, ACL_DEFAULT, aclWithIds, formatAcl, isNamed, parseAcl } from './acl.ts';
import type { Inode } from './inode.ts';
import { isFixed } from './inode-flags.ts';
import { capableOver, isOwner } from './permission.ts';

export function isAclName(name: string): boolean {
  return name === ACL_ACCESS || name === ACL_DEFAULT;
}

/** The list as its bytes; -ENODATA, -EOPNOTSUPP. */
export function getAcl(inode: Inode, { user }: Credentials, name: string): string | number {
  if ((inode.mode & S_IFMT) === S_IFLNK) return -EOPNOTSUPP;
  const bytes = inode.getxattr(name);
  const list = user === initialUser || typeof bytes === 'number' ? null : parseAcl(bytes);
  if (list === null || typeof list === 'number') return bytes;
  return formatAcl(
    aclWithIds(
      list,
      (id) => shownId(user.uidMap, id),
      (id) => shownId(user.gidMap, id),
    ),
  );
}

/** Sets a list, or takes it away when the bytes hold no entries. 0 or -errno. */
export function setAcl(inode: Inode, credentials: Credentials, name: string, bytes: string): number {
  const given = parseAcl(bytes);
  if (typeof given === 'number') return given;
  const { user } = credentials;
  const list =
    given &&
    aclWithIds(
      given,
      (id) => idFrom(user.uidMap, id),
      (id) => idFrom(user.gidMap, id),
    );
  if (list?.some(({ tag, id }) => isNamed(tag) && id === NO_ID)) return -EINVAL;
  const allowed = maySet(inode, credentials);
  if (allowed < 0) return allowed;
  if (name === ACL_DEFAULT && !inode.isDirectory) return list === null ? 0 : -EACCES;
  if (list === null) return without(inode, name);
  const r = inode.setxattr(name, formatAcl(list), 0);
  if (r < 0 || name !== ACL_ACCESS) return r;
  const foreign = !inGroup(credentials, inode.gid) && !capableOver(inode, credentials, CAP_FSETID);
  return foreign && inode.mode & S_ISGID ? inode.setattr({ mode: inode.mode & 0o7777 & ~S_ISGID }) : r;
}

/** removexattr(2): a list that is not there is gone already. */
export function removeAcl(inode: Inode, credentials: Credentials, name: string): number {
  const allowed = maySet(inode, credentials);
  return allowed < 0 ? allowed : without(inode, name);
}

function maySet(inode: Inode, credentials: Credentials): number {
  if ((inode.mode & S_IFMT) === S_IFLNK) return -EOPNOTSUPP;
  if (isFixed(inode)) return -EPERM;
  return isOwner(inode, credentials) ? 0 : -EPERM;
}

function without(inode: Inode, name: string): number {
  const r = inode.removexattr(name);
  return r === -ENODATA || r === -EINVAL ? 0 : r;
}
