// linux.resources on the host: what each field becomes in the files of cgroup version 1 and 2. Rules about devices are
// not among them: no device node of the host is ever in a sandbox, so whatever they forbid cannot be reached.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OciLinux } from './config.ts';
import { isLaunchError, LaunchError } from './launch-error.ts';
import type { CgroupState } from './state.ts';

export type Resources = NonNullable<OciLinux['resources']>;

/** A file to write, the field it comes from, and the controller it belongs to (version 1). */
interface Setting {
  readonly controller: string;
  readonly file: string;
  readonly value: string;
  readonly field: string;
}

/** What the sentry needs to work. A container that may use less cannot be sandboxed: its limit is raised to this. */
const MINIMUM_MEMORY = 64 << 20;

/** Limits of memory that the sandbox itself can live with. */
export function withMinimum(resources: Resources): Resources {
  const { memory } = resources;
  const raise = (value: number | undefined): number | undefined =>
    value !== undefined && value > 0 ? Math.max(value, MINIMUM_MEMORY) : value;
  if (memory === undefined) return resources;
  return { ...resources, memory: { ...memory, limit: raise(memory.limit), swap: raise(memory.swap) } };
}

/** What everybody has who asks for nothing. */
const USUAL_SHARES = 1024;

/** The sentry of a pod does the work of all its containers: the share of one that does nothing is not enough. */
export function withShares(resources: Resources): Resources {
  const { cpu } = resources;
  if (!cpu?.shares || cpu.shares >= USUAL_SHARES) return resources;
  return { ...resources, cpu: { ...cpu, shares: USUAL_SHARES } };
}

/**
 * Sets the limits. Some must keep within others (a quota in its period, memory in memory and swap), so what is refused
 * is tried once more when the others are set. Throws a LaunchError that names the field that cannot be honoured.
 */
export function applyResources(cgroups: CgroupState, resources: Resources): void {
  if (cgroups.version === 2 && resources.memory?.checkBeforeUpdate) checkUsage(cgroups, resources.memory.limit);
  const settings = cgroups.version === 2 ? unifiedSettings(resources) : legacySettings(resources);
  const refused = settings.filter((setting) => !tryApply(cgroups, setting));
  for (const setting of refused) apply(cgroups, setting);
}

/** Version 1 refuses by itself a limit that is too low; version 2 would begin to kill. */
function checkUsage({ directories }: CgroupState, limit = 0): void {
  if (limit <= 0) return;
  const usage = Number(readFileSync(join(directories[''] ?? '', 'memory.current'), 'latin1'));
  if (usage > limit)
    throw new LaunchError(`linux.resources.memory.limit: ${usage} bytes are in use, more than ${limit}`);
}

function tryApply(cgroups: CgroupState, setting: Setting): boolean {
  try {
    apply(cgroups, setting);
    return true;
  } catch (error) {
    if (isLaunchError(error)) return false;
    throw error;
  }
}

/** Where the BFQ scheduler keeps the weights of version 1 when there is no CFQ. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  'blkio.weight': 'blkio.bfq.weight',
  'blkio.weight_device': 'blkio.bfq.weight_device',
};

function apply(cgroups: CgroupState, setting: Setting): void {
  const { version, directories } = cgroups;
  const { controller, file, value, field } = setting;
  const directory = version === 2 ? directories[''] : directories[controller];
  if (directory === undefined) {
    throw new LaunchError(`linux.resources.${field}: the ${controller} cgroup controller is not mounted`);
  }
  try {
    writeFileSync(join(directory, file), value, { flag: 'r+' });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const other = OTHER_NAMES[file];
    if (code === 'ENOENT' && other !== undefined) return apply(cgroups, { ...setting, file: other });
    const reason = code === 'ENOENT' ? `this kernel has no ${file}` : `cannot write ${value} to ${file}: ${code}`;
    throw new LaunchError(`linux.resources.${field}: ${reason}`);
  }
}

class Settings {
  readonly list: Setting[] = [];

  /** A value that is not given, or 0 where that means "not given", sets nothing. */
  add(controller: string, file: string, value: number | string | undefined, field: string): void {
    if (value === undefined || value === '') return;
    this.list.push({ controller, file, value: text(value), field });
  }
}

function text(value: number | string): string {
  return typeof value === 'number' ? BigInt(value).toString() : value;
}

const unless = (zero: number, value: number | undefined): number | undefined => (value === zero ? undefined : value);

// ---- version 1 ------------------------------------------------------------------------------------

