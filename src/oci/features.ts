// The features document of the runtime specification: what of config.json this runtime honours.

import { CAPABILITY_NAMES } from '../abi/capability.ts';
import { MOUNT_OPTIONS } from './mount-options.ts';
import { OCI_VERSION } from './version.ts';

const SECCOMP_ACTIONS = ['ALLOW', 'ERRNO', 'KILL', 'KILL_PROCESS', 'KILL_THREAD', 'LOG', 'TRACE', 'TRAP'];
const SECCOMP_OPERATORS = ['EQ', 'GE', 'GT', 'LE', 'LT', 'MASKED_EQ', 'NE'];
const SECCOMP_FLAGS = ['TSYNC', 'LOG', 'SPEC_ALLOW', 'WAIT_KILLABLE_RECV'].map((flag) => `SECCOMP_FILTER_FLAG_${flag}`);

export function features(): object {
  return {
    ociVersionMin: '1.0.0',
    ociVersionMax: OCI_VERSION,
    hooks: ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'],
    mountOptions: MOUNT_OPTIONS,
    linux: {
      namespaces: ['cgroup', 'ipc', 'mount', 'network', 'pid', 'time', 'user', 'uts'],
      capabilities: CAPABILITY_NAMES,
      cgroup: { v1: true, v2: true, systemd: true, systemdUser: true, rdma: true },
      seccomp: {
        enabled: true,
        actions: SECCOMP_ACTIONS.map((action) => `SCMP_ACT_${action}`),
        operators: SECCOMP_OPERATORS.map((operator) => `SCMP_CMP_${operator}`),
        archs: ['SCMP_ARCH_X86_64'],
        knownFlags: SECCOMP_FLAGS,
        supportedFlags: SECCOMP_FLAGS,
      },
      apparmor: { enabled: false },
      selinux: { enabled: false },
      intelRdt: { enabled: false },
      mountExtensions: { idmap: { enabled: true } },
      netDevices: { enabled: false },
    },
    annotations: { 'dev.cloister.checkpoint': 'false' },
    potentiallyUnsafeConfigAnnotations: [],
  };
}
