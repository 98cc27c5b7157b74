// Messages in the guest's memory: struct msghdr, its iovecs, its control messages (sendmsg(2), cmsg(3)). Everything is
// read once into the tables of this module, which hold one message at a time: no handler runs inside another.

import { CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN } from '../abi/capability.ts';
import { EBADF, EINVAL, EMSGSIZE, EPERM, ESRCH } from '../abi/errno.ts';
import { IOV_MAX } from '../abi/fcntl.ts';
import { RLIMIT_NOFILE } from '../abi/resource.ts';
import {
  CMSGHDR_SIZE,
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  MSGHDR_CONTROL,
  MSGHDR_CONTROLLEN,
  MSGHDR_IOV,
  MSGHDR_IOVLEN,
  MSGHDR_NAME,
  MSGHDR_NAMELEN,
  MSGHDR_SIZE,
  SCM_CREDENTIALS,
  SCM_MAX_FD,
  SCM_RIGHTS,
  SO_PASSCRED,
  SOCKADDR_STORAGE_SIZE,
  SOL_SOCKET,
  UCRED_SIZE,
} from '../abi/socket.ts';
import type { Fd, Pid, UserAddress } from '../base/brands.ts';
import { capableIn, hasCapabilityIn } from '../base/credentials.ts';
import { NO_ID } from '../base/user-namespace.ts';
import { installFile } from '../kernel/descriptors.ts';
import { numberIn } from '../kernel/pid-namespaces.ts';
import type { Task } from '../kernel/task.ts';
import { gidFrom, gidSeen, uidFrom, uidSeen } from '../kernel/user-namespaces.ts';
import { allocateScratch, i32, readBytes, readS64, readU64, u8, u32, writeBytes, writeU64 } from '../platform/arena.ts';
import { type OpenFile, retain } from '../vfs/open-file.ts';
import type { ControlItem, Message } from './message.ts';
import { checkInFlight, discardRights } from './rights.ts';
import type { Socket } from './socket.ts';

/** Longest read or write of one call, as Linux has it. */
const MAX_TOTAL = 0x7ffff000;
/** net.core.optmem_max: longest control data. */
const MAX_CONTROL = 20480;

/** The buffers of a message. */
export class Vectors {
  readonly bases = new Float64Array(IOV_MAX);
  readonly lengths = new Float64Array(IOV_MAX);
  count = 0;
  total = 0;

  /** One buffer. */
  setSingle(base: UserAddress, length: number): this {
    this.bases[0] = base;
    this.lengths[0] = this.total = Math.min(length, MAX_TOTAL);
    this.count = 1;
    return this;
  }

  /** Reads an array of struct iovec. 0, -EMSGSIZE (too many), -EINVAL or -EFAULT. */
  load(task: Task, address: UserAddress, count: number): number {
    if (count > IOV_MAX) return -EMSGSIZE;
    const at = task.memory.in(address, 16 * count);
    if (at < 0) return at;
    this.count = count;
    this.total = 0;
    for (let k = 0; k < count; k++) {
      const length = readS64(at + 16 * k + 8);
      if (length < 0) return -EINVAL;
      this.bases[k] = readU64(at + 16 * k);
      this.lengths[k] = Math.min(length, MAX_TOTAL - this.total);
      this.total += this.lengths[k];
    }
    return 0;
  }

  /** Arena offset of `length` bytes from `skip` bytes on, gathered from the buffers; or -EFAULT, -ENOMEM. */
  gather(task: Task, skip: number, length: number): number {
    if (this.count === 1) return task.memory.in((this.bases[0] + skip) as UserAddress, length);
    const at = allocateScratch(length);
    if (at < 0) return at;
    let done = 0;
    for (let k = 0, from = skip; k < this.count && done < length; k++) {
      const part = Math.min(this.lengths[k] - from, length - done);
      if (part > 0) {
        const failed = task.memory.read((this.bases[k] + from) as UserAddress, at + done, part);
        if (failed < 0) return failed;
        done += part;
      }
      from = Math.max(0, from - this.lengths[k]);
    }
    return at;
  }

  /** Hands `length` bytes at an arena offset to the buffers, `skip` bytes on; `now` or with the answer. 0 or -EFAULT. */
  scatter(task: Task, skip: number, at: number, length: number, now: boolean): number {
    let done = 0;
    for (let k = 0, from = skip; k < this.count && done < length; k++) {
      const part = Math.min(this.lengths[k] - from, length - done);
      if (part > 0) {
        const failed = give(task, this.bases[k] + from, at + done, part, now);
        if (failed < 0) return failed;
        done += part;
      }
      from = Math.max(0, from - this.lengths[k]);
    }
    return 0;
  }
}

/** Copies result bytes to the guest, at once (what must outlast a wait) or with the answer. 0 or -EFAULT. */
export function give(task: Task, address: number, at: number, length: number, now: boolean): number {
  if (now) return task.memory.write(address as UserAddress, at, length);
  task.memory.commit(address as UserAddress, at, length);
  return 0;
}