function legacySettings(resources: Resources): Setting[] {
  const { memory, cpu, pids, blockIO, network } = resources;
  if (Object.keys(resources.unified ?? {}).length > 0) {
    throw new LaunchError('invalid configuration: linux.resources.unified: this machine has cgroup version 1');
  }
  const settings = new Settings();
  addLegacyMemory(settings, memory);
  settings.add('cpu', 'cpu.shares', unless(0, cpu?.shares), 'cpu.shares');
  settings.add('cpu', 'cpu.cfs_period_us', unless(0, cpu?.period), 'cpu.period');
  settings.add('cpu', 'cpu.cfs_quota_us', unless(0, cpu?.quota), 'cpu.quota');
  settings.add('cpu', 'cpu.cfs_burst_us', cpu?.burst, 'cpu.burst');
  settings.add('cpu', 'cpu.idle', cpu?.idle, 'cpu.idle');
  settings.add('cpu', 'cpu.rt_period_us', unless(0, cpu?.realtimePeriod), 'cpu.realtimePeriod');
  settings.add('cpu', 'cpu.rt_runtime_us', unless(0, cpu?.realtimeRuntime), 'cpu.realtimeRuntime');
  settings.add('cpuset', 'cpuset.cpus', cpu?.cpus, 'cpu.cpus');
  settings.add('cpuset', 'cpuset.mems', cpu?.mems, 'cpu.mems');
  settings.add('pids', 'pids.max', pidsLimit(pids?.limit), 'pids.limit');
  settings.add('blkio', 'blkio.weight', unless(0, blockIO?.weight), 'blockIO.weight');
  settings.add('blkio', 'blkio.leaf_weight', unless(0, blockIO?.leafWeight), 'blockIO.leafWeight');
  for (const { major, minor, weight, leafWeight } of blockIO?.weightDevice ?? []) {
    const device = `${major}:${minor}`;
    if (weight) settings.add('blkio', 'blkio.weight_device', `${device} ${weight}`, 'blockIO.weightDevice');
    if (leafWeight)
      settings.add('blkio', 'blkio.leaf_weight_device', `${device} ${leafWeight}`, 'blockIO.weightDevice');
  }
  for (const [field, file] of Object.entries(LEGACY_THROTTLES)) {
    for (const { major, minor, rate } of blockIO?.[field as keyof typeof LEGACY_THROTTLES] ?? []) {
      settings.add('blkio', file, `${major}:${minor} ${text(rate ?? 0)}`, `blockIO.${field}`);
    }
  }
  for (const { pageSize, limit } of resources.hugepageLimits ?? []) {
    settings.add('hugetlb', `hugetlb.${pageSize}.limit_in_bytes`, limit, 'hugepageLimits');
  }
  settings.add('net_cls', 'net_cls.classid', unless(0, network?.classID), 'network.classID');
  for (const { name, priority } of network?.priorities ?? []) {
    settings.add('net_prio', 'net_prio.ifpriomap', `${name} ${priority}`, 'network.priorities');
  }
  addRdma(settings, resources);
  return settings.list;
}

const LEGACY_THROTTLES = {
  throttleReadBpsDevice: 'blkio.throttle.read_bps_device',
  throttleWriteBpsDevice: 'blkio.throttle.write_bps_device',
  throttleReadIOPSDevice: 'blkio.throttle.read_iops_device',
  throttleWriteIOPSDevice: 'blkio.throttle.write_iops_device',
} as const;

function addLegacyMemory(settings: Settings, memory: Resources['memory']): void {
  if (memory === undefined) return;
  const limit = unless(0, memory.limit);
  // -1 means no limit for both when nothing else is said about swap.
  const swap = unless(0, memory.swap) ?? (limit === -1 ? -1 : undefined);
  settings.add('memory', 'memory.limit_in_bytes', limit, 'memory.limit');
  settings.add('memory', 'memory.memsw.limit_in_bytes', swap, 'memory.swap');
  settings.add('memory', 'memory.soft_limit_in_bytes', unless(0, memory.reservation), 'memory.reservation');
  settings.add('memory', 'memory.kmem.tcp.limit_in_bytes', unless(0, memory.kernelTCP), 'memory.kernelTCP');
  settings.add('memory', 'memory.swappiness', memory.swappiness, 'memory.swappiness');
  if (memory.disableOOMKiller) settings.add('memory', 'memory.oom_control', 1, 'memory.disableOOMKiller');
}

// ---- version 2 ------------------------------------------------------------------------------------

