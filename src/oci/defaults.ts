// What a sandbox has when nobody asked for anything else: the file systems every program looks for, and the caller's
// resource limits.

import { readFileSync } from 'node:fs';
import { RLIM_INFINITY } from '../abi/resource.ts';
import type { LimitsSpec, MountSpec, RlimitSpec } from '../base/spec.ts';

/** /proc, /sys, /dev and what lives below it, and a /run of the sandbox's own. */
export const STANDARD_MOUNTS: readonly MountSpec[] = [
  {
    destination: '/proc',
    type: 'proc',
    source: null,
    device: null,
    options: ['nosuid', 'nodev', 'noexec'],
    copyUp: false,
  },
  {
    destination: '/sys',
    type: 'sysfs',
    source: null,
    device: null,
    options: ['ro', 'nosuid', 'nodev', 'noexec'],
    copyUp: false,
  },
  {
    destination: '/sys/fs/cgroup',
    type: 'cgroup',
    source: null,
    device: null,
    options: ['nosuid', 'nodev', 'noexec'],
    copyUp: false,
  },
  { destination: '/dev', type: 'dev', source: null, device: null, options: ['nosuid', 'mode=755'], copyUp: false },
  {
    destination: '/dev/pts',
    type: 'devpts',
    source: null,
    device: null,
    options: ['nosuid', 'noexec', 'ptmxmode=666', 'mode=620', 'gid=5'],
    copyUp: false,
  },
  {
    destination: '/dev/shm',
    type: 'tmpfs',
    source: null,
    device: null,
    options: ['nosuid', 'nodev', 'mode=1777'],
    copyUp: false,
  },
  {
    destination: '/run',
    type: 'tmpfs',
    source: null,
    device: null,
    options: ['nosuid', 'nodev', 'mode=755'],
    copyUp: false,
  },
];

/** The resources of getrlimit(2) by number, as OCI configurations and /proc/PID/limits name them. */
export const RLIMITS: readonly { readonly name: string; readonly label: string }[] = [
  { name: 'RLIMIT_CPU', label: 'Max cpu time' },
  { name: 'RLIMIT_FSIZE', label: 'Max file size' },
  { name: 'RLIMIT_DATA', label: 'Max data size' },
  { name: 'RLIMIT_STACK', label: 'Max stack size' },
  { name: 'RLIMIT_CORE', label: 'Max core file size' },
  { name: 'RLIMIT_RSS', label: 'Max resident set' },
  { name: 'RLIMIT_NPROC', label: 'Max processes' },
  { name: 'RLIMIT_NOFILE', label: 'Max open files' },
  { name: 'RLIMIT_MEMLOCK', label: 'Max locked memory' },
  { name: 'RLIMIT_AS', label: 'Max address space' },
  { name: 'RLIMIT_LOCKS', label: 'Max file locks' },
  { name: 'RLIMIT_SIGPENDING', label: 'Max pending signals' },
  { name: 'RLIMIT_MSGQUEUE', label: 'Max msgqueue size' },
  { name: 'RLIMIT_NICE', label: 'Max nice priority' },
  { name: 'RLIMIT_RTPRIO', label: 'Max realtime priority' },
  { name: 'RLIMIT_RTTIME', label: 'Max realtime timeout' },
];

const LINUX_SOFT_NOFILE = 1024;

/** Our own limits, for a program that takes our place. */
export function inheritedLimits(): RlimitSpec[] {
  const limits: RlimitSpec[] = [];
  for (const line of readFileSync('/proc/self/limits', 'latin1').split('\n')) {
    const resource = RLIMITS.findIndex(({ label }) => line.startsWith(label));
    if (resource < 0) continue;
    const [soft = 0, hard = 0] = line
      .slice(26)
      .trim()
      .split(/\s+/)
      .map((value) => (value === 'unlimited' ? RLIM_INFINITY : Number(value)));
    // Node raised its own soft limit of open files when it started; what the caller had is not to be known.
    const nofile = RLIMITS[resource]?.name === 'RLIMIT_NOFILE';
    limits.push({ resource, soft: nofile ? Math.min(LINUX_SOFT_NOFILE, hard) : soft, hard });
  }
  return limits;
}

export const NO_LIMITS: LimitsSpec = { pids: null, memory: null, cpuQuota: null, cpuPeriod: 100_000 };
