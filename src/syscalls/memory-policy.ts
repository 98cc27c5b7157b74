// Memory policies (set_mempolicy(2), mbind(2), get_mempolicy(2), migrate_pages(2), move_pages(2)) on a machine with one
// node. What a policy asks for is then always so: policies are checked by Linux's rules, kept and reported.

import { CAP_SYS_NICE } from '../abi/capability.ts';
import { E2BIG, EFAULT, EINVAL, ENODEV, ENOENT, ENOMEM, EOPNOTSUPP, EPERM, ESRCH } from '../abi/errno.ts';
import {
  MPOL_BIND,
  MPOL_DEFAULT,
  MPOL_F_ADDR,
  MPOL_F_MEMS_ALLOWED,
  MPOL_F_NODE,
  MPOL_F_NUMA_BALANCING,
  MPOL_F_RELATIVE_NODES,
  MPOL_F_STATIC_NODES,
  MPOL_INTERLEAVE,
  MPOL_LOCAL,
  MPOL_MF_MOVE,
  MPOL_MF_MOVE_ALL,
  MPOL_MF_STRICT,
  MPOL_PREFERRED,
  MPOL_PREFERRED_MANY,
  MPOL_WEIGHTED_INTERLEAVE,
} from '../abi/mman.ts';
import type { Pid, UserAddress } from '../base/brands.ts';
import { capable } from '../base/credentials.ts';
import { mayInspect } from '../kernel/credentials.ts';
import { PAGE_SIZE } from '../kernel/host-memory.ts';
import type { Task } from '../kernel/task.ts';
import type { AddressSpace, MemoryPolicy, RangePolicy } from '../mm/address-space.ts';
import { type HostMapping, hostMappings, PAGE_PRESENT, readPagemap } from '../mm/host-maps.ts';
import { allocateScratch, i32, readU64, u8, u32 } from '../platform/arena.ts';

/** Nodes that the kernel has masks for; the one there is has number 0. */
const MAX_NODES = 1024;
const MODE_FLAGS = MPOL_F_NUMA_BALANCING | MPOL_F_RELATIVE_NODES | MPOL_F_STATIC_NODES;
/** Bounds what a program makes the sentry keep. */
const MAX_RANGES = 4096;
const MAX_PAGES = 65536;

/** What a node mask names: node 0, another node, both, or nothing. */
interface Nodes {
  readonly first: boolean;
  readonly others: boolean;
}

const NO_NODES: Nodes = { first: false, others: false };

function readNodes(task: Task, mask: UserAddress, maxnode: number): Nodes | number {
  // A count of zero wraps around.
  const bits = maxnode === 0 ? Number.POSITIVE_INFINITY : maxnode - 1;
  if (bits === 0 || mask === 0) return NO_NODES;
  if (bits > PAGE_SIZE * 8) return -EINVAL;
  const length = 8 * Math.ceil(bits / 64);
  const at = task.memory.in(mask, length);
  if (at < 0) return at;
  for (let node = MAX_NODES; node < bits; node++) if (u8[at + (node >> 3)] & (1 << (node & 7))) return -EINVAL;
  let others = false;
  for (let node = 1; node < Math.min(bits, MAX_NODES); node++)
    if (u8[at + (node >> 3)] & (1 << (node & 7))) others = true;
  return { first: (u8[at] & 1) !== 0, others };
}

/** The policy that mode and nodes make, null for the default, or -EINVAL. */
function makePolicy(mode: number, nodes: Nodes): MemoryPolicy | null | number {
  const kind = mode & ~MODE_FLAGS;
  const isEmpty = !nodes.first && !nodes.others;
  const placed = (mode & (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES)) !== 0;
  if (kind === MPOL_DEFAULT) return isEmpty ? null : -EINVAL;
  if (kind === MPOL_LOCAL) return isEmpty && !placed ? { mode, hasNode: false } : -EINVAL;
  if (kind === MPOL_PREFERRED && isEmpty) return placed ? -EINVAL : { mode: MPOL_LOCAL, hasNode: false };
  // Relative nodes are counted round among those there are; others must be there.
  return nodes.first || (nodes.others && mode & MPOL_F_RELATIVE_NODES) ? { mode, hasNode: true } : -EINVAL;
}

