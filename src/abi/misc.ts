// Small families of constants that need no file of their own: getrandom, eventfd, inotify, personality, rseq,
// membarrier, close_range, pidfd, uname, sysinfo, System V ipc.

// getrandom(2)
export const GRND_NONBLOCK = 1;
export const GRND_RANDOM = 2;
export const GRND_INSECURE = 4;

// eventfd(2)
export const EFD_SEMAPHORE = 0o1;
export const EFD_CLOEXEC = 0o2000000;
export const EFD_NONBLOCK = 0o4000;

// close_range(2)
export const CLOSE_RANGE_UNSHARE = 2;
export const CLOSE_RANGE_CLOEXEC = 4;

// pidfd_open(2), pidfd_send_signal(2)
export const PIDFD_NONBLOCK = 0o4000;
export const PIDFD_THREAD = 0o200;
export const PIDFD_SIGNAL_THREAD = 0o1;
export const PIDFD_SIGNAL_THREAD_GROUP = 0o2;
export const PIDFD_SIGNAL_PROCESS_GROUP = 0o4;

// inotify(7)
export const IN_ACCESS = 0x1;
export const IN_MODIFY = 0x2;
export const IN_ATTRIB = 0x4;
export const IN_CLOSE_WRITE = 0x8;
export const IN_CLOSE_NOWRITE = 0x10;
export const IN_OPEN = 0x20;
export const IN_MOVED_FROM = 0x40;
export const IN_MOVED_TO = 0x80;
export const IN_CREATE = 0x100;
export const IN_DELETE = 0x200;
export const IN_DELETE_SELF = 0x400;
export const IN_MOVE_SELF = 0x800;
export const IN_UNMOUNT = 0x2000;
export const IN_Q_OVERFLOW = 0x4000;
export const IN_IGNORED = 0x8000;
export const IN_ONLYDIR = 0x1000000;
export const IN_DONT_FOLLOW = 0x2000000;
export const IN_EXCL_UNLINK = 0x4000000;
export const IN_MASK_CREATE = 0x10000000;
export const IN_MASK_ADD = 0x20000000;
export const IN_ISDIR = 0x40000000;
export const IN_ONESHOT = 0x80000000;
export const IN_CLOEXEC = 0x80000;
export const IN_NONBLOCK = 0x800;

// personality(2)
export const PER_LINUX = 0x0;
export const PER_LINUX32 = 0x8;
export const PER_MASK = 0xff;
export const UNAME26 = 0x20000;
export const ADDR_NO_RANDOMIZE = 0x40000;
export const FDPIC_FUNCPTRS = 0x80000;
export const MMAP_PAGE_ZERO = 0x100000;
export const ADDR_COMPAT_LAYOUT = 0x200000;
export const READ_IMPLIES_EXEC = 0x400000;
export const ADDR_LIMIT_32BIT = 0x800000;
export const SHORT_INODE = 0x1000000;
export const WHOLE_SECONDS = 0x2000000;
export const STICKY_TIMEOUTS = 0x4000000;
export const ADDR_LIMIT_3GB = 0x8000000;

// rseq(2)
export const RSEQ_FLAG_UNREGISTER = 1;
export const RSEQ_SIZE = 32;

// membarrier(2)
export const MEMBARRIER_CMD_QUERY = 0;
export const MEMBARRIER_CMD_GLOBAL = 1;
export const MEMBARRIER_CMD_GLOBAL_EXPEDITED = 2;
export const MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED = 4;
export const MEMBARRIER_CMD_PRIVATE_EXPEDITED = 8;
export const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED = 16;
export const MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE = 32;
export const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 64;
export const MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ = 128;
export const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ = 256;
export const MEMBARRIER_CMD_GET_REGISTRATIONS = 512;

// System V ipc
export const IPC_PRIVATE = 0;
export const IPC_CREAT = 0o1000;
export const IPC_EXCL = 0o2000;
export const IPC_NOWAIT = 0o4000;
export const IPC_RMID = 0;
export const IPC_SET = 0o1;
export const IPC_STAT = 0o2;
export const IPC_INFO = 0o3;

// uname(2): six strings of 65 bytes
export const UTSNAME_SIZE = 390;
export const UTSNAME_FIELD = 65;
export const HOST_NAME_MAX = 64;

// struct sysinfo, byte offsets
export const SYSINFO_SIZE = 112;
export const SYSINFO_UPTIME = 0; // s64
export const SYSINFO_LOADS = 8; // u64[3], fixed point with 16 bits
export const SYSINFO_TOTALRAM = 32; // u64
export const SYSINFO_FREERAM = 40; // u64
export const SYSINFO_SHAREDRAM = 48; // u64
export const SYSINFO_BUFFERRAM = 56; // u64
export const SYSINFO_TOTALSWAP = 64; // u64
export const SYSINFO_FREESWAP = 72; // u64
export const SYSINFO_PROCS = 80; // u16
export const SYSINFO_TOTALHIGH = 88; // u64
export const SYSINFO_FREEHIGH = 96; // u64
export const SYSINFO_MEM_UNIT = 104; // u32

export const MQ_PRIO_MAX = 32768;

// kcmp(2)
export const KCMP_FILE = 0;
export const KCMP_VM = 1;
export const KCMP_FILES = 2;
export const KCMP_FS = 3;
export const KCMP_SIGHAND = 4;
export const KCMP_IO = 5;
export const KCMP_SYSVSEM = 6;
export const KCMP_EPOLL_TFD = 7;

// syslog(2)
export const SYSLOG_ACTION_READ = 2;
export const SYSLOG_ACTION_READ_CLEAR = 4;
export const SYSLOG_ACTION_CLEAR = 5;
export const SYSLOG_ACTION_CONSOLE_LEVEL = 8;
export const SYSLOG_ACTION_SIZE_UNREAD = 9;
export const SYSLOG_ACTION_SIZE_BUFFER = 10;

// ustat(2): s32 free blocks, u64 free inodes, names of 6 bytes each
export const USTAT_SIZE = 32;
export const USTAT_TINODE = 8;
