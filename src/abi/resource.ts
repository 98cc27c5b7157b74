// Constants and layouts of getrlimit(2), prlimit(2) and getrusage(2) for amd64.

// Resources
export const RLIMIT_CPU = 0;
export const RLIMIT_FSIZE = 1;
export const RLIMIT_DATA = 2;
export const RLIMIT_STACK = 3;
export const RLIMIT_CORE = 4;
export const RLIMIT_RSS = 5;
export const RLIMIT_NPROC = 6;
export const RLIMIT_NOFILE = 7;
export const RLIMIT_MEMLOCK = 8;
export const RLIMIT_AS = 9;
export const RLIMIT_LOCKS = 10;
export const RLIMIT_SIGPENDING = 11;
export const RLIMIT_MSGQUEUE = 12;
export const RLIMIT_NICE = 13;
export const RLIMIT_RTPRIO = 14;
export const RLIMIT_RTTIME = 15;
export const RLIM_NLIMITS = 16;

/** No limit: 2^64 - 1, as near as a double comes to it. */
export const RLIM_INFINITY = 2 ** 64;

// struct rlimit and struct rlimit64: u64 soft, u64 hard
export const RLIMIT_SIZE = 16;

// getrusage(2)
export const RUSAGE_SELF = 0;
export const RUSAGE_CHILDREN = -1;
export const RUSAGE_BOTH = -2;
export const RUSAGE_THREAD = 1;

// struct rusage, byte offsets: two struct timeval, then fourteen s64
export const RUSAGE_SIZE = 144;
export const RUSAGE_UTIME = 0;
export const RUSAGE_STIME = 16;
export const RUSAGE_MAXRSS = 32; // KiB
export const RUSAGE_MINFLT = 64;
export const RUSAGE_MAJFLT = 72;
export const RUSAGE_INBLOCK = 88;
export const RUSAGE_OUBLOCK = 96;
export const RUSAGE_NVCSW = 128;
export const RUSAGE_NIVCSW = 136;
