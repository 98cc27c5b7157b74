// Constants of clone(2), clone3(2), unshare(2), setns(2) and sched(7) for amd64.

// clone flags. The low byte of clone(2)'s flags is the exit signal; flags from bit 32 on exist for clone3(2) only.
export const CSIGNAL = 0xff;
export const CLONE_NEWTIME = 0x80;
export const CLONE_VM = 0x100;
export const CLONE_FS = 0x200;
export const CLONE_FILES = 0x400;
export const CLONE_SIGHAND = 0x800;
export const CLONE_PIDFD = 0x1000;
export const CLONE_PTRACE = 0x2000;
export const CLONE_VFORK = 0x4000;
export const CLONE_PARENT = 0x8000;
export const CLONE_THREAD = 0x10000;
export const CLONE_NEWNS = 0x20000;
export const CLONE_SYSVSEM = 0x40000;
export const CLONE_SETTLS = 0x80000;
export const CLONE_PARENT_SETTID = 0x100000;
export const CLONE_CHILD_CLEARTID = 0x200000;
export const CLONE_DETACHED = 0x400000;
export const CLONE_UNTRACED = 0x800000;
export const CLONE_CHILD_SETTID = 0x1000000;
export const CLONE_NEWCGROUP = 0x2000000;
export const CLONE_NEWUTS = 0x4000000;
export const CLONE_NEWIPC = 0x8000000;
export const CLONE_NEWUSER = 0x10000000;
export const CLONE_NEWPID = 0x20000000;
export const CLONE_NEWNET = 0x40000000;
export const CLONE_IO = 0x80000000;
export const CLONE_CLEAR_SIGHAND = 0x100000000;
export const CLONE_INTO_CGROUP = 0x200000000;

// struct clone_args (clone3), byte offsets; each field is a u64.
export const CLONE_ARGS_SIZE_VER0 = 64;
export const CLONE_ARGS_SIZE_VER1 = 80;
export const CLONE_ARGS_SIZE_VER2 = 88;
export const CLONE_ARGS_FLAGS = 0;
export const CLONE_ARGS_PIDFD = 8;
export const CLONE_ARGS_CHILD_TID = 16;
export const CLONE_ARGS_PARENT_TID = 24;
export const CLONE_ARGS_EXIT_SIGNAL = 32;
export const CLONE_ARGS_STACK = 40;
export const CLONE_ARGS_STACK_SIZE = 48;
export const CLONE_ARGS_TLS = 56;
export const CLONE_ARGS_SET_TID = 64;
export const CLONE_ARGS_SET_TID_SIZE = 72;
export const CLONE_ARGS_CGROUP = 80;

// Scheduling policies
export const SCHED_OTHER = 0x0;
export const SCHED_FIFO = 0x1;
export const SCHED_RR = 0x2;
export const SCHED_BATCH = 0x3;
export const SCHED_IDLE = 0x5;
export const SCHED_DEADLINE = 0x6;
export const SCHED_EXT = 0x7;
export const SCHED_RESET_ON_FORK = 0x40000000;

// getpriority(2)
export const PRIO_PROCESS = 0;
export const PRIO_PGRP = 1;
export const PRIO_USER = 2;

// ioprio_set(2)
export const IOPRIO_WHO_PROCESS = 1;
export const IOPRIO_WHO_PGRP = 2;
export const IOPRIO_WHO_USER = 3;
