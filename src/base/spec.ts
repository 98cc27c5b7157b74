// The sandbox spec: the one JSON document that the outside (cli, oci, sdk) hands to the inside (sentry) when a
// sandbox starts. It crosses as an open file descriptor that the launcher passes on; it is the only type the two
// towers share. Everything is settled before it is written: defaults filled in, names resolved, nothing optional
// that the sentry would have to guess.
//
// Byte strings. Arguments, environment, paths and names are bytes on Linux, not text. Here they are JavaScript
// strings with one character (0..255) per byte, as everywhere on the kernel path. Host paths that are only for
// messages are byte strings too.

/** Raised whenever a field changes its meaning; the sentry refuses any other version. */
export const SPEC_VERSION = 1;

export interface SandboxSpec {
  readonly version: typeof SPEC_VERSION;
  /** Name for messages and logs: the container id, or `do`. */
  readonly id: string;
  /** uname(2) nodename and domainname. */
  readonly hostname: string;
  readonly domainname: string;
  readonly root: RootSpec;
  /** Mounted over the root in this order. A destination is an absolute path inside; missing ones are created. */
  readonly mounts: readonly MountSpec[];
  /** Inside paths that read as empty (files as /dev/null, directories as an empty read-only tmpfs). */
  readonly maskedPaths: readonly string[];
  /** Inside paths that are remounted read-only. */
  readonly readonlyPaths: readonly string[];
  /** Device nodes beyond the default set of a `dev` mount (null zero full random urandom tty console ptmx). */
  readonly devices: readonly DeviceSpec[];
  /** Written to the sandbox's /proc/sys: `kernel.msgmax` to value. */
  readonly sysctl: Readonly<Record<string, string>>;
  readonly process: ProcessSpec;
  readonly network: NetworkSpec;
  /** What the sandbox may use, as its cgroup shows it. The host holds it to all of them, the sentry to the first. */
  readonly limits: LimitsSpec;
  /** What uid_map and gid_map of the first user namespace show: the configuration's maps; empty for all ids as they are. */
  readonly idMappings: { readonly uid: readonly IdMapping[]; readonly gid: readonly IdMapping[] };
  /** Path inside at which programs say that they are ready (sd_notify(3)); null: nobody asks. */
  readonly notifySocket: string | null;
  /** What the sandbox's clocks are ahead of the machine's, ns. */
  readonly timeOffsets: { readonly monotonic: number; readonly boottime: number };
  /** Where strace(1)-like lines go, or null for no tracing. */
  readonly strace: StraceSpec | null;
  /** Call sites that trap often are patched to jump into the stub (--no-patch). */
  readonly patch: boolean;
  /** The sentry spins for the next call while calls come fast and a CPU is to spare (--spin off). */
  readonly spin: boolean;
  /** How calls come from the guests to the sentry: by seccomp's user notification or by ptrace (--platform). */
  readonly platform: 'notify' | 'ptrace';
  /** Print the counts of served and host calls, by name, to stderr at the end. */
  readonly stats: boolean;
  /** Log what the sentry does to stderr. */
  readonly debug: boolean;
  /** Every so many turns of the sentry's loop it is looked whether what must hold holds; 0: never. For tests. */
  readonly check: number;
}

export interface NetworkSpec {
  /**
   * What lies beyond the loopback. `none`: nothing. `sandbox`: the network namespace that the sentry was started in, all
   * but its loopback, which is the sandbox's own. `host`: that namespace, its loopback too.
   */
  readonly outside: 'none' | 'sandbox' | 'host';
  /** The name servers of the container's resolv.conf: addresses of 4 or 16 bytes as byte strings. */
  readonly resolvers: readonly string[];
  /** What may be reached outside: what all of these policies allow. */
  readonly egress: readonly EgressSpec[];
}

export interface EgressSpec {
  /** The first rule that matches a destination decides, else this. */
  readonly otherwise: 'allow' | 'deny';
  readonly rules: readonly EgressRule[];
}

export interface EgressRule {
  readonly action: 'allow' | 'deny';
  /** As it was written, for the log. */
  readonly text: string;
  /** Null: any. */
  readonly protocol: 'tcp' | 'udp' | null;
  /** First and last, or null: all. */
  readonly ports: readonly (readonly [number, number])[] | null;
  /** Destinations: one of the networks, or what one of the names was resolved to. Both null: all. */
  readonly networks: readonly { readonly address: string; readonly bits: number }[] | null;
  /** Lower case; one that begins with a dot stands for all names that end in it. */
  readonly names: readonly string[] | null;
}

/** Null: no limit. */
export interface LimitsSpec {
  /** Processes and threads. */
  readonly pids: number | null;
  /** Bytes. */
  readonly memory: number | null;
  /** Microseconds of CPU time per period of `cpuPeriod` microseconds. */
  readonly cpuQuota: number | null;
  readonly cpuPeriod: number;
}

