// What the host's procfs knows of the resources that guest processes and threads have used, for kernel/usage.ts.

import type { HostPid } from '../../base/brands.ts';
import type { HostUsageReader, Usage } from '../../kernel/usage.ts';
import { hostProcLines, hostStat, readHostProc } from '../../platform/host-proc.ts';

/** Fields of /proc/PID/stat (proc(5)). */
const MINOR_FAULTS = 10;
const MAJOR_FAULTS = 12;
const USER_TICKS = 14;
const SYSTEM_TICKS = 15;

function addFaults(stat: readonly string[] | null, into: Usage): void {
  if (!stat) return;
  into.minorFaults += Number(stat[MINOR_FAULTS]);
  into.majorFaults += Number(stat[MAJOR_FAULTS]);
}

/** Peak memory and context switches stand in the status file only. */
function addStatus(path: string, into: Usage): void {
  for (const line of hostProcLines(path)) {
    const colon = line.indexOf(':');
    const value = Number.parseInt(line.slice(colon + 1), 10);
    switch (line.slice(0, colon)) {
      case 'VmHWM':
        into.maxResident = Math.max(into.maxResident, value);
        break;
      case 'voluntary_ctxt_switches':
        into.voluntarySwitches += value;
        break;
      case 'nonvoluntary_ctxt_switches':
        into.involuntarySwitches += value;
        break;
    }
  }
}

/** The exact time of a thread in ns. */
function exactTime(directory: string): number {
  const schedule = readHostProc(`${directory}/schedstat`);
  return typeof schedule === 'string' ? Number.parseInt(schedule, 10) : 0;
}

/** The exact time of a thread, in the proportion of the counted ticks. */
function addTimes(directory: string, stat: readonly string[] | null, into: Usage): void {
  const total = exactTime(directory);
  const userTicks = Number(stat?.[USER_TICKS] ?? 0);
  const allTicks = userTicks + Number(stat?.[SYSTEM_TICKS] ?? 0);
  const user = allTicks > 0 ? Math.round(total * (userTicks / allTicks)) : total;
  into.userTime += user;
  into.systemTime += total - user;
}

export const hostUsageReader: HostUsageReader = {
  process(hostPid: HostPid, into: Usage): void {
    addFaults(hostStat(`${hostPid}/stat`), into);
    addStatus(`${hostPid}/status`, into);
  },

  thread(hostPid: HostPid, hostTid: HostPid, into: Usage): void {
    const directory = `${hostPid}/task/${hostTid}`;
    const stat = hostStat(`${directory}/stat`);
    addTimes(directory, stat, into);
    addFaults(stat, into);
    addStatus(`${directory}/status`, into);
  },

  threadTime(hostPid: HostPid, hostTid: HostPid): number {
    return exactTime(`${hostPid}/task/${hostTid}`);
  },
};
