// The schema of config.json: OCI runtime-spec 1.3 for Linux, every field of it. As the specification asks, unknown
// fields are ignored; as every Go client expects, null counts as absent. What a field does here is convert.ts's matter.

import * as z from 'zod';
import { LaunchError } from './launch-error.ts';

/** 64-bit values beyond 2^53 lose their low bits in JSON.parse; only limits meaning "none" are that large. */
const integer = (minimum: number, maximum: number) =>
  z.number().min(minimum).max(maximum).refine(Number.isInteger, { error: 'expected an integer' });
const int32 = integer(-(2 ** 31), 2 ** 31 - 1);
const int64 = integer(-(2 ** 63), 2 ** 63);
const uint16 = integer(0, 2 ** 16 - 1);
const uint32 = integer(0, 2 ** 32 - 1);
const uint64 = integer(0, 2 ** 64);
const strings = z.array(z.string());
/** What execve(2), mount(2) and open(2) take ends at a zero byte, so none of it may hold one. */
const cString = z.string().refine((text) => !text.includes('\0'), { error: 'must not contain a zero byte' });
const cStrings = z.array(cString);
const stringMap = z.record(z.string(), z.string());

const idMapping = z.object({ containerID: uint32, hostID: uint32, size: uint32 });
const idMappings = z.array(idMapping);

const absolutePath = cString.startsWith('/', { error: 'must be an absolute path' });

const hook = z.object({
  path: absolutePath,
  args: cStrings.optional(),
  env: cStrings.optional(),
  timeout: integer(1, 2 ** 31 - 1).optional(),
});
const hookList = z.array(hook).optional();

const mount = z.object({
  destination: cString.min(1),
  source: cString.optional(),
  type: cString.optional(),
  options: cStrings.optional(),
  uidMappings: idMappings.optional(),
  gidMappings: idMappings.optional(),
});

const process = z.object({
  terminal: z.boolean().optional(),
  consoleSize: z.object({ height: uint16, width: uint16 }).optional(),
  user: z
    .object({
      uid: uint32.optional(),
      gid: uint32.optional(),
      umask: uint32.optional(),
      additionalGids: z.array(uint32).optional(),
      username: z.string().optional(),
    })
    .optional(),
  args: cStrings.optional(),
  commandLine: z.string().optional(),
  env: cStrings.optional(),
  cwd: cString,
  capabilities: z
    .object({
      bounding: strings.optional(),
      effective: strings.optional(),
      inheritable: strings.optional(),
      permitted: strings.optional(),
      ambient: strings.optional(),
    })
    .optional(),
  rlimits: z.array(z.object({ type: z.string().regex(/^RLIMIT_[A-Z]+$/), soft: uint64, hard: uint64 })).optional(),
  noNewPrivileges: z.boolean().optional(),
  apparmorProfile: z.string().optional(),
  selinuxLabel: z.string().optional(),
  oomScoreAdj: integer(-1000, 1000).optional(),
  ioPriority: z
    .object({
      class: z.enum(['IOPRIO_CLASS_RT', 'IOPRIO_CLASS_BE', 'IOPRIO_CLASS_IDLE']),
      priority: int32.optional(),
    })
    .optional(),
  scheduler: z
    .object({
      policy: z.enum([
        'SCHED_OTHER',
        'SCHED_FIFO',
        'SCHED_RR',
        'SCHED_BATCH',
        'SCHED_ISO',
        'SCHED_IDLE',
        'SCHED_DEADLINE',
      ]),
      nice: int32.optional(),
      priority: int32.optional(),
      flags: strings.optional(),
      runtime: uint64.optional(),
      deadline: uint64.optional(),
      period: uint64.optional(),
    })
    .optional(),
  execCPUAffinity: z
    .object({
      initial: z
        .string()
        .regex(/^[0-9, -]*$/)
        .optional(),
      final: z
        .string()
        .regex(/^[0-9, -]*$/)
        .optional(),
    })
    .optional(),
});

const device = z.object({
  type: z.enum(['c', 'b', 'u', 'p']),
  path: cString,
  major: int64.optional(),
  minor: int64.optional(),
  fileMode: uint32.optional(),
  uid: uint32.optional(),
  gid: uint32.optional(),
});