/** 0 or -EINVAL. */
function checkMode(mode: number): number {
  const kind = mode & ~MODE_FLAGS;
  if (mode < 0 || kind > MPOL_WEIGHTED_INTERLEAVE) return -EINVAL;
  if (mode & MPOL_F_STATIC_NODES && mode & MPOL_F_RELATIVE_NODES) return -EINVAL;
  if (mode & MPOL_F_NUMA_BALANCING && kind !== MPOL_BIND && kind !== MPOL_PREFERRED_MANY) return -EINVAL;
  return 0;
}

function readPolicy(task: Task, mode: number, mask: UserAddress, maxnode: number): MemoryPolicy | null | number {
  if (checkMode(mode) < 0) return -EINVAL;
  const nodes = readNodes(task, mask, maxnode);
  return typeof nodes === 'number' ? nodes : makePolicy(mode, nodes);
}

export function set_mempolicy(task: Task, mode: number, mask: UserAddress, maxnode: number): number {
  const policy = readPolicy(task, mode, mask, maxnode);
  if (typeof policy === 'number') return policy;
  task.memoryPolicy = policy;
  return 0;
}

export function mbind(
  task: Task,
  start: number,
  length: number,
  mode: number,
  mask: UserAddress,
  maxnode: number,
  flags: number,
): number {
  if (checkMode(mode) < 0) return -EINVAL;
  const nodes = readNodes(task, mask, maxnode);
  if (typeof nodes === 'number') return nodes;
  if (flags & ~(MPOL_MF_STRICT | MPOL_MF_MOVE | MPOL_MF_MOVE_ALL)) return -EINVAL;
  if (flags & MPOL_MF_MOVE_ALL && !capable(task.credentials, CAP_SYS_NICE)) return -EPERM;
  if (start % PAGE_SIZE !== 0) return -EINVAL;
  const end = start + Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
  if (end > 2 ** 64) return -EINVAL;
  if (end === start) return 0;
  const policy = makePolicy(mode, nodes);
  if (typeof policy === 'number') return policy;
  if (!isMapped(hostMappings(task.mm, null), start, end)) return -EFAULT;
  return setRange(task.mm, start, end, policy);
}

/** Whether mappings cover the whole range. */
function isMapped(mappings: readonly HostMapping[], start: number, end: number): boolean {
  let next = start;
  for (const mapping of mappings) if (mapping.start <= next && mapping.end > next) next = mapping.end;
  return next >= end;
}

/** Gives a range its policy, null for the default; what others said of it is cut off theirs. */
function setRange(mm: AddressSpace, start: number, end: number, policy: MemoryPolicy | null): number {
  const ranges: RangePolicy[] = [];
  for (const range of mm.policies) {
    if (range.start < start) ranges.push({ ...range, end: Math.min(range.end, start) });
    if (range.end > end) ranges.push({ ...range, start: Math.max(range.start, end) });
  }
  if (policy) ranges.push({ start, end, ...policy });
  if (ranges.length > MAX_RANGES) return -ENOMEM;
  mm.policies = ranges;
  return 0;
}

function rangeAt(mm: AddressSpace, address: number): RangePolicy | null {
  return mm.policies.find(({ start, end }) => start <= address && address < end) ?? null;
}

export function get_mempolicy(
  task: Task,
  modeAddress: UserAddress,
  mask: UserAddress,
  maxnode: number,
  address: number,
  flags: number,
): number {
  if (mask !== 0 && maxnode < 1) return -EINVAL;
  if (flags > 7 || (flags & MPOL_F_MEMS_ALLOWED && flags !== MPOL_F_MEMS_ALLOWED)) return -EINVAL;
  if (flags & MPOL_F_MEMS_ALLOWED) return putPolicy(task, modeAddress, 0, mask, maxnode, true);
  if (!(flags & MPOL_F_ADDR) && address !== 0) return -EINVAL;
  let policy = task.memoryPolicy;
  if (flags & MPOL_F_ADDR) {
    if (!isMapped(hostMappings(task.mm, null), address, address + 1)) return -EFAULT;
    policy = rangeAt(task.mm, address);
  }
  let value = policy?.mode ?? MPOL_DEFAULT;
  if (flags & MPOL_F_NODE) {
    const interleaved = value === MPOL_INTERLEAVE || value === MPOL_WEIGHTED_INTERLEAVE;
    if (!(flags & MPOL_F_ADDR) && !interleaved) return -EINVAL;
    if (flags & MPOL_F_ADDR && task.memory.in((address - (address % 8)) as UserAddress, 1) < 0) return -EFAULT;
    value = 0;
  }
  return putPolicy(task, modeAddress, value, mask, maxnode, policy?.hasNode ?? false);
}

