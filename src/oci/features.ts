// The features document of the runtime specification: what of config.json this runtime honours.

import { CAPABILITY_NAMES } from '../abi/capability.ts';

export function features(): object {
  return {
    ociVersionMin: '1.0.0',
    ociVersionMax: '1.3.0',
    hooks: ['prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop'],
    mountOptions: [
      ...['bind', 'rbind', 'ro', 'rw', 'nosuid', 'suid', 'nodev', 'dev', 'noexec', 'exec', 'noatime', 'atime'],
      ...['nodiratime', 'diratime', 'relatime', 'norelatime', 'strictatime', 'nostrictatime', 'private', 'rprivate'],
    ],
    linux: {
      namespaces: ['mount', 'pid', 'network', 'ipc', 'uts', 'user', 'cgroup'],
      capabilities: CAPABILITY_NAMES,
      cgroup: { v1: true, v2: true, systemd: false, systemdUser: false, rdma: true },
      seccomp: { enabled: false },
      apparmor: { enabled: false },
      selinux: { enabled: false },
      intelRdt: { enabled: false },
      mountExtensions: { idmap: { enabled: false } },
      netDevices: { enabled: false },
    },
    annotations: { 'dev.cloister.checkpoint': 'false' },
    potentiallyUnsafeConfigAnnotations: [],
  };
}