const namespace = z.object({
  type: z.enum(['mount', 'pid', 'network', 'uts', 'ipc', 'user', 'cgroup', 'time']),
  path: cString.optional(),
});

const throttle = z.array(z.object({ major: int64, minor: int64, rate: uint64.optional() })).optional();

const resources = z.object({
  unified: stringMap.optional(),
  devices: z
    .array(
      z.object({
        allow: z.boolean(),
        type: z.enum(['a', 'b', 'c', '']).optional(),
        major: int64.optional(),
        minor: int64.optional(),
        access: z.string().optional(),
      }),
    )
    .optional(),
  pids: z.object({ limit: int64.optional() }).optional(),
  blockIO: z
    .object({
      weight: uint16.optional(),
      leafWeight: uint16.optional(),
      throttleReadBpsDevice: throttle,
      throttleWriteBpsDevice: throttle,
      throttleReadIOPSDevice: throttle,
      throttleWriteIOPSDevice: throttle,
      weightDevice: z
        .array(z.object({ major: int64, minor: int64, weight: uint16.optional(), leafWeight: uint16.optional() }))
        .optional(),
    })
    .optional(),
  cpu: z
    .object({
      cpus: z.string().optional(),
      mems: z.string().optional(),
      period: uint64.optional(),
      quota: int64.optional(),
      burst: uint64.optional(),
      realtimePeriod: uint64.optional(),
      realtimeRuntime: int64.optional(),
      shares: uint64.optional(),
      idle: int64.optional(),
    })
    .optional(),
  hugepageLimits: z.array(z.object({ pageSize: z.string().regex(/^[1-9][0-9]*[KMG]B$/), limit: uint64 })).optional(),
  memory: z
    .object({
      kernel: int64.optional(),
      kernelTCP: int64.optional(),
      limit: int64.optional(),
      reservation: int64.optional(),
      swap: int64.optional(),
      swappiness: uint64.optional(),
      disableOOMKiller: z.boolean().optional(),
      useHierarchy: z.boolean().optional(),
      checkBeforeUpdate: z.boolean().optional(),
    })
    .optional(),
  network: z
    .object({
      classID: uint32.optional(),
      priorities: z.array(z.object({ name: z.string(), priority: uint32 })).optional(),
    })
    .optional(),
  rdma: z.record(z.string(), z.object({ hcaHandles: uint32.optional(), hcaObjects: uint32.optional() })).optional(),
});

const seccompAction = z.enum([
  'SCMP_ACT_KILL',
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_TRAP',
  'SCMP_ACT_ERRNO',
  'SCMP_ACT_TRACE',
  'SCMP_ACT_ALLOW',
  'SCMP_ACT_LOG',
  'SCMP_ACT_NOTIFY',
]);

const seccomp = z.object({
  defaultAction: seccompAction,
  defaultErrnoRet: uint32.optional(),
  flags: strings.optional(),
  listenerPath: cString.optional(),
  listenerMetadata: z.string().optional(),
  architectures: z.array(z.string().regex(/^SCMP_ARCH_[A-Z0-9_]+$/)).optional(),
  syscalls: z
    .array(
      z.object({
        names: strings.min(1),
        action: seccompAction,
        errnoRet: uint32.optional(),
        args: z
          .array(
            z.object({
              index: integer(0, 5),
              value: uint64,
              valueTwo: uint64.optional(),
              op: z.enum([
                'SCMP_CMP_NE',
                'SCMP_CMP_LT',
                'SCMP_CMP_LE',
                'SCMP_CMP_EQ',
                'SCMP_CMP_GE',
                'SCMP_CMP_GT',
                'SCMP_CMP_MASKED_EQ',
              ]),
            }),
          )
          .optional(),
      }),
    )
    .optional(),
});

const timeOffset = z.object({ secs: int64.optional(), nanosecs: uint32.optional() });

