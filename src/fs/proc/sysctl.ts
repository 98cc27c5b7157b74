// /proc/sys: the kernel's settings. Those that something in the sandbox obeys show what is in force; the rest show
// Linux's defaults. Writable are the ones whose change takes effect here; the spec may preset any (OCI's linux.sysctl).

import { CAP_CHECKPOINT_RESTORE, CAP_LAST_CAP, CAP_SYS_ADMIN, CAP_SYS_RESOURCE } from '../../abi/capability.ts';
import { EINVAL, EPERM } from '../../abi/errno.ts';
import { MSGMAX, MSGMNB, MSGMNI, SHMMNI } from '../../abi/ipc.ts';
import { HOST_NAME_MAX } from '../../abi/misc.ts';
import { capable, capableIn } from '../../base/credentials.ts';
import type { NamespaceKind } from '../../base/namespace.ts';
import { initialUser, type UserNamespace } from '../../base/user-namespace.ts';
import { host } from '../../host/calls.ts';
import { objectsIn } from '../../kernel/ipc/objects.ts';
import { kernel } from '../../kernel/kernel.ts';
import { NR_OPEN, openLimit } from '../../kernel/limits.ts';
import { initialNamespaces, type UtsNamespace } from '../../kernel/namespaces.ts';
import { initialPids, PID_MAX } from '../../kernel/pid-namespaces.ts';
import type { Task } from '../../kernel/task.ts';
import { turnIsOver, yieldTurn } from '../../kernel/turns.ts';
import { OS_RELEASE, OS_TYPE, OS_VERSION } from '../../kernel/version.ts';
import { allocateScratch, buffer, u8 } from '../../platform/arena.ts';
import { dropDentries } from '../../vfs/dentry-cache.ts';
import { FILES_MOST, fileLimit, filesInTables } from '../../vfs/fd-table.ts';
import { reservedEvents } from '../aio/context.ts';
import { POOL_BITS } from '../dev/memory-devices.ts';
import { PIPE_DEFAULT_SIZE, PIPE_MAX_SIZE, pipeLimits, roundPipeSize } from '../pipe/pipe.ts';
import type { Tree } from '../virtual/directory.ts';
import type { TextSource } from '../virtual/inode.ts';
import { CORE_PATTERN, setCorePattern } from './core-pattern.ts';
import { KEY_SETTINGS } from './keys.ts';
import { NETWORK_SETTINGS, presetNetworkSetting } from './network-settings.ts';
import { text } from './system.ts';

/** What the spec has set, by dotted name. */
const presets = new Map<string, string>();

/** Presets a setting by its dotted name (`net.core.somaxconn`). False when there is no such setting or value. */
export function presetSysctl(name: string, value: string): boolean {
  const ofNetwork = presetNetworkSetting(name, value);
  if (ofNetwork !== null) return ofNetwork;
  if (name === 'kernel.hostname') initialNamespaces.uts.hostname = value;
  else if (name === 'kernel.domainname') initialNamespaces.uts.domainname = value;
  else if (name === 'kernel.core_pattern') setCorePattern(value);
  else if (!settingExists(name)) return false;
  else presets.set(name, value);
  return true;
}

function settingExists(name: string): boolean {
  let node: Tree[string] | undefined = SETTINGS as Tree;
  for (const part of name.replaceAll('/', '.').split('.')) {
    if (typeof node !== 'object' || !Object.hasOwn(node, part)) return false;
    node = (node as Tree)[part];
  }
  return node !== undefined && typeof (node as TextSource<null>).mode === 'number';
}

/** The value of a setting as a number, for what obeys it: the preset, or the default given. */
export function sysctlNumber(name: string, otherwise: number): number {
  const value = Number(presets.get(name)?.trim() ?? Number.NaN);
  return Number.isNaN(value) ? otherwise : value;
}

