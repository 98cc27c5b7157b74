// Clocks and timers of Linux for amd64 (clock_gettime(2), timerfd_create(2), setitimer(2), timer_create(2)).

// Clocks
export const CLOCK_REALTIME = 0;
export const CLOCK_MONOTONIC = 1;
export const CLOCK_PROCESS_CPUTIME_ID = 2;
export const CLOCK_THREAD_CPUTIME_ID = 3;
export const CLOCK_MONOTONIC_RAW = 4;
export const CLOCK_REALTIME_COARSE = 5;
export const CLOCK_MONOTONIC_COARSE = 6;
export const CLOCK_BOOTTIME = 7;
export const CLOCK_REALTIME_ALARM = 8;
export const CLOCK_BOOTTIME_ALARM = 9;
export const CLOCK_TAI = 11;

export const TIMER_ABSTIME = 1;

// timerfd
export const TFD_TIMER_ABSTIME = 1;
export const TFD_TIMER_CANCEL_ON_SET = 2;
export const TFD_CLOEXEC = 524288;
export const TFD_NONBLOCK = 2048;

// setitimer(2)
export const ITIMER_REAL = 0;
export const ITIMER_VIRTUAL = 1;
export const ITIMER_PROF = 2;

// struct timespec: s64 seconds, s64 nanoseconds. struct timeval: s64 seconds, s64 microseconds.
// struct itimerspec and struct itimerval: the interval, then the value.
export const TIMESPEC_SIZE = 16;
export const TIMEVAL_SIZE = 16;
export const ITIMERSPEC_SIZE = 32;
export const ITIMERVAL_SIZE = 32;
export const TIMEZONE_SIZE = 8;
export const TMS_SIZE = 32;

export const NSEC_PER_SEC = 1e9;
export const USEC_PER_SEC = 1e6;
export const USER_HZ = 100; // clock ticks a second in times(2), /proc and siginfo_t