const linux = z.object({
  devices: z.array(device).optional(),
  netDevices: z.record(z.string(), z.object({ name: z.string().optional() })).optional(),
  uidMappings: idMappings.optional(),
  gidMappings: idMappings.optional(),
  namespaces: z.array(namespace).optional(),
  resources: resources.optional(),
  cgroupsPath: cString.optional(),
  rootfsPropagation: z
    .enum(['', ...['', 'r'].flatMap((r) => ['private', 'shared', 'slave', 'unbindable'].map((p) => r + p))])
    .optional(),
  seccomp: seccomp.optional(),
  sysctl: stringMap.optional(),
  maskedPaths: z.array(absolutePath).optional(),
  readonlyPaths: z.array(absolutePath).optional(),
  mountLabel: z.string().optional(),
  intelRdt: z
    .object({
      closID: z.string().optional(),
      schemata: strings.optional(),
      l3CacheSchema: z.string().optional(),
      memBwSchema: z
        .string()
        .regex(/^MB:[^\n]*$/)
        .optional(),
      enableMonitoring: z.boolean().optional(),
    })
    .optional(),
  memoryPolicy: z
    .object({
      mode: z.enum([
        'MPOL_DEFAULT',
        'MPOL_BIND',
        'MPOL_INTERLEAVE',
        'MPOL_WEIGHTED_INTERLEAVE',
        'MPOL_PREFERRED',
        'MPOL_PREFERRED_MANY',
        'MPOL_LOCAL',
      ]),
      nodes: z.string().optional(),
      flags: z.array(z.enum(['MPOL_F_NUMA_BALANCING', 'MPOL_F_RELATIVE_NODES', 'MPOL_F_STATIC_NODES'])).optional(),
    })
    .optional(),
  personality: z
    .object({ domain: z.enum(['LINUX', 'LINUX32', 'PER_LINUX', 'PER_LINUX32']), flags: strings.optional() })
    .optional(),
  timeOffsets: z.object({ boottime: timeOffset.optional(), monotonic: timeOffset.optional() }).optional(),
});

/** For tests: the whole document. */
export const configSchema = z.object({
  ociVersion: z.string().regex(/^1\./, { error: 'only version 1 of the runtime specification is known' }),
  process: process.optional(),
  root: z.object({ path: cString.min(1), readonly: z.boolean().optional() }).optional(),
  hostname: cString.max(64).optional(),
  domainname: cString.max(64).optional(),
  mounts: z.array(mount).optional(),
  hooks: z
    .object({
      prestart: hookList,
      createRuntime: hookList,
      createContainer: hookList,
      startContainer: hookList,
      poststart: hookList,
      poststop: hookList,
    })
    .optional(),
  annotations: stringMap.optional(),
  linux: linux.optional(),
});

export type OciConfig = z.infer<typeof configSchema>;
export type OciProcess = NonNullable<OciConfig['process']>;
export type OciMount = NonNullable<OciConfig['mounts']>[number];
export type OciSeccomp = z.infer<typeof seccomp>;
export type OciLinux = NonNullable<OciConfig['linux']>;

/** A field as the user finds it: `mounts[3].options[0]`. */
function fieldName(path: readonly PropertyKey[]): string {
  let name = '';
  for (const key of path) name += typeof key === 'number' ? `[${key}]` : `${name === '' ? '' : '.'}${String(key)}`;
  return name === '' ? 'the document' : name;
}

/** Parses and validates the text of a config.json. The LaunchError it throws has a line for each field at fault. */
export function parseConfig(text: string): OciConfig {
  return parse(configSchema, text, 'config.json');
}

/** The same for a process alone, as exec is given one. */
export function parseProcess(text: string): OciProcess {
  return parse(process, text, 'process');
}

/** The same for linux.resources alone, as update is given them. */
export function parseResources(text: string): NonNullable<OciLinux['resources']> {
  return parse(resources, text, 'resources');
}

function parse<T>(schema: z.ZodType<T>, text: string, what: string): T {
  const result = schema.safeParse(parseJson(text, what));
  if (result.success) return result.data;
  const lines = result.error.issues.map(({ path, message }) => `${what}: ${fieldName(path)}: ${plainly(message)}`);
  throw new LaunchError(lines.join('\n'));
}

/** In the words of who writes configurations. */
function plainly(message: string): string {
  return message
    .replace(/^Invalid (input|option): /, '')
    .replace(/^expected (.*), received undefined$/, 'required (expected $1)');
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text, (_key, value: unknown) => (value === null ? undefined : value));
  } catch (error) {
    throw new LaunchError(`${what}: not JSON: ${(error as SyntaxError).message}`);
  }
}