function putPolicy(
  task: Task,
  modeAddress: UserAddress,
  value: number,
  mask: UserAddress,
  maxnode: number,
  hasNode: boolean,
): number {
  if (modeAddress !== 0) {
    const at = task.memory.out(modeAddress, 4);
    if (at < 0) return at;
    i32[at >>> 2] = value;
  }
  if (mask === 0) return 0;
  const length = 8 * Math.ceil((maxnode - 1) / 64);
  if (length > PAGE_SIZE) return -EINVAL;
  if (length === 0) return 0;
  const at = task.memory.out(mask, length);
  if (at < 0) return at;
  u8.fill(0, at, at + length);
  u8[at] = hasNode ? 1 : 0;
  return 0;
}

/** The node on which a range of a binding policy is to begin: 0, the only one. */
export function set_mempolicy_home_node(
  task: Task,
  start: number,
  length: number,
  node: number,
  flags: number,
): number {
  if (start % PAGE_SIZE !== 0 || flags !== 0 || node !== 0) return -EINVAL;
  const end = start + Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
  if (end === start) return 0;
  const touched = task.mm.policies.filter((range) => range.start < end && range.end > start);
  if (touched.length === 0) return -ENOENT;
  const binding = touched.every(({ mode }) => [MPOL_BIND, MPOL_PREFERRED_MANY].includes(mode & ~MODE_FLAGS));
  return binding ? 0 : -EOPNOTSUPP;
}

/** The task whose memory is to be moved, or -errno. */
function findTarget(task: Task, pid: number): Task | number {
  const target = pid === 0 ? task : task.pidNamespace.tasks.get(pid as Pid);
  if (!target) return -ESRCH;
  return target === task || mayInspect(task, target) ? target : -EPERM;
}

/** Answers how many pages could not be moved: none, all are where they are to be. */
export function migrate_pages(
  task: Task,
  pid: number,
  maxnode: number,
  oldMask: UserAddress,
  newMask: UserAddress,
): number {
  const old = readNodes(task, oldMask, maxnode);
  if (typeof old === 'number') return old;
  const fresh = readNodes(task, newMask, maxnode);
  if (typeof fresh === 'number') return fresh;
  const target = findTarget(task, pid);
  if (typeof target === 'number') return target;
  if (fresh.others && !capable(task.credentials, CAP_SYS_NICE)) return -EPERM;
  return fresh.first ? 0 : -EINVAL;
}

export function move_pages(
  task: Task,
  pid: number,
  count: number,
  pageList: UserAddress,
  nodeList: UserAddress,
  statusList: UserAddress,
  flags: number,
): number {
  if (flags & ~(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL)) return -EINVAL;
  if (flags & MPOL_MF_MOVE_ALL && !capable(task.credentials, CAP_SYS_NICE)) return -EPERM;
  const target = findTarget(task, pid);
  if (typeof target === 'number') return target;
  if (count > MAX_PAGES) return -E2BIG;
  const pagesAt = task.memory.in(pageList, 8 * count);
  if (pagesAt < 0) return pagesAt;
  const nodesAt = nodeList === 0 ? 0 : task.memory.in(nodeList, 4 * count);
  if (nodesAt < 0) return nodesAt;
  for (let i = 0; nodeList !== 0 && i < count; i++) if (i32[(nodesAt >>> 2) + i] !== 0) return -ENODEV;
  const mappings = hostMappings(target.mm, null);
  const at = allocateScratch(Math.max(4, 4 * count));
  const entryAt = allocateScratch(8);
  if (at < 0 || entryAt < 0) return -ENOMEM;
  for (let i = 0; i < count; i++) {
    const address = readU64(pagesAt + 8 * i);
    i32[(at >>> 2) + i] = isMapped(mappings, address, address + 1) ? pageNode(target, address, entryAt) : -EFAULT;
  }
  return count === 0 ? 0 : task.memory.write(statusList, at, 4 * count);
}

/** 0, the node of a page that is there, or -ENOENT. */
function pageNode(target: Task, address: number, at: number): number {
  const present = readPagemap(target.mm, address, at, 1) === 1 && (u32[(at >>> 2) + 1] & PAGE_PRESENT) !== 0;
  return present ? 0 : -ENOENT;
}
