// The registry of virtual device drivers: which open function stands behind a device number. Nodes with these numbers
// may lie in any filesystem; a node that nobody registered answers ENXIO. No device node of the host is ever opened.

import { ENXIO, EPERM } from '../abi/errno.ts';
import { O_ACCMODE, O_RDONLY, O_WRONLY } from '../abi/fcntl.ts';
import { deviceMajor, deviceMinor, makeDevice, S_IFCHR, S_IFMT } from '../abi/stat.ts';
import type { DeviceRule } from '../base/spec.ts';
import type { Task, ThreadGroup } from '../kernel/task.ts';
import type { Path } from './dentry.ts';
import type { Inode } from './inode.ts';
import type { OpenFile } from './open-file.ts';

/** Opens a device through its node; the result's refs count is 1. */
export type DeviceOpen = (path: Path, inode: Inode, flags: number, task: Task | undefined) => OpenFile | number;

const characterDevices = new Map<number, DeviceOpen>();
const blockDevices = new Map<number, DeviceOpen>();

/** Puts a driver behind a device number; `type` is S_IFCHR or S_IFBLK. */
export function registerDevice(type: number, major: number, minor: number, open: DeviceOpen): void {
  (type === S_IFCHR ? characterDevices : blockDevices).set(makeDevice(major, minor), open);
}

/** Whether a node with this type and number could be opened. */
export function isKnownDevice(mode: number, rdev: number): boolean {
  return ((mode & S_IFMT) === S_IFCHR ? characterDevices : blockDevices).has(rdev);
}

/** What is to be done with a device. */
export interface DeviceAccess {
  readonly read: boolean;
  readonly write: boolean;
  readonly make: boolean;
}

/** Asks programs that were attached to the cgroups of a process; `mode` says whether it is a character device. */
export type DeviceGuard = (group: ThreadGroup, mode: number, rdev: number, access: DeviceAccess) => boolean;

let guard: DeviceGuard = () => true;

export function setDeviceGuard(asks: DeviceGuard): void {
  guard = asks;
}

/** Whether a process may make such a node, as far as programs of its cgroups decide: 0 or -EPERM. */
export function checkMakingNode(group: ThreadGroup, mode: number, rdev: number): number {
  return guard(group, mode, rdev, { read: false, write: false, make: true }) ? 0 : -EPERM;
}

/** Opens a device node by the type and number of its inode, or -ENXIO; -EPERM when the container's rules forbid it. */
export function openDeviceNode(path: Path, inode: Inode, flags: number, task?: Task): OpenFile | number {
  const rules = task?.group.deviceRules ?? null;
  if (rules !== null && !allowsOpen(rules, inode, flags)) return -EPERM;
  const access = flags & O_ACCMODE;
  const wanted = { read: access !== O_WRONLY, write: access !== O_RDONLY, make: false };
  if (task && !guard(task.group, inode.mode, inode.rdev, wanted)) return -EPERM;
  const devices = (inode.mode & S_IFMT) === S_IFCHR ? characterDevices : blockDevices;
  return devices.get(inode.rdev)?.(path, inode, flags, task) ?? -ENXIO;
}

/** Whether rules of a container let it open a device so. */
function allowsOpen(rules: readonly DeviceRule[], { mode, rdev }: Inode, flags: number): boolean {
  const access = flags & O_ACCMODE;
  const wanted = rules.filter(({ type, major, minor }) => {
    return (
      (type === null || (type === 'c') === ((mode & S_IFMT) === S_IFCHR)) &&
      (major === null || major === deviceMajor(rdev)) &&
      (minor === null || minor === deviceMinor(rdev))
    );
  });
  return (
    (access === O_WRONLY || (wanted.findLast(({ read }) => read)?.allow ?? false)) &&
    (access === O_RDONLY || (wanted.findLast(({ write }) => write)?.allow ?? false))
  );
}
