// The root of all kernel state: everything a checkpoint must walk hangs off `kernel`. One sentry serves one sandbox,
// so there is one kernel per process; it is filled at boot and nothing is created at import time but empty tables.

import type { Pid } from '../base/brands.ts';
import { initialPids } from './pid-namespaces.ts';
import type { ProcessGroup, Session } from './sessions.ts';
import type { Task, ThreadGroup } from './task.ts';

export interface Kernel {
  /** All there are in the sandbox, by their numbers in its first pid namespace. */
  readonly tasks: ReadonlyMap<Pid, Task>;
  readonly groups: ReadonlyMap<Pid, ThreadGroup>;
  readonly processGroups: ReadonlyMap<Pid, ProcessGroup>;
  readonly sessions: ReadonlyMap<Pid, Session>;
  init: ThreadGroup | null;
  /** The first process is a container's pid 1: signals that it does not handle are lost on it (pid_namespaces(7)). */
  initUnkillable: boolean;
  /** The task whose call is being served: for files that mean their opener (/proc/self, /dev/tty, terminals). */
  current: Task | null;
  /** CLOCK_MONOTONIC (ns) at the sandbox's start: uptime and process start times count from here. */
  bootTime: number;
  /** CPUs the sandbox may use. */
  cpuCount: number;
  /** Calls served, by number, for --stats. */
  readonly callCounts: Float64Array;
  /** How many of them came by a trap, and not from a patched site. */
  traps: number;
  /** Tasks ever created (the "processes" line of /proc/stat). */
  forks: number;
}

export const kernel: Kernel = {
  tasks: initialPids.tasks,
  groups: initialPids.groups,
  processGroups: initialPids.processGroups,
  sessions: initialPids.sessions,
  init: null,
  initUnkillable: false,
  current: null,
  bootTime: 0,
  cpuCount: 1,
  callCounts: new Float64Array(1024),
  traps: 0,
  forks: 0,
};