/** Settings of one directory with their defaults, as files. */
function settings(prefix: string, defaults: Readonly<Record<string, number | string>>): Tree {
  const tree: Record<string, TextSource<null>> = {};
  for (const [name, value] of Object.entries(defaults)) {
    tree[name] = text(() => `${presets.get(`${prefix}.${name}`) ?? value}\n`);
  }
  return tree;
}

/** A number from 0 to `most` that was written to a setting, or -EINVAL. */
function parseCount(written: string, most: number): number {
  const digits = written.trim();
  return /^\d{1,9}$/.test(digits) && Number(digits) <= most ? Number(digits) : -EINVAL;
}

/**
 * Settings that are numbers and may be changed, up to what the sentry has room for: the default, or the second of two.
 * Whoever obeys one asks `sysctlNumber` each time.
 */
function changeable(prefix: string, defaults: Readonly<Record<string, number | readonly [number, number]>>): Tree {
  const tree: Record<string, TextSource<null>> = {};
  for (const [name, given] of Object.entries(defaults)) {
    const [value, most] = typeof given === 'number' ? [given, given] : given;
    const full = `${prefix}.${name}`;
    tree[name] = {
      mode: 0o644,
      read: () => `${presets.get(full) ?? value}\n`,
      write: (_subject, written) => {
        const caller = kernel.current;
        if (caller && !capable(caller.credentials, CAP_SYS_ADMIN)) return -EPERM;
        const number = parseCount(written, most);
        if (number < 0) return number;
        presets.set(full, String(number));
        return 0;
      },
    };
  }
  return tree;
}

/** A number that whoever obeys it keeps itself. */
function kept(limit: { most: number }, least: number, highest: number): TextSource<null> {
  return {
    mode: 0o644,
    read: () => `${limit.most}\n`,
    write: (_subject, written) => {
      const caller = kernel.current;
      if (caller && !capable(caller.credentials, CAP_SYS_ADMIN)) return -EPERM;
      const most = parseCount(written, highest);
      if (most < least) return -EINVAL;
      limit.most = most;
      return 0;
    },
  };
}

/** The identifier that the next System V object of a kind is to have, -1 for none in particular. */
function nextId(kind: 'messageQueues' | 'semaphoreSets' | 'segments'): TextSource<null> {
  const table = (): { nextId: number } => objectsIn((kernel.current?.namespaces ?? initialNamespaces).ipc)[kind];
  return {
    mode: 0o644,
    admits: () => mayRestore(),
    read: () => `${table().nextId}\n`,
    write: (_subject, written) => {
      if (!mayRestore()) return -EPERM;
      const id = parseCount(written, 2 ** 31 - 1);
      if (id < 0) return id;
      table().nextId = id;
      return 0;
    },
  };
}

function mayRestore(): boolean {
  const caller = kernel.current;
  if (!caller) return true;
  const { owner } = caller.namespaces.ipc;
  return [CAP_SYS_ADMIN, CAP_CHECKPOINT_RESTORE].some((one) => capableIn(owner, caller.credentials, one));
}

function utsOf(task: Task | null): UtsNamespace {
  return (task?.namespaces ?? initialNamespaces).uts;
}

/** A name of the reader's UTS namespace: hostname or domainname. */
function utsName(field: 'hostname' | 'domainname'): TextSource<null> {
  return {
    mode: 0o644,
    read: () => `${utsOf(kernel.current)[field]}\n`,
    write: (_subject, value) => {
      const caller = kernel.current;
      const uts = utsOf(caller);
      if (caller && !capableIn(uts.owner, caller.credentials, CAP_SYS_ADMIN)) return -EPERM;
      const name = value.split('\n', 1)[0];
      if (name.length > HOST_NAME_MAX || name.includes('\0')) return -EINVAL;
      uts[field] = name;
      return 0;
    },
  };
}

/** Chosen when the kernel starts: the same for all who read it. */
let bootId = '';

