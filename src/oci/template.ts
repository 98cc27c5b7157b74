// The configuration that `spec` writes: a shell in a container with what containers usually have.

import { statSync } from 'node:fs';
import { OCI_VERSION } from './version.ts';

const CAPABILITIES = ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'];

const MOUNTS = [
  { destination: '/proc', type: 'proc', source: 'proc' },
  {
    destination: '/dev',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
  },
  {
    destination: '/dev/pts',
    type: 'devpts',
    source: 'devpts',
    options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
  },
  {
    destination: '/dev/shm',
    type: 'tmpfs',
    source: 'shm',
    options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'],
  },
  { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
  { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
  {
    destination: '/sys/fs/cgroup',
    type: 'cgroup',
    source: 'cgroup',
    options: ['nosuid', 'noexec', 'nodev', 'relatime', 'ro'],
  },
];

const MASKED = ['acpi', 'asound', 'kcore', 'keys', 'latency_stats', 'timer_list', 'timer_stats', 'sched_debug', 'scsi'];
const READONLY = ['bus', 'fs', 'irq', 'sys', 'sysrq-trigger'];

/** For an ordinary user (`rootless`) with the user's own ids as root's. */
export function configTemplate(rootless: boolean): object {
  // A cgroup namespace where the machine has version 2: whoever wants one with version 1 adds it.
  const unified = statSync('/sys/fs/cgroup/cgroup.controllers', { throwIfNoEntry: false }) !== undefined;
  const types = ['pid', 'network', 'ipc', 'uts', 'mount', ...(unified ? ['cgroup'] : [])];
  const namespaces = types.map((type) => ({ type }));
  const own = (hostID: number) => [{ containerID: 0, hostID, size: 1 }];
  return {
    ociVersion: OCI_VERSION,
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ['sh'],
      env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'TERM=xterm'],
      cwd: '/',
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    hostname: 'cloister',
    mounts: MOUNTS,
    linux: {
      ...(rootless && { uidMappings: own(process.geteuid?.() ?? 0), gidMappings: own(process.getegid?.() ?? 0) }),
      ...(!rootless && { resources: { devices: [{ allow: false, access: 'rwm' }] } }),
      namespaces: rootless ? [...namespaces, { type: 'user' }] : namespaces,
      maskedPaths: [...MASKED.map((name) => `/proc/${name}`), '/sys/firmware'],
      readonlyPaths: READONLY.map((name) => `/proc/${name}`),
    },
  };
}