function unifiedSettings(resources: Resources): Setting[] {
  const { memory, cpu, pids, blockIO } = resources;
  const settings = new Settings();
  addUnifiedMemory(settings, memory);
  if (cpu?.shares) settings.add('', 'cpu.weight', weightOfShares(cpu.shares), 'cpu.shares');
  if (cpu?.quota || cpu?.period) {
    const quota = cpu.quota !== undefined && cpu.quota > 0 ? text(cpu.quota) : 'max';
    settings.add('', 'cpu.max', `${quota}${cpu.period ? ` ${text(cpu.period)}` : ''}`, 'cpu.quota');
  }
  settings.add('', 'cpu.max.burst', cpu?.burst, 'cpu.burst');
  settings.add('', 'cpu.idle', cpu?.idle, 'cpu.idle');
  if (cpu?.realtimePeriod || cpu?.realtimeRuntime) {
    throw new LaunchError('linux.resources.cpu.realtimeRuntime: cgroup version 2 has no such limit');
  }
  settings.add('', 'cpuset.cpus', cpu?.cpus, 'cpu.cpus');
  settings.add('', 'cpuset.mems', cpu?.mems, 'cpu.mems');
  settings.add('', 'pids.max', pidsLimit(pids?.limit), 'pids.limit');
  if (blockIO?.weight) settings.add('', 'io.weight', `default ${ioWeight(blockIO.weight)}`, 'blockIO.weight');
  if (blockIO?.leafWeight || blockIO?.weightDevice?.some(({ leafWeight }) => leafWeight)) {
    throw new LaunchError('linux.resources.blockIO.leafWeight: cgroup version 2 has no such weight');
  }
  for (const { major, minor, weight } of blockIO?.weightDevice ?? []) {
    if (weight) settings.add('', 'io.weight', `${major}:${minor} ${ioWeight(weight)}`, 'blockIO.weightDevice');
  }
  for (const [field, key] of Object.entries(UNIFIED_THROTTLES)) {
    for (const { major, minor, rate } of blockIO?.[field as keyof typeof UNIFIED_THROTTLES] ?? []) {
      settings.add('', 'io.max', `${major}:${minor} ${key}=${rate ? text(rate) : 'max'}`, `blockIO.${field}`);
    }
  }
  for (const { pageSize, limit } of resources.hugepageLimits ?? []) {
    settings.add('', `hugetlb.${pageSize}.max`, limit, 'hugepageLimits');
  }
  if (resources.network?.classID || resources.network?.priorities?.length) {
    throw new LaunchError('linux.resources.network: cgroup version 2 has no such settings');
  }
  addRdma(settings, resources);
  for (const [file, value] of Object.entries(resources.unified ?? {})) {
    if (file.includes('/')) throw new LaunchError(`linux.resources.unified: ${file} is no file name`);
    for (const line of value.split('\n')) settings.add('', file, line, `unified["${file}"]`);
  }
  return settings.list;
}

const UNIFIED_THROTTLES = {
  throttleReadBpsDevice: 'rbps',
  throttleWriteBpsDevice: 'wbps',
  throttleReadIOPSDevice: 'riops',
  throttleWriteIOPSDevice: 'wiops',
} as const;

function addUnifiedMemory(settings: Settings, memory: Resources['memory']): void {
  if (memory === undefined) return;
  const { limit, swap, reservation } = memory;
  const bytes = (value: number): string => (value === -1 ? 'max' : text(value));
  // The old swap limit counts memory and swap together, the new one swap alone.
  if (swap === -1 || (limit === -1 && !swap)) settings.add('', 'memory.swap.max', 'max', 'memory.swap');
  else if (swap && limit === undefined) throw new LaunchError('linux.resources.memory.swap: needs memory.limit, too');
  else if (swap && limit !== undefined) settings.add('', 'memory.swap.max', swap - limit, 'memory.swap');
  if (limit) settings.add('', 'memory.max', bytes(limit), 'memory.limit');
  if (reservation) settings.add('', 'memory.low', bytes(reservation), 'memory.reservation');
  if (memory.disableOOMKiller) {
    throw new LaunchError('linux.resources.memory.disableOOMKiller: cgroup version 2 cannot switch it off');
  }
  if (memory.swappiness !== undefined) {
    throw new LaunchError('linux.resources.memory.swappiness: cgroup version 2 has no such setting');
  }
  if (memory.kernelTCP) {
    throw new LaunchError('linux.resources.memory.kernelTCP: cgroup version 2 has no such limit');
  }
}

/** cpu.shares 2..262144 as cpu.weight 1..10000, as all runtimes convert it. */
export function weightOfShares(shares: number): number {
  return 1 + Math.floor(((Math.max(2, Math.min(shares, 262144)) - 2) * 9999) / 262142);
}

/** blkio.weight 10..1000 as io.weight 1..10000. */
function ioWeight(weight: number): number {
  return 1 + Math.floor(((weight - 10) * 9999) / 990);
}

// ---- both -----------------------------------------------------------------------------------------

/** Processes of the sandbox itself: launcher, init, zygote with its blanks, and the sentry's threads. */
const OWN_PROCESSES = 24;

/** The host counts our own processes in the same cgroup; the limit is the container's for its own. */
export function pidsLimit(limit: number | undefined): string | undefined {
  if (limit === undefined || limit === 0) return undefined;
  return limit < 0 ? 'max' : text(limit + OWN_PROCESSES);
}

function addRdma(settings: Settings, resources: Resources): void {
  for (const [device, { hcaHandles, hcaObjects }] of Object.entries(resources.rdma ?? {})) {
    const handles = hcaHandles === undefined ? '' : ` hca_handle=${hcaHandles}`;
    const objects = hcaObjects === undefined ? '' : ` hca_object=${hcaObjects}`;
    settings.add('rdma', 'rdma.max', `${device}${handles}${objects}`, 'rdma');
  }
}