/** struct msghdr, read once. */
export class MessageHeader {
  address = 0 as UserAddress;
  name = 0 as UserAddress;
  nameLength = 0;
  control = 0 as UserAddress;
  controlLength = 0;
  readonly vectors = new Vectors();

  /** 0, -EFAULT, -EINVAL, -EMSGSIZE. */
  load(task: Task, address: UserAddress): number {
    const at = task.memory.in(address, MSGHDR_SIZE);
    if (at < 0) return at;
    this.address = address;
    this.name = readU64(at + MSGHDR_NAME) as UserAddress;
    this.nameLength = this.name === 0 ? 0 : i32[(at + MSGHDR_NAMELEN) >> 2];
    this.control = readU64(at + MSGHDR_CONTROL) as UserAddress;
    this.controlLength = this.control === 0 ? 0 : readU64(at + MSGHDR_CONTROLLEN);
    if (this.nameLength < 0) return -EINVAL;
    this.nameLength = Math.min(this.nameLength, SOCKADDR_STORAGE_SIZE);
    const vector = readU64(at + MSGHDR_IOV) as UserAddress;
    return this.vectors.load(task, vector, readU64(at + MSGHDR_IOVLEN));
  }
}

/** A sockaddr as a byte string, or -EINVAL, -EFAULT. */
export function readAddress(task: Task, address: UserAddress, length: number): string | number {
  if (length < 0 || length > SOCKADDR_STORAGE_SIZE) return -EINVAL;
  const at = task.memory.in(address, length);
  return at < 0 ? at : readBytes(at, length);
}

/** Answers a sockaddr: as much as fits `room`; its real length is stored at `lengthAddress` (4 bytes). 0 or -errno. */
export function giveAddress(
  task: Task,
  name: string,
  address: UserAddress,
  room: number,
  lengthAddress: UserAddress,
  now: boolean,
): number {
  const n = Math.min(room, name.length);
  const at = task.memory.reserve(n + 4);
  if (at < 0) return at;
  i32[at >> 2] = name.length;
  const failed = give(task, lengthAddress, at, 4, now);
  if (failed < 0) return failed;
  writeBytes(at + 4, name.slice(0, n));
  return n > 0 ? give(task, address, at + 4, n, now) : 0;
}

/**
 * Reads control messages into a message that is to be sent: SCM_RIGHTS (with references, which whoever sends must take
 * or `discardRights`) and SCM_CREDENTIALS. 0 or -errno, with nothing held then.
 */
export function readControl(task: Task, header: MessageHeader, message: Message): number {
  const { controlLength } = header;
  if (controlLength < CMSGHDR_SIZE) return 0;
  if (controlLength > MAX_CONTROL) return -EINVAL;
  const from = task.memory.in(header.control, controlLength);
  if (from < 0) return from;
  // A private copy: each header and what it promises must stay as it was checked.
  const at = allocateScratch(controlLength);
  if (at < 0) return at;
  u8.copyWithin(at, from, from + controlLength);
  let result = 0;
  for (let offset = 0; result === 0 && offset + CMSGHDR_SIZE <= controlLength; ) {
    const length = readU64(at + offset);
    if (length < CMSGHDR_SIZE || offset + length > controlLength) result = -EINVAL;
    else result = readControlMessage(task, message, at + offset, length - CMSGHDR_SIZE);
    offset += (length + 7) & ~7;
  }
  if (result < 0 && message.rights) {
    discardRights(message.rights);
    message.rights = null;
  }
  return result;
}

function readControlMessage(task: Task, message: Message, at: number, length: number): number {
  const level = i32[(at + 8) >> 2];
  const type = i32[(at + 12) >> 2];
  const i = (at + CMSGHDR_SIZE) >> 2;
  if (level !== SOL_SOCKET) {
    message.items ??= [];
    message.items.push({ level, type, data: readBytes(at + CMSGHDR_SIZE, length) });
    return 0;
  }
  switch (type) {
    case SCM_RIGHTS:
      return readRights(task, message, i, length >> 2);
    case SCM_CREDENTIALS:
      if (length !== UCRED_SIZE) return -EINVAL;
      message.hasCredentials = true;
      message.uid = uidFrom(task, u32[i + 1]);
      message.gid = gidFrom(task, u32[i + 2]);
      return checkClaim(task, message, i32[i]);
    default:
      return -EINVAL;
  }
}

function readRights(task: Task, message: Message, i: number, count: number): number {
  const rights = message.rights ?? [];
  if (count === 0) return 0;
  if (rights.length + count > SCM_MAX_FD) return -EINVAL;
  const crowded = checkInFlight(rights.length + count, task.group.limits.soft[RLIMIT_NOFILE]);
  if (crowded < 0) return crowded;
  for (let k = 0; k < count; k++) if (!task.files.get(i32[i + k] as Fd)) return -EBADF;
  for (let k = 0; k < count; k++) rights.push(retain(task.files.get(i32[i + k] as Fd) as OpenFile));
  message.rights = rights;
  return 0;
}

