// The constants of src/abi have the values that this machine's headers give them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as auxv from '../../src/abi/auxv.ts';
import * as capability from '../../src/abi/capability.ts';
import * as elf from '../../src/abi/elf.ts';
import * as errno from '../../src/abi/errno.ts';
import * as fanotify from '../../src/abi/fanotify.ts';
import * as fcntl from '../../src/abi/fcntl.ts';
import * as futex from '../../src/abi/futex.ts';
import * as ioctl from '../../src/abi/ioctl.ts';
import * as misc from '../../src/abi/misc.ts';
import * as mman from '../../src/abi/mman.ts';
import * as mount from '../../src/abi/mount.ts';
import * as poll from '../../src/abi/poll.ts';
import * as prctl from '../../src/abi/prctl.ts';
import * as resource from '../../src/abi/resource.ts';
import * as sched from '../../src/abi/sched.ts';
import * as seccomp from '../../src/abi/seccomp.ts';
import * as signal from '../../src/abi/signal.ts';
import * as socket from '../../src/abi/socket.ts';
import * as stat from '../../src/abi/stat.ts';
import * as time from '../../src/abi/time.ts';
import * as wait from '../../src/abi/wait.ts';
import { runC, valuesOf } from './headers.ts';

const MODULES: Readonly<Record<string, object>> = {
  auxv,
  capability,
  elf,
  errno,
  fanotify,
  fcntl,
  futex,
  ioctl,
  misc,
  mman,
  mount,
  poll,
  prctl,
  resource,
  sched,
  seccomp,
  signal,
  socket,
  stat,
  time,
  wait,
};

// Where libc says something else than the kernel, on purpose; the kernel's value is ours.
const LIBC_DIFFERS = new Set([
  'O_LARGEFILE', // 0 in a 64-bit libc, but open flags of the kernel show it
  'SIGRTMIN', // libc keeps two for itself
  'NSIG', // libc counts one more
  'MINSIGSTKSZ', // libc asks the kernel at run time
  'RLIM_INFINITY', // not exact as a double
  'NCCS', // libc's struct termios is longer than the kernel's
]);

test('constants agree with the headers', () => {
  const expressions: Record<string, string> = {};
  const ours = new Map<string, number>();
  for (const [module, exports] of Object.entries(MODULES)) {
    for (const [name, value] of Object.entries(exports)) {
      if (typeof value !== 'number' || LIBC_DIFFERS.has(name)) continue;
      expressions[`${module}.${name}`] = name;
      ours.set(`${module}.${name}`, value);
    }
  }
  const theirs = valuesOf(expressions, true);
  const wrong = [...theirs].filter(([key, value]) => value !== ours.get(key));
  assert.deepEqual(
    wrong.map(([key, value]) => `${key} is ${ours.get(key)}, not ${value}`),
    [],
  );
  assert.ok(theirs.size > 900, `only ${theirs.size} of ${ours.size} are known to the headers`);
});

