// The systemd cgroup driver (--systemd-cgroup): the container's cgroup is a transient scope, which systemd makes on demand
// and forgets when nobody is in it any more. linux.cgroupsPath is slice:prefix:name then. Limits, at first and when they
// change, are told to systemd as far as it would otherwise undo them, and written into the cgroup's files as without it, because the scope is delegated.

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pidsLimit, type Resources, weightOfShares } from './cgroup-resources.ts';
import { cgroupsAt, cgroupsOfUnit } from './cgroups.ts';
import { callDbus, DbusWriter } from './dbus.ts';
import { LaunchError } from './launch-error.ts';
import { ordinaryUser } from './rootless.ts';
import type { CgroupState } from './state.ts';

export interface Scope {
  readonly slice: string;
  readonly unit: string;
}

/** systemd unit names: letters, digits, and :-_.\ */
const UNIT = /^[\w:.\\-]+$/;
/** How long the process waits that is the scope's first: the container's come in the meantime. */
const HOLDER_SECONDS = '60';
const TRIES = 500;
const PAUSE = 10;

/** Reads linux.cgroupsPath. Throws a LaunchError. */
export function parseScope(cgroupsPath: string | undefined, id: string): Scope {
  const [slice = '', prefix = '', name = '', ...rest] = (cgroupsPath || `:cloister:${id}`).split(':');
  const refuse = (reason: string): never => {
    throw new LaunchError(`config.json: linux.cgroupsPath: ${reason} (with --systemd-cgroup it is slice:prefix:name)`);
  };
  if (name === '' || rest.length > 0) refuse(`${JSON.stringify(cgroupsPath)} has not three parts`);
  if (name.endsWith('.slice')) refuse('a container is a scope, not a slice');
  const wanted = slice || (ordinaryUser() === null ? 'system.slice' : 'user.slice');
  if (!wanted.endsWith('.slice') || !UNIT.test(wanted)) refuse(`${JSON.stringify(slice)} is no slice`);
  const unit = prefix === '' ? `${name}.scope` : `${prefix}-${name}.scope`;
  if (!UNIT.test(unit)) refuse(`${JSON.stringify(unit)} is no name of a unit`);
  return { slice: wanted, unit };
}

/** systemd's own socket: the machine's, or that of an ordinary user's instance. */
export function systemdSocket(): string {
  if (ordinaryUser() === null) return '/run/systemd/private';
  return join(process.env.XDG_RUNTIME_DIR ?? '/run/user', 'systemd/private');
}

/** The arguments of StartTransientUnit: name, mode, properties, and no further units. */
export function scopeBody({ slice, unit }: Scope, pid: number, resources: Resources, version: 0 | 1 | 2): DbusWriter {
  const body = new DbusWriter().string(unit).string('replace');
  const property = (name: string, type: string): DbusWriter => body.align(8).string(name).signature(type);
  body.array(8, () => {
    property('Description', 's').string(`cloister container ${unit}`);
    property('Slice', 's').string(slice);
    property('PIDs', 'au').array(4, () => body.u32(pid));
    property('Delegate', 'b').u32(1);
    property('DefaultDependencies', 'b').u32(0);
    property('CollectMode', 's').string('inactive-or-failed');
    // What is not accounted for systemd takes away again, of version 1 the whole cgroup.
    const blocks = version === 2 ? 'IOAccounting' : 'BlockIOAccounting';
    for (const name of ['CPUAccounting', 'MemoryAccounting', 'TasksAccounting', blocks]) property(name, 'b').u32(1);
    for (const [name, value] of limitProperties(resources, version)) property(name, 't').u64(value);
  });
  return body.array(8, () => {});
}

const INFINITY = 2n ** 64n - 1n;

/** Limits that are set or lifted, as properties of a unit. */
function limitProperties({ memory, cpu, pids }: Resources, version: 0 | 1 | 2): [name: string, value: bigint][] {
  const found: [string, bigint][] = [];
  const bound = (value: number): bigint => (value > 0 ? BigInt(Math.round(value)) : INFINITY);
  if (memory?.limit) found.push([version === 1 ? 'MemoryLimit' : 'MemoryMax', bound(memory.limit)]);
  if (cpu?.shares && version === 1) found.push(['CPUShares', BigInt(cpu.shares)]);
  if (cpu?.shares && version === 2) found.push(['CPUWeight', BigInt(weightOfShares(cpu.shares))]);
  if (cpu?.quota) found.push(['CPUQuotaPerSecUSec', bound((cpu.quota * 1e6) / (cpu.period || 100_000))]);
  const tasks = pidsLimit(pids?.limit);
  if (tasks !== undefined) found.push(['TasksMax', tasks === 'max' ? INFINITY : BigInt(tasks)]);
  return found;
}

/** Tells systemd of new limits, until the scope's end. */
export async function updateScope(
  socketPath: string,
  unit: string,
  resources: Resources,
  version: 0 | 1 | 2,
): Promise<void> {
  const properties = limitProperties(resources, version);
  if (properties.length === 0) return;
  const body = new DbusWriter().string(unit).u32(1);
  body.array(8, () => {
    for (const [name, value] of properties) body.align(8).string(name).signature('t').u64(value);
  });
  await callDbus(socketPath, {
    path: '/org/freedesktop/systemd1',
    interface: 'org.freedesktop.systemd1.Manager',
    member: 'SetUnitProperties',
    signature: 'sba(sv)',
    body,
  });
}

/** Has systemd make the scope. Resolves to its cgroups, which a process of ours keeps until the container's are in them. */
export async function startScope(
  socketPath: string,
  scope: Scope,
  resources: Resources,
): Promise<{ cgroups: CgroupState; release: () => void }> {
  if (!existsSync(socketPath)) {
    throw new LaunchError(
      `--systemd-cgroup: systemd does not run here (there is no ${socketPath}): leave the option away (podman --cgroup-manager cgroupfs; docker native.cgroupdriver=cgroupfs; containerd SystemdCgroup = false)`,
    );
  }
  const holder = spawn('sleep', [HOLDER_SECONDS], { stdio: 'ignore' });
  const release = (): void => void holder.kill('SIGKILL');
  try {
    const pid = holder.pid ?? 0;
    await callDbus(socketPath, {
      path: '/org/freedesktop/systemd1',
      interface: 'org.freedesktop.systemd1.Manager',
      member: 'StartTransientUnit',
      signature: 'ssa(sv)a(sa(sv))',
      body: scopeBody(scope, pid, resources, cgroupsAt('/').version),
    });
    for (let tries = 0; tries < TRIES; tries++) {
      const path = scopeOf(pid, scope.unit);
      if (path !== null) return { cgroups: cgroupsOfUnit(path), release };
      await sleep(PAUSE);
    }
    throw new LaunchError(`--systemd-cgroup: systemd has not made ${scope.unit}: see its log (journalctl)`);
  } catch (error) {
    release();
    throw error;
  }
}

/** The path of a process's cgroup once that is the unit's. */
function scopeOf(pid: number, unit: string): string | null {
  for (const line of readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n')) {
    const [, controllers, ...path] = line.split(':');
    if ((controllers === '' || controllers === 'name=systemd') && path.join(':').endsWith(`/${unit}`)) {
      return path.join(':');
    }
  }
  return null;
}
