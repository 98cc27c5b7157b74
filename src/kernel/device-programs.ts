// Programs that decide which devices the processes of a cgroup may open and make nodes of (BPF_CGROUP_DEVICE): what is
// loaded, where it is attached, and asking them. They add to the container's own rules, they never take from those.
// Programs about packets can be loaded, too, as those do who want to know whether they can; they are attached nowhere.

import {
  BPF_DEVCG_ACC_MKNOD,
  BPF_DEVCG_ACC_READ,
  BPF_DEVCG_ACC_WRITE,
  BPF_DEVCG_DEV_BLOCK,
  BPF_DEVCG_DEV_CHAR,
  BPF_F_ALLOW_MULTI,
  BPF_F_ALLOW_OVERRIDE,
} from '../abi/bpf.ts';
import { E2BIG, EINVAL, ENOENT, ENOMEM, EPERM } from '../abi/errno.ts';
import { deviceMajor, deviceMinor, S_IFCHR, S_IFMT } from '../abi/stat.ts';
import { setDeviceGuard } from '../vfs/devices.ts';
import type { Cgroup } from './cgroups.ts';
import { type Instruction, runProgram } from './ebpf.ts';

/** Programs there may be, and of one cgroup (BPF_CGROUP_MAX_PROGS). */
const PROGRAMS_MAX = 10_000;
const ATTACHED_MAX = 64;
const KINDS = BPF_F_ALLOW_OVERRIDE | BPF_F_ALLOW_MULTI;

export class BpfProgram {
  readonly id: number;
  /** BPF_PROG_TYPE_* */
  readonly type: number;
  readonly name: string;
  /** Who loaded it. */
  readonly uid: number;
  readonly instructions: readonly Instruction[];
  /** Descriptors and attachments. At none it is gone. */
  users = 0;

  constructor(type: number, name: string, uid: number, instructions: readonly Instruction[]) {
    this.id = ++lastId;
    this.type = type;
    this.name = name;
    this.uid = uid;
    this.instructions = instructions;
  }
}

let lastId = 0;
const programs = new Map<number, BpfProgram>();

/** Keeps a program that was checked; its maker takes it into use. Or -ENOMEM. */
export function addProgram(
  type: number,
  name: string,
  uid: number,
  instructions: readonly Instruction[],
): BpfProgram | number {
  if (programs.size >= PROGRAMS_MAX) return -ENOMEM;
  const program = new BpfProgram(type, name, uid, instructions);
  programs.set(program.id, program);
  return program;
}

export function findProgram(id: number): BpfProgram | undefined {
  return programs.get(id);
}

/** The lowest number above `id` that a program has, or -ENOENT. */
export function nextProgram(id: number): number {
  for (const known of programs.keys()) if (known > id) return known; // they are in the order of their numbers
  return -ENOENT;
}

export function useProgram(program: BpfProgram): void {
  program.users++;
}

export function dropProgram(program: BpfProgram): void {
  if (--program.users === 0) programs.delete(program.id);
}

/** What is attached to a cgroup. */
interface Attached {
  /** BPF_F_ALLOW_OVERRIDE, BPF_F_ALLOW_MULTI or neither: how it shares with cgroups below. */
  flags: number;
  readonly programs: BpfProgram[];
}

const attachments = new Map<Cgroup, Attached>();

/** BPF_PROG_ATTACH; `replaced` is whose place it takes (BPF_F_REPLACE). 0 or -errno. */
export function attachProgram(cgroup: Cgroup, program: BpfProgram, flags: number, replaced: BpfProgram | null): number {
  const kind = flags & KINDS;
  const attached = attachments.get(cgroup) ?? { flags: kind, programs: [] };
  const list = attached.programs;
  if (!aboveAllows(cgroup) || (list.length > 0 && attached.flags !== kind)) return -EPERM;
  const several = (kind & BPF_F_ALLOW_MULTI) !== 0;
  if (several && list.includes(program)) return -EINVAL;
  const at = replaced ? list.indexOf(replaced) : several ? list.length : 0;
  if (at < 0) return -ENOENT;
  if (at >= ATTACHED_MAX) return -E2BIG;
  useProgram(program);
  const [before] = list.splice(at, 1, program);
  if (before) dropProgram(before);
  attached.flags = kind;
  attachments.set(cgroup, attached);
  return 0;
}

/** Whether those above let a cgroup have programs of its own. */
function aboveAllows(cgroup: Cgroup): boolean {
  for (let at = cgroup.parent; at; at = at.parent) {
    const attached = attachments.get(at);
    if (attached && attached.flags & BPF_F_ALLOW_MULTI) return true;
    if (attached) return (attached.flags & BPF_F_ALLOW_OVERRIDE) !== 0;
  }
  return true;
}

/** BPF_PROG_DETACH; where only one can be, it need not be named. 0 or -errno. */
export function detachProgram(cgroup: Cgroup, program: BpfProgram | null): number {
  const attached = attachments.get(cgroup);
  if (!attached) return -ENOENT;
  const several = (attached.flags & BPF_F_ALLOW_MULTI) !== 0;
  if (several && !program) return -EINVAL;
  const at = several && program ? attached.programs.indexOf(program) : 0;
  if (at < 0) return -ENOENT;
  for (const gone of attached.programs.splice(at, 1)) dropProgram(gone);
  if (attached.programs.length === 0) attachments.delete(cgroup);
  return 0;
}

/** A cgroup is no more, and what was attached to it. */
export function detachAll(cgroup: Cgroup): void {
  for (const program of attachments.get(cgroup)?.programs ?? []) dropProgram(program);
  attachments.delete(cgroup);
}

/** What is attached to a cgroup, and how. */
export function attachedTo(cgroup: Cgroup): Readonly<{ flags: number; programs: readonly BpfProgram[] }> {
  return attachments.get(cgroup) ?? { flags: 0, programs: [] };
}

/** The programs that are asked for processes of a cgroup: its own, or what is above, and those that are always asked. */
export function effectivePrograms(cgroup: Cgroup): BpfProgram[] {
  const all: BpfProgram[] = [];
  for (let at: Cgroup | null = cgroup; at; at = at.parent) {
    const attached = attachments.get(at);
    if (attached && (all.length === 0 || attached.flags & BPF_F_ALLOW_MULTI)) all.push(...attached.programs);
  }
  return all;
}

const context = new Uint32Array(3);

setDeviceGuard((group, mode, rdev, { read, write, make }) => {
  if (attachments.size === 0) return true;
  const type = (mode & S_IFMT) === S_IFCHR ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK;
  const access = (read ? BPF_DEVCG_ACC_READ : 0) | (write ? BPF_DEVCG_ACC_WRITE : 0) | (make ? BPF_DEVCG_ACC_MKNOD : 0);
  for (const { instructions } of effectivePrograms(group.cgroup)) {
    context[0] = (access << 16) | type;
    context[1] = deviceMajor(rdev);
    context[2] = deviceMinor(rdev);
    if (runProgram(instructions, context) === 0) return false;
  }
  return true;
});
