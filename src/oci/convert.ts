// From a bundle's config.json to a sandbox. What the specification asks for and is not there is never passed over in
// silence (unsupported.ts).

import { statSync } from 'node:fs';
import { uptime } from 'node:os';
import { posix } from 'node:path';
import type {
  CapabilitySets,
  DeviceRule,
  DeviceSpec,
  EgressSpec,
  IdMapping,
  LimitsSpec,
  MountSpec,
  MountType,
  NetworkSpec,
  ProcessSpec,
  RlimitSpec,
  SandboxSpec,
} from '../base/spec.ts';
import { SPEC_VERSION } from '../base/spec.ts';
import { resolversOf } from './addresses.ts';
import { bytesOfText, pathOf } from './bytes.ts';
import { capabilitySet } from './capabilities.ts';
import { bindsHostCgroups, mountOwnCgroups } from './cgroup-mounts.ts';
import type { OciConfig, OciLinux, OciMount, OciProcess } from './config.ts';
import { NO_LIMITS, RLIMITS } from './defaults.ts';
import { parseEgress } from './egress.ts';
import { defaultIdentity, mappedIdentity } from './identity.ts';
import { type Bind, type BindMappings, HOST_NETWORK, type Sandbox } from './launch.ts';
import { LaunchError } from './launch-error.ts';
import { type MountOptions, parseMountOptions } from './mount-options.ts';
import { convertIoPriority, convertPersonality, convertScheduler } from './scheduling.ts';
import { compileSeccomp } from './seccomp.ts';
import { submountsOf } from './submounts.ts';
import { refuseUnsupported, warnUnsupported } from './unsupported.ts';

const EGRESS_ANNOTATION = 'dev.cloister.egress';

export interface ConversionOptions {
  readonly id: string;
  /** Absolute path of the bundle, a byte string. */
  readonly bundle: string;
  readonly strace: SandboxSpec['strace'];
  readonly stats: boolean;
  readonly debug: boolean;
  readonly patch: boolean;
  readonly spin: boolean;
  /** What --network says; null: what the configuration says. */
  readonly network: { readonly outside: NetworkSpec['outside']; readonly path: string | null } | null;
  readonly platform: SandboxSpec['platform'];
  readonly check?: number;
  /** Policies of --egress. */
  readonly egress: readonly string[];
  /** Is told what the container will have to do without. */
  readonly warn: (message: string) => void;
  /** It joins the sandbox of its pod: what that has by path is shared. */
  readonly joins: boolean;
  /** A service manager wants to be told when it is ready. */
  readonly notifies: boolean;
}

/** The sandbox a validated configuration describes. Throws a LaunchError that names the field at fault. */
export function sandboxOfConfig(config: OciConfig, options: ConversionOptions): Sandbox {
  const { root, process } = config;
  if (root === undefined) throw new LaunchError('config.json: root: required');
  if (process === undefined) throw new LaunchError('config.json: process: required');
  const linux = config.linux ?? {};
  refuseUnsupported(config);
  warnUnsupported(config, options);
  const identity = identityOf(linux);
  const { mounts, binds } = convertMounts(config.mounts ?? [], linux, options);
  if (options.notifies && !options.joins) mounts.push(NOTIFY_MOUNT);
  if (process.terminal && !mounts.some(({ type }) => type === 'devpts')) {
    refuse('process.terminal', 'needs a devpts among the mounts');
  }
  const rootPath = posix.resolve(options.bundle, bytesOfText(root.path));
  requireDirectory(rootPath);
  const spec: SandboxSpec = {
    version: SPEC_VERSION,
    id: options.id,
    hostname: bytesOfText(config.hostname ?? options.id.slice(0, 64)),
    domainname: bytesOfText(config.domainname ?? ''),
    root: { path: rootPath, readonly: root.readonly ?? false, overlay: 'none' },
    mounts,
    maskedPaths: (linux.maskedPaths ?? []).map(bytesOfText),
    readonlyPaths: (linux.readonlyPaths ?? []).map(bytesOfText),
    devices: (linux.devices ?? []).map(convertDevice),
    sysctl: linux.sysctl ?? {},
    network: {
      outside: outsideOf(linux, options),
      resolvers: resolversOf(rootPath, mounts, binds),
      egress: [...parseEgress(options.egress), ...annotatedEgress(config)],
    },
    limits: { ...NO_LIMITS, ...convertResources(linux.resources ?? {}) },
    process: {
      ...programOf(process, options),
      seccomp: linux.seccomp ? compileSeccomp(linux.seccomp) : null,
      personality: convertPersonality(linux.personality),
      deviceRules: convertDeviceRules(linux.resources?.devices ?? []),
    },
    idMappings: {
      uid: (linux.uidMappings ?? []).map(convertMapping),
      gid: (linux.gidMappings ?? []).map(convertMapping),
    },
    notifySocket: options.notifies && !options.joins ? NOTIFY_SOCKET : null,
    timeOffsets: { monotonic: offsetOf(linux, 'monotonic'), boottime: offsetOf(linux, 'boottime') },
    strace: options.strace,
    stats: options.stats,
    debug: options.debug,
    patch: options.patch,
    spin: options.spin,
    platform: options.platform,
    check: options.check ?? 0,
  };
  return { spec, binds, identity, networkNamespace: networkNamespaceOf(linux, options) };
}