/** A UUID of version 4. Not by node:crypto, whose loading would cost more than all of /proc. */
function randomUuid(): string {
  const at = allocateScratch(16);
  host.getrandom(at, 16, 0);
  u8[at + 6] = (u8[at + 6] & 0x0f) | 0x40;
  u8[at + 8] = (u8[at + 8] & 0x3f) | 0x80;
  return buffer.toString('hex', at, at + 16).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

const RANDOM: Tree = {
  boot_id: text(() => {
    bootId ||= randomUuid();
    return `${bootId}\n`;
  }),
  entropy_avail: text(() => `${POOL_BITS}\n`),
  poolsize: text(() => `${POOL_BITS}\n`),
  urandom_min_reseed_secs: text(() => '60\n'),
  uuid: text(() => `${randomUuid()}\n`),
  write_wakeup_threshold: text(() => `${POOL_BITS}\n`),
};

const SHM_MAX = '18446744073692774399';

const KERNEL: Tree = {
  ...settings('kernel', {
    core_pipe_limit: 0,
    core_uses_pid: 0,
    dmesg_restrict: 1,
    io_uring_disabled: 2,
    kptr_restrict: 1,
    ngroups_max: 65536,
    overflowgid: 65534,
    overflowuid: 65534,
    perf_event_paranoid: 4,
    printk: '4\t4\t1\t7',
    randomize_va_space: 2,
    sched_rr_timeslice_ms: 100,
    sched_rt_period_us: 1000000,
    sched_rt_runtime_us: 950000,
    sem: '32000\t1024000000\t500\t32000',
    shm_rmid_forced: 0,
    shmall: SHM_MAX,
    shmmax: SHM_MAX,
    tainted: 0,
    unprivileged_bpf_disabled: 2,
  }),
  ...changeable('kernel', { msgmax: MSGMAX, msgmnb: MSGMNB, msgmni: MSGMNI, shmmni: SHMMNI }),
  msg_next_id: nextId('messageQueues'),
  sem_next_id: nextId('semaphoreSets'),
  shm_next_id: nextId('segments'),
  cap_last_cap: text(() => `${CAP_LAST_CAP}\n`),
  core_pattern: CORE_PATTERN,
  domainname: utsName('domainname'),
  hostname: utsName('hostname'),
  keys: KEY_SETTINGS,
  // The number given out last: whoever restores processes sets it to the one before what the next is to have.
  ns_last_pid: {
    mode: 0o666,
    read: () => `${(kernel.current?.pidNamespace ?? initialPids).lastPid}\n`,
    write: (_subject, written) => {
      const caller = kernel.current;
      const pids = caller?.pidNamespace ?? initialPids;
      const may = [CAP_SYS_ADMIN, CAP_CHECKPOINT_RESTORE].some(
        (one) => !caller || capableIn(pids.owner, caller.credentials, one),
      );
      if (!may) return -EPERM;
      const number = parseCount(written, PID_MAX);
      if (number < 0) return number;
      pids.lastPid = number;
      return 0;
    },
  },
  osrelease: text(() => `${OS_RELEASE}\n`),
  ostype: text(() => `${OS_TYPE}\n`),
  pid_max: text(() => `${PID_MAX}\n`),
  pty: settings('kernel.pty', { max: 4096, reserve: 1024 }),
  random: RANDOM,
  seccomp: settings('kernel.seccomp', { actions_avail: 'kill_process kill_thread trap errno trace log allow' }),
  'threads-max': text(() => `${PID_MAX}\n`),
  version: text(() => `${OS_VERSION}\n`),
};

/** What was written to drop_caches last. */
let dropped = 0;

const VM: Tree = {
  drop_caches: {
    mode: 0o200,
    read: () => `${dropped}\n`,
    write: (_subject, written) => {
      const caller = kernel.current;
      if (!caller || !capable(caller.credentials, CAP_SYS_ADMIN)) return -EPERM;
      const what = parseCount(written, 4);
      if (what < 1) return -EINVAL;
      dropped = what;
      // 1 is the page cache, which is the host's; 2 are names and inodes.
      if (what & 2 && !dropDentries(turnIsOver)) return yieldTurn(caller, 0);
      return 0;
    },
  },
  ...settings('vm', {
    admin_reserve_kbytes: 8192,
    dirty_background_bytes: 0,
    dirty_background_ratio: 10,
    dirty_bytes: 0,
    dirty_expire_centisecs: 3000,
    dirty_ratio: 20,
    dirty_writeback_centisecs: 500,
    legacy_va_layout: 0,
    max_map_count: 65530,
    memfd_noexec: 0,
    min_free_kbytes: 67584,
    mmap_min_addr: 65536,
    mmap_rnd_bits: 28,
    nr_hugepages: 0,
    nr_overcommit_hugepages: 0,
    oom_dump_tasks: 1,
    oom_kill_allocating_task: 0,
    overcommit_kbytes: 0,
    overcommit_memory: 0,
    overcommit_ratio: 50,
    'page-cluster': 3,
    panic_on_oom: 0,
    swappiness: 60,
    unprivileged_userfaultfd: 0,
    user_reserve_kbytes: 131072,
    vfs_cache_pressure: 100,
    zone_reclaim_mode: 0,
  }),
};

/** As many descriptors as a word has bits are for everyone. */
const NR_OPEN_LEAST = 64;

const FS: Tree = {
  ...changeable('fs', { 'lease-break-time': 45 }),
  ...settings('fs', {
    'inode-nr': '0\t0',
    'inode-state': '0\t0\t0\t0\t0\t0\t0',
    'leases-enable': 1,
    'mount-max': 100000,
    overflowgid: 65534,
    overflowuid: 65534,
    'pipe-user-pages-hard': 0,
    'pipe-user-pages-soft': 16 * (PIPE_MAX_SIZE / PIPE_DEFAULT_SIZE) * 64,
    protected_fifos: 0,
    protected_hardlinks: 1,
    protected_regular: 0,
    protected_symlinks: 1,
    suid_dumpable: 0,
  }),
  ...changeable('fs', { 'aio-max-nr': 65536 }),
  'file-max': kept(fileLimit, 0, FILES_MOST),
  nr_open: kept(openLimit, NR_OPEN_LEAST, NR_OPEN),
  'pipe-max-size': {
    mode: 0o644,
    read: () => `${pipeLimits.maxSize}\n`,
    write: (_subject, written) => {
      const caller = kernel.current;
      if (caller && !capable(caller.credentials, CAP_SYS_ADMIN)) return -EPERM;
      const size = parseCount(written, PIPE_MAX_SIZE);
      if (size < 0) return size;
      pipeLimits.maxSize = roundPipeSize(size);
      return 0;
    },
  },
  'aio-nr': text(() => `${reservedEvents()}\n`),
  'file-nr': text(() => `${filesInTables()}\t0\t${fileLimit.most}\n`),
  epoll: changeable('fs.epoll', { max_user_watches: 262144 }),
  fanotify: settings('fs.fanotify', { max_queued_events: 16384, max_user_groups: 128, max_user_marks: 8192 }),
  inotify: {
    ...changeable('fs.inotify', { max_user_instances: [128, 8192] }),
    ...settings('fs.inotify', { max_queued_events: 16384, max_user_watches: 65536 }),
  },
  mqueue: settings('fs.mqueue', {
    msg_default: 10,
    msg_max: 10,
    msgsize_default: 8192,
    msgsize_max: 8192,
    queues_max: 256,
  }),
};

const NET: Tree = {
  core: settings('net.core', {
    netdev_max_backlog: 1000,
    optmem_max: 131072,
    rmem_default: 212992,
    rmem_max: 4194304,
    somaxconn: 4096,
    wmem_default: 212992,
    wmem_max: 4194304,
  }),
  ipv4: {
    ...NETWORK_SETTINGS,
    ...settings('net.ipv4', {
      icmp_echo_ignore_all: 0,
      ip_default_ttl: 64,
      ip_forward: 0,
      ip_local_reserved_ports: '',
      ip_nonlocal_bind: 0,
      tcp_abort_on_overflow: 0,
      tcp_available_congestion_control: 'reno cubic',
      tcp_congestion_control: 'cubic',
      tcp_ecn: 2,
      tcp_fastopen: 1,
      tcp_fin_timeout: 60,
      tcp_keepalive_intvl: 75,
      tcp_keepalive_probes: 9,
      tcp_keepalive_time: 7200,
      tcp_max_syn_backlog: 2048,
      tcp_max_tw_buckets: 131072,
      tcp_mem: '287901\t383868\t575802',
      tcp_moderate_rcvbuf: 1,
      tcp_mtu_probing: 0,
      tcp_no_metrics_save: 0,
      tcp_retries1: 3,
      tcp_retries2: 15,
      tcp_rmem: '4096\t131072\t33554432',
      tcp_sack: 1,
      tcp_slow_start_after_idle: 1,
      tcp_syn_retries: 6,
      tcp_synack_retries: 5,
      tcp_syncookies: 1,
      tcp_timestamps: 1,
      tcp_tw_reuse: 2,
      tcp_window_scaling: 1,
      tcp_wmem: '4096\t16384\t4194304',
      udp_mem: '575802\t767736\t1151604',
      udp_rmem_min: 4096,
      udp_wmem_min: 4096,
    }),
  },
  ipv6: {
    conf: {
      all: settings('net.ipv6.conf.all', { disable_ipv6: 0, forwarding: 0 }),
      default: settings('net.ipv6.conf.default', { disable_ipv6: 0, forwarding: 0 }),
      lo: settings('net.ipv6.conf.lo', { disable_ipv6: 0, forwarding: 0 }),
    },
    ...settings('net.ipv6', { bindv6only: 0, ip_nonlocal_bind: 0 }),
  },
  unix: settings('net.unix', { max_dgram_qlen: 512 }),
};

/** A limit of the reader's user namespace on namespaces of a kind. */
function namespaceLimit(kind: NamespaceKind): TextSource<null> {
  const user = (): UserNamespace => kernel.current?.credentials.user ?? initialUser;
  return {
    mode: 0o644,
    admits: () => kernel.current !== null && capableIn(user(), kernel.current.credentials, CAP_SYS_RESOURCE),
    read: () => `${user().limit(kind)}\n`,
    write: (_subject, given) => {
      const caller = kernel.current;
      if (caller && !capableIn(user(), caller.credentials, CAP_SYS_RESOURCE)) return -EPERM;
      const digits = given.trim();
      if (!/^\d{1,10}$/.test(digits) || Number(digits) >= 2 ** 31) return -EINVAL;
      user().limits.set(kind, Number(digits));
      return 0;
    },
  };
}

const USER: Tree = {
  ...settings('user', { max_inotify_instances: 128, max_inotify_watches: 65536 }),
  max_cgroup_namespaces: namespaceLimit('cgroup'),
  max_ipc_namespaces: namespaceLimit('ipc'),
  max_mnt_namespaces: namespaceLimit('mnt'),
  max_net_namespaces: namespaceLimit('net'),
  max_pid_namespaces: namespaceLimit('pid'),
  max_time_namespaces: namespaceLimit('time'),
  max_user_namespaces: namespaceLimit('user'),
  max_uts_namespaces: namespaceLimit('uts'),
};

/** The tree of /proc/sys. */
export const SETTINGS: Tree = {
  dev: { tty: settings('dev.tty', { ldisc_autoload: 0, legacy_tiocsti: 0 }) },
  fs: FS,
  kernel: KERNEL,
  net: NET,
  user: USER,
  vm: VM,
};