test('struct sizes and offsets agree with the headers', () => {
  const layouts: readonly (readonly [module: object, expressions: Readonly<Record<string, string>>])[] = [
    [
      stat,
      {
        STAT_SIZE: 'sizeof(struct stat)',
        STAT_DEV: 'offsetof(struct stat, st_dev)',
        STAT_INO: 'offsetof(struct stat, st_ino)',
        STAT_NLINK: 'offsetof(struct stat, st_nlink)',
        STAT_MODE: 'offsetof(struct stat, st_mode)',
        STAT_UID: 'offsetof(struct stat, st_uid)',
        STAT_GID: 'offsetof(struct stat, st_gid)',
        STAT_RDEV: 'offsetof(struct stat, st_rdev)',
        STAT_FILE_SIZE: 'offsetof(struct stat, st_size)',
        STAT_BLKSIZE: 'offsetof(struct stat, st_blksize)',
        STAT_BLOCKS: 'offsetof(struct stat, st_blocks)',
        STAT_ATIME: 'offsetof(struct stat, st_atim)',
        STAT_MTIME: 'offsetof(struct stat, st_mtim)',
        STAT_CTIME: 'offsetof(struct stat, st_ctim)',
        STATX_STRUCT_SIZE: 'sizeof(struct statx)',
        STATX_MASK_OFFSET: 'offsetof(struct statx, stx_mask)',
        STATX_BLKSIZE_OFFSET: 'offsetof(struct statx, stx_blksize)',
        STATX_ATTRIBUTES_OFFSET: 'offsetof(struct statx, stx_attributes)',
        STATX_NLINK_OFFSET: 'offsetof(struct statx, stx_nlink)',
        STATX_UID_OFFSET: 'offsetof(struct statx, stx_uid)',
        STATX_GID_OFFSET: 'offsetof(struct statx, stx_gid)',
        STATX_MODE_OFFSET: 'offsetof(struct statx, stx_mode)',
        STATX_INO_OFFSET: 'offsetof(struct statx, stx_ino)',
        STATX_SIZE_OFFSET: 'offsetof(struct statx, stx_size)',
        STATX_BLOCKS_OFFSET: 'offsetof(struct statx, stx_blocks)',
        STATX_ATTRIBUTES_MASK_OFFSET: 'offsetof(struct statx, stx_attributes_mask)',
        STATX_ATIME_OFFSET: 'offsetof(struct statx, stx_atime)',
        STATX_BTIME_OFFSET: 'offsetof(struct statx, stx_btime)',
        STATX_CTIME_OFFSET: 'offsetof(struct statx, stx_ctime)',
        STATX_MTIME_OFFSET: 'offsetof(struct statx, stx_mtime)',
        STATX_RDEV_MAJOR_OFFSET: 'offsetof(struct statx, stx_rdev_major)',
        STATX_RDEV_MINOR_OFFSET: 'offsetof(struct statx, stx_rdev_minor)',
        STATX_DEV_MAJOR_OFFSET: 'offsetof(struct statx, stx_dev_major)',
        STATX_DEV_MINOR_OFFSET: 'offsetof(struct statx, stx_dev_minor)',
        STATX_MNT_ID_OFFSET: 'offsetof(struct statx, stx_mnt_id)',
        STATFS_SIZE: 'sizeof(struct statfs)',
        STATFS_TYPE: 'offsetof(struct statfs, f_type)',
        STATFS_BSIZE: 'offsetof(struct statfs, f_bsize)',
        STATFS_BLOCKS: 'offsetof(struct statfs, f_blocks)',
        STATFS_BFREE: 'offsetof(struct statfs, f_bfree)',
        STATFS_BAVAIL: 'offsetof(struct statfs, f_bavail)',
        STATFS_FILES: 'offsetof(struct statfs, f_files)',
        STATFS_FFREE: 'offsetof(struct statfs, f_ffree)',
        STATFS_FSID: 'offsetof(struct statfs, f_fsid)',
        STATFS_NAMELEN: 'offsetof(struct statfs, f_namelen)',
        STATFS_FRSIZE: 'offsetof(struct statfs, f_frsize)',
        STATFS_FLAGS: 'offsetof(struct statfs, f_flags)',
      },
    ],
    [
      signal,
      {
        SIGINFO_SIZE: 'sizeof(siginfo_t)',
        SIGINFO_CODE: 'offsetof(siginfo_t, si_code)',
        SIGINFO_PID: 'offsetof(siginfo_t, si_pid)',
        SIGINFO_UID: 'offsetof(siginfo_t, si_uid)',
        SIGINFO_VALUE: 'offsetof(siginfo_t, si_value)',
        SIGINFO_STATUS: 'offsetof(siginfo_t, si_status)',
        SIGINFO_UTIME: 'offsetof(siginfo_t, si_utime)',
        SIGINFO_STIME: 'offsetof(siginfo_t, si_stime)',
        SIGINFO_TIMERID: 'offsetof(siginfo_t, si_timerid)',
        SIGINFO_OVERRUN: 'offsetof(siginfo_t, si_overrun)',
        SIGINFO_ADDR: 'offsetof(siginfo_t, si_addr)',
        SIGINFO_ADDR_LSB: 'offsetof(siginfo_t, si_addr_lsb)',
        SIGINFO_BAND: 'offsetof(siginfo_t, si_band)',
        SIGINFO_FD: 'offsetof(siginfo_t, si_fd)',
        SIGINFO_CALL_ADDR: 'offsetof(siginfo_t, si_call_addr)',
        SIGINFO_SYSCALL: 'offsetof(siginfo_t, si_syscall)',
        SIGINFO_ARCH: 'offsetof(siginfo_t, si_arch)',
        STACK_T_SIZE: 'sizeof(stack_t)',
        SIGEVENT_SIZE: 'sizeof(struct sigevent)',
        SIGNALFD_SIGINFO_SIZE: 'sizeof(struct signalfd_siginfo)',
      },
    ],
    [poll, { POLLFD_SIZE: 'sizeof(struct pollfd)', EPOLL_EVENT_SIZE: 'sizeof(struct epoll_event)' }],
    [
      fcntl,
      {
        FLOCK_SIZE: 'sizeof(struct flock)',
        FLOCK_TYPE: 'offsetof(struct flock, l_type)',
        FLOCK_WHENCE: 'offsetof(struct flock, l_whence)',
        FLOCK_START: 'offsetof(struct flock, l_start)',
        FLOCK_LEN: 'offsetof(struct flock, l_len)',
        FLOCK_PID: 'offsetof(struct flock, l_pid)',
        OPEN_HOW_SIZE: 'sizeof(struct open_how)',
      },
    ],
    [
      resource,
      {
        RUSAGE_SIZE: 'sizeof(struct rusage)',
        RUSAGE_STIME: 'offsetof(struct rusage, ru_stime)',
        RUSAGE_MAXRSS: 'offsetof(struct rusage, ru_maxrss)',
        RUSAGE_MINFLT: 'offsetof(struct rusage, ru_minflt)',
        RUSAGE_MAJFLT: 'offsetof(struct rusage, ru_majflt)',
        RUSAGE_INBLOCK: 'offsetof(struct rusage, ru_inblock)',
        RUSAGE_OUBLOCK: 'offsetof(struct rusage, ru_oublock)',
        RUSAGE_NVCSW: 'offsetof(struct rusage, ru_nvcsw)',
        RUSAGE_NIVCSW: 'offsetof(struct rusage, ru_nivcsw)',
        RLIMIT_SIZE: 'sizeof(struct rlimit)',
      },
    ],
    [
      socket,
      {
        MSGHDR_SIZE: 'sizeof(struct msghdr)',
        MSGHDR_NAME: 'offsetof(struct msghdr, msg_name)',
        MSGHDR_NAMELEN: 'offsetof(struct msghdr, msg_namelen)',
        MSGHDR_IOV: 'offsetof(struct msghdr, msg_iov)',
        MSGHDR_IOVLEN: 'offsetof(struct msghdr, msg_iovlen)',
        MSGHDR_CONTROL: 'offsetof(struct msghdr, msg_control)',
        MSGHDR_CONTROLLEN: 'offsetof(struct msghdr, msg_controllen)',
        MSGHDR_FLAGS: 'offsetof(struct msghdr, msg_flags)',
        MMSGHDR_SIZE: 'sizeof(struct mmsghdr)',
        CMSGHDR_SIZE: 'sizeof(struct cmsghdr)',
        UCRED_SIZE: 'sizeof(struct ucred)',
        SOCKADDR_IN_SIZE: 'sizeof(struct sockaddr_in)',
        SOCKADDR_IN6_SIZE: 'sizeof(struct sockaddr_in6)',
        SOCKADDR_NL_SIZE: 'sizeof(struct sockaddr_nl)',
        SOCKADDR_STORAGE_SIZE: 'sizeof(struct sockaddr_storage)',
        UNIX_PATH_MAX: 'sizeof(((struct sockaddr_un *)0)->sun_path)',
        LINGER_SIZE: 'sizeof(struct linger)',
      },
    ],
    [
      time,
      {
        TIMESPEC_SIZE: 'sizeof(struct timespec)',
        TIMEVAL_SIZE: 'sizeof(struct timeval)',
        ITIMERSPEC_SIZE: 'sizeof(struct itimerspec)',
        ITIMERVAL_SIZE: 'sizeof(struct itimerval)',
        TIMEZONE_SIZE: 'sizeof(struct timezone)',
        TMS_SIZE: 'sizeof(struct tms)',
      },
    ],
    [
      elf,
      {
        EHDR_SIZE: 'sizeof(Elf64_Ehdr)',
        E_TYPE: 'offsetof(Elf64_Ehdr, e_type)',
        E_MACHINE: 'offsetof(Elf64_Ehdr, e_machine)',
        E_VERSION: 'offsetof(Elf64_Ehdr, e_version)',
        E_ENTRY: 'offsetof(Elf64_Ehdr, e_entry)',
        E_PHOFF: 'offsetof(Elf64_Ehdr, e_phoff)',
        E_SHOFF: 'offsetof(Elf64_Ehdr, e_shoff)',
        E_FLAGS: 'offsetof(Elf64_Ehdr, e_flags)',
        E_EHSIZE: 'offsetof(Elf64_Ehdr, e_ehsize)',
        E_PHENTSIZE: 'offsetof(Elf64_Ehdr, e_phentsize)',
        E_PHNUM: 'offsetof(Elf64_Ehdr, e_phnum)',
        PHDR_SIZE: 'sizeof(Elf64_Phdr)',
        P_TYPE: 'offsetof(Elf64_Phdr, p_type)',
        P_FLAGS: 'offsetof(Elf64_Phdr, p_flags)',
        P_OFFSET: 'offsetof(Elf64_Phdr, p_offset)',
        P_VADDR: 'offsetof(Elf64_Phdr, p_vaddr)',
        P_PADDR: 'offsetof(Elf64_Phdr, p_paddr)',
        P_FILESZ: 'offsetof(Elf64_Phdr, p_filesz)',
        P_MEMSZ: 'offsetof(Elf64_Phdr, p_memsz)',
        P_ALIGN: 'offsetof(Elf64_Phdr, p_align)',
      },
    ],
    [
      sched,
      {
        CLONE_ARGS_SIZE_VER2: 'sizeof(struct clone_args)',
        CLONE_ARGS_PIDFD: 'offsetof(struct clone_args, pidfd)',
        CLONE_ARGS_CHILD_TID: 'offsetof(struct clone_args, child_tid)',
        CLONE_ARGS_PARENT_TID: 'offsetof(struct clone_args, parent_tid)',
        CLONE_ARGS_EXIT_SIGNAL: 'offsetof(struct clone_args, exit_signal)',
        CLONE_ARGS_STACK: 'offsetof(struct clone_args, stack)',
        CLONE_ARGS_STACK_SIZE: 'offsetof(struct clone_args, stack_size)',
        CLONE_ARGS_TLS: 'offsetof(struct clone_args, tls)',
        CLONE_ARGS_SET_TID: 'offsetof(struct clone_args, set_tid)',
        CLONE_ARGS_SET_TID_SIZE: 'offsetof(struct clone_args, set_tid_size)',
        CLONE_ARGS_CGROUP: 'offsetof(struct clone_args, cgroup)',
      },
    ],
    [
      misc,
      {
        UTSNAME_SIZE: 'sizeof(struct utsname)',
        UTSNAME_FIELD: 'sizeof(((struct utsname *)0)->nodename)',
        SYSINFO_SIZE: 'sizeof(struct sysinfo)',
        SYSINFO_LOADS: 'offsetof(struct sysinfo, loads)',
        SYSINFO_TOTALRAM: 'offsetof(struct sysinfo, totalram)',
        SYSINFO_FREERAM: 'offsetof(struct sysinfo, freeram)',
        SYSINFO_SHAREDRAM: 'offsetof(struct sysinfo, sharedram)',
        SYSINFO_BUFFERRAM: 'offsetof(struct sysinfo, bufferram)',
        SYSINFO_TOTALSWAP: 'offsetof(struct sysinfo, totalswap)',
        SYSINFO_FREESWAP: 'offsetof(struct sysinfo, freeswap)',
        SYSINFO_PROCS: 'offsetof(struct sysinfo, procs)',
        SYSINFO_TOTALHIGH: 'offsetof(struct sysinfo, totalhigh)',
        SYSINFO_FREEHIGH: 'offsetof(struct sysinfo, freehigh)',
        SYSINFO_MEM_UNIT: 'offsetof(struct sysinfo, mem_unit)',
      },
    ],
    [ioctl, { WINSIZE_SIZE: 'sizeof(struct winsize)' }],
    [futex, { ROBUST_LIST_HEAD_SIZE: 'sizeof(struct robust_list_head)' }],
    [
      capability,
      {
        CAP_HEADER_SIZE: 'sizeof(struct __user_cap_header_struct)',
        CAP_DATA_SIZE: 'sizeof(struct __user_cap_data_struct)',
      },
    ],
  ];
  for (const [module, expressions] of layouts) {
    for (const [name, value] of valuesOf(expressions, false)) {
      assert.equal((module as Readonly<Record<string, unknown>>)[name], value, name);
    }
  }
});