/** The configuration's own word on the network, unless --network has another. */
function outsideOf(linux: OciLinux, { network }: ConversionOptions): NetworkSpec['outside'] {
  const named = linux.namespaces?.some(({ type }) => type === 'network') ?? false;
  return network?.outside ?? (named ? 'sandbox' : 'host');
}

function networkNamespaceOf(linux: OciLinux, options: ConversionOptions): string | null {
  const isHost = outsideOf(linux, options) === 'host';
  return isHost ? HOST_NETWORK : (options.network?.path ?? namespacePath(linux, 'network'));
}

/** A policy of its own: it may take from what the command line leaves, and give nothing back. */
function annotatedEgress({ annotations = {} }: OciConfig): EgressSpec[] {
  const annotation = annotations[EGRESS_ANNOTATION];
  if (annotation === undefined) return [];
  // A file is named by who may read it: not by what a client passes on.
  if (annotation.startsWith('@')) refuse(`annotations.${EGRESS_ANNOTATION}`, 'must be the policy itself');
  // podman cuts annotations at their commas: what follows the first comes as annotations of its own.
  const lost = ['allow', 'deny', 'default'].find((name) => annotations[name] !== undefined);
  if (lost !== undefined) refuse(`annotations.${EGRESS_ANNOTATION}`, `was cut before "${lost}=": put ; for the commas`);
  return parseEgress([annotation]);
}

const NOTIFY_DIRECTORY = '/run/notify';
const NOTIFY_SOCKET = `${NOTIFY_DIRECTORY}/notify.sock`;
const NOTIFY_MOUNT: MountSpec = {
  destination: NOTIFY_DIRECTORY,
  type: 'tmpfs',
  source: null,
  device: null,
  options: ['nosuid', 'nodev', 'noexec', 'mode=755'],
  copyUp: false,
};

function programOf(process: OciProcess, { notifies, joins, warn }: ConversionOptions): ProcessSpec {
  const program = convertProcess(process, warn);
  if (!notifies || joins) return program;
  return { ...program, env: [...program.env, `NOTIFY_SOCKET=${NOTIFY_SOCKET}`] };
}

function refuse(field: string, reason: string): never {
  throw new LaunchError(`config.json: ${field}: ${reason}`);
}

function requireDirectory(rootPath: string): void {
  const status = statSync(pathOf(rootPath), { throwIfNoEntry: false });
  if (status === undefined) refuse('root.path', `${rootPath} does not exist`);
  if (!status.isDirectory()) refuse('root.path', `${rootPath} is not a directory`);
}

function namespacePath(linux: OciLinux, type: string): string | null {
  const path = linux.namespaces?.find((namespace) => namespace.type === type)?.path;
  return path === undefined || path === '' ? null : bytesOfText(path);
}

/** linux.timeOffsets in ns. */
function offsetOf({ timeOffsets }: OciLinux, clock: 'monotonic' | 'boottime'): number {
  const { secs = 0, nanosecs = 0 } = timeOffsets?.[clock] ?? {};
  if (nanosecs >= 1e9) refuse(`linux.timeOffsets.${clock}.nanosecs`, 'must be below 1000000000');
  // As far as the kernel goes, and no clock of ours before zero.
  if (Math.abs(secs) > 2 ** 33 || (secs < 0 && uptime() + secs < 0)) {
    refuse(`linux.timeOffsets.${clock}.secs`, `${secs} leads out of the clock's range`);
  }
  return secs * 1e9 + nanosecs;
}

function identityOf(linux: OciLinux): ReturnType<typeof defaultIdentity> {
  const uid = (linux.uidMappings ?? []).map(convertMapping);
  const gid = (linux.gidMappings ?? []).map(convertMapping);
  if (uid.length === 0 && gid.length === 0) return defaultIdentity();
  if (uid.length === 0) refuse('linux.uidMappings', 'required beside linux.gidMappings');
  if (gid.length === 0) refuse('linux.gidMappings', 'required beside linux.uidMappings');
  return mappedIdentity(uid, gid);
}