export interface RootSpec {
  /** Host path, for messages and /proc only: the sentry reaches the tree through the launcher's mount. */
  readonly path: string;
  /** Writes answer EROFS. With an overlay the lower tree is read-only in any case. */
  readonly readonly: boolean;
  /**
   * `none`: writes go through to the host directory. `memory`: to an upper layer that dies with the sandbox.
   * `{ upper }`: to the directory that the launcher bound under that name.
   */
  readonly overlay: 'none' | 'memory' | { readonly upper: string };
}

export type MountType = 'bind' | 'proc' | 'sysfs' | 'tmpfs' | 'devpts' | 'dev' | 'mqueue' | 'cgroup';

export interface MountSpec {
  readonly destination: string;
  readonly type: MountType;
  /** Only for `bind`: the name the launcher bound the host path under (its `--bind=NAME:SRC`). */
  readonly source: string | null;
  /** What /proc/mounts shows as its source, of a bind the host path that mountinfo shows as its root; null: the usual. */
  readonly device: string | null;
  /** What mount(8) would be given: `ro`, `nosuid`, `nodev`, `noexec`, `size=65536k`, `mode=755`, `gid=5`, … */
  readonly options: readonly string[];
  /** A tmpfs that starts with what is in the directory it covers. */
  readonly copyUp: boolean;
}

export interface DeviceSpec {
  readonly path: string;
  readonly type: 'c' | 'b' | 'p';
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface ProcessSpec {
  /** Never empty. args[0] is searched in the PATH of `env` when it has no slash. */
  readonly args: readonly string[];
  /** `NAME=value`. */
  readonly env: readonly string[];
  readonly cwd: string;
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  readonly umask: number;
  /**
   * The program's standard streams are a terminal of the sandbox (a pts whose other side the sentry connects with
   * the host terminal on its own fd 0..2); otherwise the host's descriptors 0, 1 and 2 pass through.
   */
  readonly terminal: boolean;
  /** Size of the terminal at the start in characters, or null when the host terminal is to be asked. */
  readonly consoleSize: { readonly height: number; readonly width: number } | null;
  readonly capabilities: CapabilitySets;
  /** At most one per resource; what is not named has the kernel's default. */
  readonly rlimits: readonly RlimitSpec[];
  readonly noNewPrivileges: boolean;
  /** /proc/PID/oom_score_adj at the start. */
  readonly oomScoreAdj: number;
  /** Null: as every program starts. */
  readonly scheduling: SchedulingSpec | null;
  /** ioprio_set(2): class and level; 0: none. */
  readonly ioPriority: number;
  /** CPUs it may run on; null: all. */
  readonly cpus: readonly number[] | null;
  /** personality(2) */
  readonly personality: number;
  /** A filter over its calls (seccomp(2)): base64 of struct sock_filter instructions; null for none. */
  readonly seccomp: string | null;
  /** Which devices it may open: the last rule that matches decides, without one it may not. Null: all. */
  readonly deviceRules: readonly DeviceRule[] | null;
}

export interface DeviceRule {
  readonly allow: boolean;
  /** Of both types, of any major or minor number: null. */
  readonly type: 'c' | 'b' | null;
  readonly major: number | null;
  readonly minor: number | null;
  readonly read: boolean;
  readonly write: boolean;
}

/** sched_setattr(2): SCHED_* and its attributes; times in ns. */
export interface SchedulingSpec {
  readonly policy: number;
  readonly nice: number;
  readonly priority: number;
  readonly resetOnFork: boolean;
  readonly runtime: number;
  readonly deadline: number;
  readonly period: number;
  /** SCHED_FLAG_RECLAIM, SCHED_FLAG_DL_OVERRUN */
  readonly flags: number;
}

/** Each set as /proc/PID/status prints it: 16 hexadecimal digits. */
export interface CapabilitySets {
  readonly bounding: string;
  readonly effective: string;
  readonly inheritable: string;
  readonly permitted: string;
  readonly ambient: string;
}

export interface RlimitSpec {
  /** RLIMIT_NOFILE, … as in abi/resource.ts. */
  readonly resource: number;
  /** RLIM_INFINITY of abi/resource.ts stands for no limit. */
  readonly soft: number;
  readonly hard: number;
}

/** `count` ids from `inside` (the sentry's user namespace) are the ids from `outside` on the host. */
export interface IdMapping {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

export interface StraceSpec {
  /** The descriptor that the sentry inherits for it: a file's, or a double of the caller's standard error. */
  readonly fd: number;
}

/** Reads a spec as the outside wrote it. Throws when it is not one of this version: that is a broken installation. */
export function parseSandboxSpec(json: string): SandboxSpec {
  const spec = JSON.parse(json) as SandboxSpec;
  if (spec.version !== SPEC_VERSION) {
    throw new Error(`sandbox spec version ${spec.version}, expected ${SPEC_VERSION}: rebuild with npm run build`);
  }
  return spec;
}
