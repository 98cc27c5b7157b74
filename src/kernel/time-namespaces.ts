// Clocks of time namespaces (time_namespaces(7)): setting them by /proc/PID/timens_offsets before anybody is in, and
// seeing to it that processes in one are told its time. What the host measures itself stays by its own clock: timeouts
// of futexes that are waited for there (futex(2) with an absolute CLOCK_MONOTONIC time).

import { CAP_SYS_TIME } from '../abi/capability.ts';
import { EACCES, EINVAL, EPERM, ERANGE } from '../abi/errno.ts';
import { CLOCK_BOOTTIME, CLOCK_MONOTONIC } from '../abi/time.ts';
import { capableIn } from '../base/credentials.ts';
import { host } from '../host/calls.ts';
import { divertClocks } from '../mm/vdso.ts';
import type { Task } from './task.ts';

const SECOND = 1e9;
/** KTIME_SEC_MAX, the most that the kernel's times can hold, in seconds. */
const SECONDS_MAX = 9223372036;

/** Whether a process is in a namespace with other clocks, and its own are still the host's. */
export function seesShiftedTime({ namespaces, mm }: Task): boolean {
  const { monotonic, boottime } = namespaces.time;
  return (monotonic !== 0 || boottime !== 0) && !mm.divertedClocks;
}

/** A process that is in a namespace with other clocks asks the sentry for the time, and goes on to until its exec. */
export function tellShiftedTime(task: Task): void {
  if (!seesShiftedTime(task)) return;
  task.mm.divertedClocks = true;
  divertClocks(task.memory, task.mm.vdso);
}

/** /proc/PID/timens_offsets: of the namespace that the task's children will be in. */
export function offsetsText({ namespaces }: Task): string {
  const { monotonic, boottime } = namespaces.timeForChildren;
  const line = (name: string, offset: number): string => {
    const seconds = Math.floor(offset / SECOND);
    return `${name.padEnd(10)} ${String(seconds).padStart(10)} ${String(offset - seconds * SECOND).padStart(9)}\n`;
  };
  return line('monotonic', monotonic) + line('boottime', boottime);
}

/** Sets one or both offsets: 0, -EINVAL, -EPERM, -EACCES when somebody is in already, -ERANGE. */
export function writeOffsets({ namespaces }: Task, writer: Task, text: string): number {
  const namespace = namespaces.timeForChildren;
  if (!capableIn(namespace.owner, writer.credentials, CAP_SYS_TIME)) return -EPERM;
  const wanted: [clock: number, offset: number][] = [];
  for (const line of text.replace(/\n$/, '').split('\n')) {
    const match = /^\s*(monotonic|boottime|\d+)\s+(-?\d+)\s+(\d+)\s*$/.exec(line);
    if (!match || wanted.length === 2) return -EINVAL;
    const clock = match[1] === 'monotonic' ? CLOCK_MONOTONIC : match[1] === 'boottime' ? CLOCK_BOOTTIME : +match[1];
    const [seconds, nanoseconds] = [Number(match[2]), Number(match[3])];
    if ((clock !== CLOCK_MONOTONIC && clock !== CLOCK_BOOTTIME) || nanoseconds >= SECOND) return -EINVAL;
    const then = host.clock_gettime(clock) / SECOND + seconds;
    if (Math.abs(seconds) > SECONDS_MAX || then < 0 || then > SECONDS_MAX / 2) return -ERANGE;
    wanted.push([clock, seconds * SECOND + nanoseconds]);
  }
  if (namespace.initial || namespace.frozen) return -EACCES;
  for (const [clock, offset] of wanted) {
    if (clock === CLOCK_MONOTONIC) namespace.monotonic = offset;
    else namespace.boottime = offset;
  }
  return 0;
}