function convertMapping(mapping: { containerID: number; hostID: number; size: number }): IdMapping {
  return { inside: mapping.containerID, outside: mapping.hostID, count: mapping.size };
}

/** The limits that the sandbox shows: those that these resources set or lift. */
export function convertResources({ pids, memory, cpu }: NonNullable<OciLinux['resources']>): Partial<LimitsSpec> {
  const positive = (value: number): number | null => (value > 0 ? value : null);
  return {
    ...(pids?.limit && { pids: positive(pids.limit) }),
    ...(memory?.limit && { memory: positive(memory.limit) }),
    ...(cpu?.quota && { cpuQuota: positive(cpu.quota) }),
    ...(cpu?.period && { cpuPeriod: cpu.period }),
  };
}

/** All but what `linux` says of it. */
export function convertProcess(process: OciProcess, warn: (message: string) => void): ProcessSpec {
  const { user } = process;
  if (process.args === undefined || process.args.length === 0) refuse('process.args', 'names no program');
  if (!process.cwd.startsWith('/')) refuse('process.cwd', 'must be an absolute path');
  return {
    args: process.args.map(bytesOfText),
    env: (process.env ?? []).map(bytesOfText),
    cwd: bytesOfText(process.cwd),
    uid: user?.uid ?? 0,
    gid: user?.gid ?? 0,
    additionalGids: user?.additionalGids ?? [],
    umask: user?.umask ?? 0o22,
    terminal: process.terminal ?? false,
    consoleSize: process.consoleSize ?? null,
    capabilities: convertCapabilities(process, warn),
    rlimits: convertLimits(process),
    noNewPrivileges: process.noNewPrivileges ?? false,
    oomScoreAdj: process.oomScoreAdj ?? 0,
    scheduling: convertScheduler(process.scheduler),
    ioPriority: convertIoPriority(process.ioPriority),
    cpus: null,
    personality: 0,
    seccomp: null,
    deviceRules: null,
  };
}

function convertCapabilities(process: OciProcess, warn: (message: string) => void): CapabilitySets {
  const sets = process.capabilities ?? {};
  const set = (name: keyof CapabilitySets): string =>
    capabilitySet(sets[name] ?? [], (unknown) => {
      warn(`config.json: process.capabilities.${name}: ${unknown} is not known`);
    });
  return {
    bounding: set('bounding'),
    effective: set('effective'),
    inheritable: set('inheritable'),
    permitted: set('permitted'),
    ambient: set('ambient'),
  };
}

function convertLimits(process: OciProcess): RlimitSpec[] {
  const limits: RlimitSpec[] = [];
  for (const [index, { type, soft, hard }] of (process.rlimits ?? []).entries()) {
    const resource = RLIMITS.findIndex(({ name }) => name === type);
    if (resource < 0) refuse(`process.rlimits[${index}].type`, `${type} is not known`);
    if (limits.some((limit) => limit.resource === resource)) {
      refuse(`process.rlimits[${index}].type`, `${type} is named twice`);
    }
    if (soft > hard) refuse(`process.rlimits[${index}].soft`, 'is above the hard limit');
    limits.push({ resource, soft, hard });
  }
  return limits;
}

type OciDeviceRule = NonNullable<NonNullable<OciLinux['resources']>['devices']>[number];

function convertDevice(device: NonNullable<OciLinux['devices']>[number]): DeviceSpec {
  return {
    path: bytesOfText(device.path),
    type: device.type === 'u' ? 'c' : device.type,
    major: device.major ?? 0,
    minor: device.minor ?? 0,
    mode: (device.fileMode ?? 0o666) & 0o7777,
    uid: device.uid ?? 0,
    gid: device.gid ?? 0,
  };
}

/** What every container may use whatever the rules say, as with runc: null zero full random urandom tty console ptmx pts. */
const USUAL_DEVICES: readonly [major: number, minor: number | null][] = [
  [1, 3],
  [1, 5],
  [1, 7],
  [1, 8],
  [1, 9],
  [5, 0],
  [5, 1],
  [5, 2],
  [136, null],
];

/** linux.resources.devices. Making nodes is always allowed: what can be opened is decided when it is opened. */
function convertDeviceRules(rules: readonly OciDeviceRule[]): DeviceRule[] | null {
  if (rules.length === 0) return null;
  const usual = USUAL_DEVICES.map(([major, minor]) => {
    return { allow: true, type: 'c', major, minor, read: true, write: true } as const;
  });
  return [...rules.map(convertDeviceRule), ...usual];
}

function convertDeviceRule({ allow, type = 'a', major = -1, minor = -1, access = 'rwm' }: OciDeviceRule): DeviceRule {
  return {
    allow,
    type: type === 'b' ? 'b' : type === 'a' || type === '' ? null : 'c',
    major: major < 0 ? null : major,
    minor: minor < 0 ? null : minor,
    read: access.includes('r'),
    write: access.includes('w'),
  };
}

