// All handlers by the name of their system call. A module here exports nothing else, so that the code of a call is
// found by its name; the table says what each number is called.

import * as aio from './aio.ts';
import * as attributes from './attributes.ts';
import * as bpf from './bpf.ts';
import * as capability from './capability.ts';
import * as copy from './copy.ts';
import * as credentials from './credentials.ts';
import * as descriptor from './descriptor.ts';
import * as directory from './directory.ts';
import * as epoll from './epoll.ts';
import * as eventfd from './eventfd.ts';
import * as fanotify from './fanotify.ts';
import * as file from './file.ts';
import * as fileAttributes from './file-attributes.ts';
import * as fileHandle from './file-handle.ts';
import * as filesystem from './filesystem.ts';
import * as futex from './futex.ts';
import * as inotify from './inotify.ts';
import * as inspect from './inspect.ts';
import * as intervalTimer from './interval-timer.ts';
import * as keys from './keys.ts';
import * as limits from './limits.ts';
import * as lsm from './lsm.ts';
import * as memory from './memory.ts';
import * as memoryFiles from './memory-files.ts';
import * as memoryLock from './memory-lock.ts';
import * as memoryPolicy from './memory-policy.ts';
import * as mount from './mount.ts';
import * as mountApi from './mount-api.ts';
import * as mqueue from './mqueue.ts';
import * as namespace from './namespace.ts';
import * as open from './open.ts';
import * as pidfd from './pidfd.ts';
import * as pipe from './pipe.ts';
import * as poll from './poll.ts';
import * as posixTimer from './posix-timer.ts';
import * as prctl from './prctl.ts';
import * as process from './process.ts';
import * as ptrace from './ptrace.ts';
import * as random from './random.ts';
import * as schedule from './schedule.ts';
import * as seccomp from './seccomp.ts';
import * as session from './session.ts';
import * as signal from './signal.ts';
import * as signalfd from './signalfd.ts';
import * as socket from './socket.ts';
import * as socketMessage from './socket-message.ts';
import * as stat from './stat.ts';
import * as statmount from './statmount.ts';
import * as system from './system.ts';
import * as sysvMessage from './sysv-message.ts';
import * as sysvSemaphore from './sysv-semaphore.ts';
import * as sysvSharedMemory from './sysv-shared-memory.ts';
import * as time from './time.ts';
import * as timerfd from './timerfd.ts';
import * as xattr from './xattr.ts';

export const HANDLERS: Readonly<Record<string, unknown>> = {
  ...aio,
  ...attributes,
  ...bpf,
  ...capability,
  ...credentials,
  ...descriptor,
  ...directory,
  ...epoll,
  ...eventfd,
  ...fanotify,
  ...file,
  ...fileAttributes,
  ...fileHandle,
  ...filesystem,
  ...futex,
  ...inotify,
  ...inspect,
  ...intervalTimer,
  ...keys,
  ...limits,
  ...memory,
  ...memoryLock,
  ...memoryPolicy,
  ...lsm,
  ...mount,
  ...mountApi,
  ...mqueue,
  ...namespace,
  ...open,
  ...pidfd,
  ...pipe,
  ...poll,
  ...posixTimer,
  ...prctl,
  ...process,
  ...ptrace,
  ...random,
  ...schedule,
  ...seccomp,
  ...session,
  ...signal,
  ...signalfd,
  ...socket,
  ...socketMessage,
  ...stat,
  ...statmount,
  ...system,
  ...sysvMessage,
  ...sysvSemaphore,
  ...sysvSharedMemory,
  ...time,
  ...timerfd,
  ...copy,
  ...xattr,
  ...memoryFiles,
};
