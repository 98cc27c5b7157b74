// /proc/config.gz: what this kernel has, in the words of Linux's build configuration, for programs that look there before
// they try. Only options are listed whose meaning is the same here; none of the host's.

import { text } from './system.ts';

const HAS = `
  64BIT ADVISE_SYSCALLS AIO BINFMT_ELF BINFMT_SCRIPT BLK_DEV_LOOP CGROUPS CGROUP_PIDS CHECKPOINT_RESTORE
  COREDUMP CROSS_MEMORY_ATTACH DNOTIFY ELF_CORE EPOLL EVENTFD FANOTIFY FANOTIFY_ACCESS_PERMISSIONS FHANDLE FILE_LOCKING
  FUTEX FUTEX_PI IKCONFIG IKCONFIG_PROC INET INOTIFY_USER IPC_NS IPV6 KCMP KEYS MEMBARRIER MEMFD_CREATE MMU MULTIUSER
  NAMESPACES NET NET_NS OVERLAY_FS PERSISTENT_KEYRINGS PID_NS POSIX_MQUEUE POSIX_MQUEUE_SYSCTL POSIX_TIMERS PRINTK PROC_FS
  PROC_SYSCTL RSEQ SECCOMP SECCOMP_FILTER SHMEM SIGNALFD SMP SYSCTL SYSFS SYSVIPC SYSVIPC_SYSCTL TIMERFD TIME_NS TMPFS
  TMPFS_POSIX_ACL TMPFS_XATTR TTY UNIX UNIX98_PTYS USER_NS UTS_NS X86 X86_64`;

const HAS_NOT = `
  AF_UNIX_OOB BINFMT_MISC BLK_DEV_RAM BPF_SYSCALL BSD_PROCESS_ACCT BTRFS_FS EXT4_FS FUSE_FS HUGETLBFS IO_URING KALLSYMS KSM
  MANDATORY_FILE_LOCKING MEMCG MODULES NUMA PERF_EVENTS QUOTA RT_GROUP_SCHED SECURITY_LANDLOCK SWAP TUN USERFAULTFD XFS_FS`;

const words = (list: string): string[] => list.trim().split(/\s+/);

function config(): string {
  return [
    '# Cloister',
    ...words(HAS).map((name) => `CONFIG_${name}=y`),
    'CONFIG_DEFAULT_HOSTNAME="(none)"',
    'CONFIG_PGTABLE_LEVELS=4',
    ...words(HAS_NOT).map((name) => `# CONFIG_${name} is not set`),
    '',
  ].join('\n');
}

/** CRC-32 as gzip has it. */
function crc32(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

/** A gzip file (RFC 1952) of less than 64 KiB, in one block that is stored as it is. */
function gzip(content: string): string {
  const data = Buffer.from(content, 'latin1');
  const header = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1]);
  const lengths = Buffer.alloc(4);
  lengths.writeUInt16LE(data.length, 0);
  lengths.writeUInt16LE(~data.length & 0xffff, 2);
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc32(data), 0);
  trailer.writeUInt32LE(data.length, 4);
  return Buffer.concat([header, lengths, data, trailer]).toString('latin1');
}

export const KERNEL_CONFIG = text(() => gzip(config()));