const MOUNT_TYPES: Readonly<Record<string, MountType>> = {
  proc: 'proc',
  sysfs: 'sysfs',
  tmpfs: 'tmpfs',
  devpts: 'devpts',
  mqueue: 'mqueue',
  cgroup: 'cgroup',
  cgroup2: 'cgroup',
};

function convertMounts(
  all: readonly OciMount[],
  linux: OciLinux,
  { bundle, warn }: ConversionOptions,
): { mounts: MountSpec[]; binds: Bind[] } {
  const mounts: MountSpec[] = [];
  const binds: Bind[] = [];
  for (const [index, mount] of all.entries()) {
    const field = `mounts[${index}]`;
    const destination = posix.resolve('/', bytesOfText(mount.destination));
    const list = (mount.options ?? []).map(bytesOfText);
    if (mount.type === 'bind' || list.includes('bind') || list.includes('rbind')) {
      const name = `bind${binds.length}`;
      const parsed = parseMountOptions('bind', list, field);
      const { options, readonly, propagation, idMap, ignored } = parsed;
      const source = bindSource(mount, field, bundle);
      if (bindsHostCgroups(source, destination)) {
        mountOwnCgroups(mounts, source, readonly);
        continue;
      }
      const idMappings = idMappingsOf(mount, idMap, linux, field);
      binds.push({ name, source, readonly, ...(idMappings !== null && { idMappings }) });
      mounts.push({ destination, type: 'bind', source: name, device: source, options, copyUp: false });
      if (list.includes('rbind') && readonly && !parsed.allReadonly && idMappings === null) {
        addSubmounts(source, destination, options, mounts, binds);
      }
      for (const option of ignored) warn(`config.json: ${field}.options: ${option} has no effect on a bind mount`);
      if (propagation !== null && propagation !== 'private') {
        warn(`config.json: ${field}.options: what is mounted later on the host is not seen inside (${propagation})`);
      }
      continue;
    }
    if (mount.uidMappings !== undefined || mount.gidMappings !== undefined) {
      refuse(field, 'id mappings are for bind mounts: others have the ids of the sandbox');
    }
    const known = MOUNT_TYPES[mount.type ?? ''];
    if (known === undefined) refuse(`${field}.type`, `${mount.type ?? 'no type'} is not supported`);
    // A bundle's /dev is a tmpfs that the runtime has to fill with the default devices.
    const type = known === 'tmpfs' && destination === '/dev' ? 'dev' : known;
    const device = mount.source ? bytesOfText(mount.source) : null;
    const { options, copyUp } = parseMountOptions(known, list, field);
    mounts.push({ destination, type, source: null, device, options, copyUp });
  }
  return { mounts, binds };
}

/** What is mounted below a bind that is read-only by itself alone. */
function addSubmounts(
  above: string,
  destination: string,
  options: readonly string[],
  mounts: MountSpec[],
  binds: Bind[],
): void {
  for (const { source, below, readonly } of submountsOf(above)) {
    const name = `bind${binds.length}`;
    const place = posix.join(destination, below);
    const own = readonly ? options : options.filter((option) => option !== 'ro');
    binds.push({ name, source, readonly });
    mounts.push({ destination: place, type: 'bind', source: name, device: source, options: own, copyUp: false });
  }
}

/** Those of the mount, or with the option alone those of the container. */
function idMappingsOf(
  { uidMappings, gidMappings }: OciMount,
  idMap: MountOptions['idMap'],
  linux: OciLinux,
  field: string,
): BindMappings | null {
  const own = uidMappings !== undefined || gidMappings !== undefined;
  if (!own && idMap === null) return null;
  const uid = (own ? uidMappings : linux.uidMappings) ?? [];
  const gid = (own ? gidMappings : linux.gidMappings) ?? [];
  if (uid.length === 0) refuse(`${field}.uidMappings`, 'required for an id-mapped mount');
  if (gid.length === 0) refuse(`${field}.gidMappings`, 'required for an id-mapped mount');
  return { uid: uid.map(convertMapping), gid: gid.map(convertMapping), recursive: idMap === 'all' };
}

/** Absolute host path of what is bound. */
function bindSource(mount: OciMount, field: string, bundle: string): string {
  if (mount.source === undefined || mount.source === '') refuse(`${field}.source`, 'required for a bind mount');
  const source = posix.resolve(bundle, bytesOfText(mount.source));
  if (statSync(pathOf(source), { throwIfNoEntry: false }) === undefined) {
    refuse(`${field}.source`, `${source} does not exist`);
  }
  return source;
}
