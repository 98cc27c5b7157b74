// The host calls that the sentry makes besides Node's own, typed. Each is one row of the table in native/addon/host.c
// and one entry of the sentry's allow-list; there is no generic syscall().
//
// Results are what the host returned, or -errno; -EINVAL also for arguments that the addon refuses (a path with a NUL
// byte, an arena offset out of bounds). Paths and names are byte strings (latin1). `at` is an arena offset; where a
// structure may be left out, -1 is NULL. Calls that a signal interrupted are repeated, except close.

import type { HostFd, HostPid } from '../base/brands.ts';
import { onAddonLoaded } from './addon.ts';

export interface HostCalls {
  // ---- files by descriptor ----
  read(fd: HostFd, at: number, length: number): number;
  write(fd: HostFd, at: number, length: number): number;
  pread64(fd: HostFd, at: number, length: number, position: number): number;
  pwrite64(fd: HostFd, at: number, length: number, position: number): number;
  /** preadv2(2) with one buffer. position -1: the file's own; flags: RWF_*. */
  preadv2(fd: HostFd, at: number, length: number, position: number, flags: number): number;
  /** pwritev2(2) with one buffer. position -1: the file's own; flags: RWF_*. */
  pwritev2(fd: HostFd, at: number, length: number, position: number, flags: number): number;
  lseek(fd: HostFd, offset: number, whence: number): number;
  close(fd: HostFd): number;
  /** Fills a struct stat (144 bytes). */
  fstat(fd: HostFd, at: number): number;
  /** Fills a struct statfs (120 bytes). */
  fstatfs(fd: HostFd, at: number): number;
  getdents64(fd: HostFd, at: number, length: number): number;
  ftruncate(fd: HostFd, length: number): number;
  fallocate(fd: HostFd, mode: number, offset: number, length: number): number;
  fsync(fd: HostFd): number;
  fdatasync(fd: HostFd): number;
  syncfs(fd: HostFd): number;
  sync_file_range(fd: HostFd, offset: number, length: number, flags: number): number;
  /** rangeAt: u64 offset and length; fills five u64 counts. */
  cachestat(fd: HostFd, rangeAt: number, at: number): number;
  fchmod(fd: HostFd, mode: number): number;
  /** utimensat(2) on the descriptor itself; at: two struct timespec, or -1 for now. */
  utimensat_fd(fd: HostFd, at: number): number;
  fsetxattr(fd: HostFd, name: string, at: number, length: number, flags: number): number;
  fgetxattr(fd: HostFd, name: string, at: number, length: number): number;
  flistxattr(fd: HostFd, at: number, length: number): number;
  fremovexattr(fd: HostFd, name: string): number;
  flock(fd: HostFd, operation: number): number;
  /** Commands whose argument is a number. */
  fcntl(fd: HostFd, command: number, argument: number): number;
  memfd_create(name: string, flags: number): number;

  // ---- files by directory and name ----
  /** O_CLOEXEC is always added. */
  openat2(dirfd: HostFd, path: string, flags: number, mode: number, resolve: number): number;
  /** Fills a struct stat (144 bytes). */
  newfstatat(dirfd: HostFd, path: string, at: number, flags: number): number;
  /** Fills a struct statx (256 bytes). */
  statx(dirfd: HostFd, path: string, flags: number, mask: number, at: number): number;
  readlinkat(dirfd: HostFd, path: string, at: number, length: number): number;
  mkdirat(dirfd: HostFd, path: string, mode: number): number;
  unlinkat(dirfd: HostFd, path: string, flags: number): number;
  mknodat(dirfd: HostFd, path: string, mode: number, device: number): number;
  symlinkat(target: string, dirfd: HostFd, path: string): number;
  linkat(oldDirfd: HostFd, oldPath: string, newDirfd: HostFd, newPath: string, flags: number): number;
  renameat2(oldDirfd: HostFd, oldPath: string, newDirfd: HostFd, newPath: string, flags: number): number;
  fchmodat2(dirfd: HostFd, path: string, mode: number, flags: number): number;
  fchownat(dirfd: HostFd, path: string, uid: number, gid: number, flags: number): number;
  /** at: two struct timespec, or -1 for now. */
  utimensat(dirfd: HostFd, path: string, at: number, flags: number): number;
  /** The *xattrat calls are -ENOSYS before Linux 6.13. */
  setxattrat(
    dirfd: HostFd,
    path: string,
    atFlags: number,
    name: string,
    at: number,
    length: number,
    flags: number,
  ): number;
  getxattrat(dirfd: HostFd, path: string, atFlags: number, name: string, at: number, length: number): number;
  listxattrat(dirfd: HostFd, path: string, atFlags: number, at: number, length: number): number;
  removexattrat(dirfd: HostFd, path: string, atFlags: number, name: string): number;