/** Only the privileged may claim to be somebody else, who must be there. */
function checkClaim(task: Task, message: Message, pid: number): number {
  const own = task.credentials;
  const { uid, gid } = message;
  if (uid === NO_ID || gid === NO_ID) return -EINVAL;
  const { pidNamespace } = task;
  if (pid !== task.group.localPid && !capableIn(pidNamespace.owner, own, CAP_SYS_ADMIN)) return -EPERM;
  if (uid !== own.uid && uid !== own.euid && uid !== own.suid && !hasCapabilityIn(own.effective, CAP_SETUID))
    return -EPERM;
  if (gid !== own.gid && gid !== own.egid && gid !== own.sgid && !hasCapabilityIn(own.effective, CAP_SETGID))
    return -EPERM;
  const claimed = pidNamespace.tasks.get(pid as Pid) ?? pidNamespace.groups.get(pid as Pid);
  if (!claimed) return -ESRCH;
  message.pid = claimed.identity;
  return 0;
}

/**
 * Answers the control messages of a received message into the header's control buffer and installs the files that came
 * along; those that find no room are dropped, with MSG_CTRUNC. Returns how many bytes of control data there are now.
 */
export function giveControl(task: Task, header: MessageHeader, socket: Socket, message: Message, now: boolean): number {
  const room = Math.min(header.controlLength, MAX_CONTROL);
  // With slack, for what is laid down whole and then cut.
  const at = task.memory.reserve(room + CMSGHDR_SIZE);
  let used = 0;
  if (at >= 0) {
    for (const item of message.items ?? []) used += putItem(at + used, room - used, item, message);
    if (message.hasCredentials && socket.hasSwitch(SO_PASSCRED))
      used += putCredentials(task, at + used, room - used, message);
    if (message.rights) used = putRights(task, at, used, room, message);
    if (used > 0 && give(task, header.control, at, used, now) < 0) return 0;
  }
  if (message.rights) {
    message.resultFlags |= MSG_CTRUNC;
    discardRights(message.rights);
    message.rights = null;
  }
  return used;
}

function putHeader(at: number, length: number, level: number, type: number): void {
  writeU64(at, length);
  i32[(at + 8) >> 2] = level;
  i32[(at + 12) >> 2] = type;
}

/** The header of a control message of `size` bytes, cut (MSG_CTRUNC) to the room there is. Bytes used, 0 for no room. */
function putCut(at: number, room: number, level: number, type: number, size: number, message: Message): number {
  const length = Math.min(room, CMSGHDR_SIZE + size);
  if (length < CMSGHDR_SIZE + size) message.resultFlags |= MSG_CTRUNC;
  if (room < CMSGHDR_SIZE) return 0;
  putHeader(at, length, level, type);
  return Math.min(room, (length + 7) & ~7);
}

function putItem(at: number, room: number, item: ControlItem, message: Message): number {
  const used = putCut(at, room, item.level, item.type, item.data.length, message);
  if (used > 0) {
    u8.fill(0, at + CMSGHDR_SIZE, at + used);
    writeBytes(at + CMSGHDR_SIZE, item.data.slice(0, used - CMSGHDR_SIZE));
  }
  return used;
}

function putCredentials(task: Task, at: number, room: number, message: Message): number {
  const used = putCut(at, room, SOL_SOCKET, SCM_CREDENTIALS, UCRED_SIZE, message);
  if (used === 0) return 0;
  const i = (at + CMSGHDR_SIZE) >> 2;
  i32[i] = numberIn(task.pidNamespace, message.pid);
  u32[i + 1] = uidSeen(task, message.uid);
  u32[i + 2] = gidSeen(task, message.gid);
  u32[i + 3] = 0;
  return used;
}

/** As many descriptors as fit and may be opened; `message.rights` keeps the rest. */
function putRights(task: Task, base: number, used: number, room: number, message: Message): number {
  const rights = message.rights as OpenFile[];
  const at = base + used;
  const fitting = Math.min(rights.length, Math.floor((room - used - CMSGHDR_SIZE) / 4));
  const closeOnExec = (message.flags & MSG_CMSG_CLOEXEC) !== 0;
  const i = (at + CMSGHDR_SIZE) >> 2;
  let count = 0;
  while (count < fitting) {
    const fd = installFile(task, retain(rights[count]), closeOnExec);
    if (fd < 0) break;
    i32[i + count++] = fd;
  }
  discardRights(rights.splice(0, count));
  if (rights.length === 0) message.rights = null;
  if (count === 0) return used;
  const length = CMSGHDR_SIZE + 4 * count;
  putHeader(at, length, SOL_SOCKET, SCM_RIGHTS);
  if (count & 1) u32[i + count] = 0;
  return Math.min(room, used + ((length + 7) & ~7));
}
