// Names of AF_UNIX sockets (unix(7)): paths, which are inodes of type S_IFSOCK, and abstract names, which start with a
// NUL byte. A name is kept as the bytes of sun_path that getsockname(2) reports: a path with its final NUL.

import { EADDRINUSE, ECONNREFUSED, EINVAL, ENOENT, ENOSPC, EPROTOTYPE } from '../../abi/errno.ts';
import { AT_FDCWD } from '../../abi/fcntl.ts';
import { AF_UNIX, UNIX_PATH_MAX } from '../../abi/socket.ts';
import { S_IFSOCK, S_ISSOCK } from '../../abi/stat.ts';
import type { Fd } from '../../base/brands.ts';
import type { Task } from '../../kernel/task.ts';
import { unuseInode } from '../../vfs/dentry-cache.ts';
import type { Inode } from '../../vfs/inode.ts';
import { notifyCreated } from '../../vfs/notify.ts';
import { checkAccess, MAY_EXECUTE, MAY_WRITE } from '../../vfs/permission.ts';
import { checkWritable, instantiate, LAST_NAME, resolveParent, resolvePath } from '../../vfs/walk.ts';
import type { Network } from '../network.ts';
import type { UnixSocket } from './socket.ts';

const byInode = new Map<Inode, UnixSocket>();
const NUL = '\0';
const AUTOBIND_NAMES = 0x100000;

/** sun_path of a sockaddr_un: '' if it has none, a path ended by one NUL, or an abstract name; -EINVAL. */
export function parseName(address: string): string | number {
  if (address.length < 2 || address.length > 2 + UNIX_PATH_MAX) return -EINVAL;
  if (address.charCodeAt(0) + 256 * address.charCodeAt(1) !== AF_UNIX) return -EINVAL;
  const name = address.slice(2);
  if (name === '' || name[0] === NUL) return name;
  const end = name.indexOf(NUL);
  return (end < 0 ? name : name.slice(0, end)) + NUL;
}

/** A sockaddr_un with this name. */
export function formatName(name: string): string {
  return `${String.fromCharCode(AF_UNIX)}${NUL}${name}`;
}

/** Abstract names of sockets of different types do not meet. */
const abstractKey = (type: number, name: string): string => String.fromCharCode(type) + name;

/** Binds a socket to a name that is not empty. 0 or -errno. */
export function bindName(task: Task, socket: UnixSocket, name: string): number {
  if (name[0] === NUL) {
    const { unixNames } = socket.network;
    const key = abstractKey(socket.type, name);
    if (unixNames.has(key)) return -EADDRINUSE;
    unixNames.set(key, socket);
  } else {
    const inode = makeSocketInode(task, name.slice(0, -1), socket.inode.mode);
    if (typeof inode === 'number') return inode;
    inode.uses++;
    socket.boundInode = inode;
    byInode.set(inode, socket);
  }
  socket.name = name;
  return 0;
}

/** Binds to a free abstract name of five hexadecimal digits. 0 or -ENOSPC. */
export function autobind(socket: UnixSocket): number {
  const { network } = socket;
  for (let tries = 0; tries < AUTOBIND_NAMES; tries++) {
    network.lastAutobind = (network.lastAutobind + 1) % AUTOBIND_NAMES;
    const name = NUL + network.lastAutobind.toString(16).padStart(5, '0');
    const key = abstractKey(socket.type, name);
    if (network.unixNames.has(key)) continue;
    network.unixNames.set(key, socket);
    socket.name = name;
    return 0;
  }
  return -ENOSPC;
}

/** The name is free again; a path stays until it is unlinked, and refuses connections. */
export function releaseName(socket: UnixSocket): void {
  const { unixNames } = socket.network;
  const key = abstractKey(socket.type, socket.name);
  if (unixNames.get(key) === socket) unixNames.delete(key);
  const inode = socket.boundInode;
  if (!inode) return;
  byInode.delete(inode);
  socket.boundInode = null;
  unuseInode(inode);
}

/** The socket of this type that is bound to a name (an abstract one: in the network), or -ECONNREFUSED, -EPROTOTYPE and what the path walk answers. */
export function findSocket(task: Task, network: Network, name: string, type: number): UnixSocket | number {
  let found: UnixSocket | undefined;
  if (name[0] === NUL) {
    found = network.unixNames.get(abstractKey(type, name));
  } else {
    const path = resolvePath(task, name.slice(0, -1));
    if (typeof path === 'number') return path;
    const inode = path.dentry.inode as Inode;
    const denied = checkAccess(inode, task.credentials, MAY_WRITE);
    if (denied < 0) return denied;
    if (!S_ISSOCK(inode.mode)) return -ECONNREFUSED;
    found = byInode.get(inode);
  }
  if (!found) return -ECONNREFUSED;
  return found.type === type ? found : -EPROTOTYPE;
}

/** Makes the inode of a bound socket. The inode or -errno. */
function makeSocketInode(task: Task, path: string, mode: number): Inode | number {
  const parent = resolveParent(task, AT_FDCWD as Fd, path, 0);
  if (typeof parent === 'number') return parent;
  if (parent.kind !== LAST_NAME || parent.child?.inode) return -EADDRINUSE;
  if (parent.slash) return -ENOENT;
  const directory = parent.dentry.inode as Inode;
  const readOnly = checkWritable(parent.mount);
  if (readOnly < 0) return readOnly;
  const denied = checkAccess(directory, task.credentials, MAY_WRITE | MAY_EXECUTE);
  if (denied < 0) return denied;
  const inode = directory.mknod(parent.name, S_IFSOCK | (mode & 0o777 & ~task.fs.umask), 0, task.credentials);
  if (typeof inode === 'number') return inode;
  instantiate(parent, inode);
  notifyCreated(parent.dentry, parent.name, inode);
  return inode;
}