  // ---- guest processes ----
  pidfd_open(pid: HostPid, flags: number): number;
  pidfd_send_signal(pidfd: HostFd, signal: number): number;
  tgkill(pid: HostPid, tid: HostPid, signal: number): number;
  /** Bytes of the mask written to `at`, at most `length`. pid 0: the sentry. */
  sched_getaffinity(pid: number, length: number, at: number): number;

  // ---- sockets: inherited ones, and those of the container's network ----
  /** recvfrom(2) without an address. */
  recv(fd: HostFd, at: number, length: number, flags: number): number;
  /** sendto(2) without an address. */
  send(fd: HostFd, at: number, length: number, flags: number): number;
  shutdown(fd: HostFd, how: number): number;
  /** Fill a sockaddr; the u32 at `lengthAt` is the room for it, afterwards its length. */
  getsockname(fd: HostFd, at: number, lengthAt: number): number;
  getpeername(fd: HostFd, at: number, lengthAt: number): number;
  getsockopt(fd: HostFd, level: number, name: number, at: number, lengthAt: number): number;
  setsockopt(fd: HostFd, level: number, name: number, at: number, length: number): number;
  /**
   * Non-blocking, close-on-exec: TCP or UDP over IPv4 or IPv6, or NETLINK_ROUTE; -EAFNOSUPPORT for all others.
   */
  socket(family: number, type: number, protocol: number): number;
  bind(fd: HostFd, at: number, length: number): number;
  connect(fd: HostFd, at: number, length: number): number;
  /** Has the process at the other end of `channel` bind the socket to a low port: native/boot/ports.c. */
  bindThrough(channel: HostFd, fd: HostFd, at: number, length: number): number;
  listen(fd: HostFd, backlog: number): number;
  /** Fill an s32. */
  siocoutq(fd: HostFd, at: number): number;
  siocatmark(fd: HostFd, at: number): number;
  /** sendmsg(2) with one buffer, without waiting or SIGPIPE; lengths of 0: no name, no control messages. */
  sendmsg(
    fd: HostFd,
    at: number,
    length: number,
    flags: number,
    nameAt: number,
    nameLength: number,
    controlAt: number,
    controlLength: number,
  ): number;
  /**
   * recvmsg(2) with one buffer, without waiting. What came along is laid down at `received` (RECEIVED_SIZE bytes): u32
   * lengths of name and control messages, u32 MSG_* flags, at 16 the name, at 144 the control messages.
   */
  recvmsg(fd: HostFd, at: number, length: number, flags: number, received: number): number;

  // ---- the control socket ----
  /** Without the peer's address. */
  accept4(fd: HostFd, flags: number): number;
  /**
   * recvmsg(2) without waiting. How many descriptors came along, and they (all close-on-exec), are written to
   * `descriptorsAt` as s32: room for 254.
   */
  receive(fd: HostFd, at: number, length: number, descriptorsAt: number): number;

  // ---- terminals, pipes ----
  /** Fills the kernel's struct termios (36 bytes). */
  tcgets(fd: HostFd, at: number): number;
  /** After output has drained. */
  tcsetsw(fd: HostFd, at: number): number;
  /** Fills a struct winsize (8 bytes). */
  tiocgwinsz(fd: HostFd, at: number): number;
  /** Fills an s32: the bytes that can be read. */
  fionread(fd: HostFd, at: number): number;
  /** Which of the poll events are ready now, without waiting. */
  poll(fd: HostFd, events: number): number;

  // ---- the machine ----
  getrandom(at: number, length: number, flags: number): number;
  /** Nanoseconds; exact below 2^53 (104 days of uptime). */
  clock_gettime(clock: number): number;
  /** Fills a struct timespec. */
  clock_getres(clock: number, at: number): number;
  /** Fills a struct sysinfo (112 bytes). */
  sysinfo(at: number): number;

  // ---- the sentry itself ----
  /** _exit(2). */
  exit(status: number): never;
}

/** The host calls; bound when the addon is loaded. */
export let host: HostCalls;

onAddonLoaded((exports) => {
  host = (exports as { host: HostCalls }).host;
});