test('errno names and texts are those of libc', () => {
  const lines = runC(
    'for (int e = 1; e < 134; e++) if (strerrorname_np(e)) printf("%d %s %s\\n", e, strerrorname_np(e), strerror(e));',
  );
  for (const line of lines.trim().split('\n')) {
    const [, number, name, text] = /^(\d+) (\S+) (.*)$/.exec(line) as unknown as [string, string, string, string];
    assert.equal(errno.errnoName(-Number(number)), name);
    assert.equal(errno.errnoText(Number(number)), text);
  }
  assert.equal(errno.errnoName(4000), 'E4000');
});

test('device numbers are packed as libc packs them', () => {
  for (const [major, minor] of [
    [0, 0],
    [1, 3],
    [8, 255],
    [136, 256],
    [4095, 1048575],
  ] as const) {
    const [packed] = valuesOf({ device: `makedev(${major}, ${minor})` }, false).values();
    assert.equal(stat.makeDevice(major, minor), packed);
    assert.equal(stat.deviceMajor(packed as number), major);
    assert.equal(stat.deviceMinor(packed as number), minor);
  }
});

test('wait statuses are taken apart as libc does', () => {
  for (const status of [0, 0x100, 0xff00, 9, 9 | 0x80, 0x137f, 0xffff]) {
    const theirs = valuesOf(
      {
        exited: `({int s = ${status}; WIFEXITED(s);})`,
        signaled: `({int s = ${status}; WIFSIGNALED(s);})`,
        stopped: `({int s = ${status}; WIFSTOPPED(s);})`,
        continued: `({int s = ${status}; WIFCONTINUED(s);})`,
      },
      false,
    );
    assert.equal(wait.WIFEXITED(status), theirs.get('exited') !== 0, `${status} exited`);
    assert.equal(wait.WIFSIGNALED(status), theirs.get('signaled') !== 0, `${status} signaled`);
    assert.equal(wait.WIFSTOPPED(status), theirs.get('stopped') !== 0, `${status} stopped`);
    assert.equal(wait.WIFCONTINUED(status), theirs.get('continued') !== 0, `${status} continued`);
  }
});

test('signals by name and number', () => {
  assert.equal(signal.signalName(15), 'SIGTERM');
  assert.equal(signal.signalName(34), 'SIGRT_2');
  assert.equal(signal.signalName(0), '0');
  assert.equal(signal.signalNumber('TERM'), 15);
  assert.equal(signal.signalNumber('SIGKILL'), 9);
  assert.equal(signal.signalNumber('RTMIN+1'), 35);
  assert.equal(signal.signalNumber('RTMAX-1'), 63);
  assert.equal(signal.signalNumber('9'), 9);
  assert.equal(signal.signalNumber('65'), 0);
  assert.equal(signal.signalNumber('NOPE'), 0);
});
