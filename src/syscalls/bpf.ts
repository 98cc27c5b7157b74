// bpf(2), as far as runtimes of containers and systemd need it: programs that decide about the devices of a cgroup. Those
// are loaded, attached, asked for, and found again. Whoever may do so has its capabilities in the sandbox's first user
// namespace, as Linux demands it.

import {
  BPF_ATTR_SIZE,
  BPF_CGROUP_DEV_CTX_SIZE,
  BPF_CGROUP_DEVICE,
  BPF_F_ALLOW_MULTI,
  BPF_F_ALLOW_OVERRIDE,
  BPF_F_QUERY_EFFECTIVE,
  BPF_F_REPLACE,
  BPF_INSN_SIZE,
  BPF_MAXINSNS,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_NAME_LEN,
  BPF_PROG_ATTACH,
  BPF_PROG_DETACH,
  BPF_PROG_GET_FD_BY_ID,
  BPF_PROG_GET_NEXT_ID,
  BPF_PROG_INFO_SIZE,
  BPF_PROG_LOAD,
  BPF_PROG_QUERY,
  BPF_PROG_TYPE_CGROUP_DEVICE,
  BPF_PROG_TYPE_CGROUP_SKB,
} from '../abi/bpf.ts';
import { CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN } from '../abi/capability.ts';
import { E2BIG, EBADF, EFAULT, EINVAL, ENOENT, ENOSPC, EPERM } from '../abi/errno.ts';
import type { Fd, UserAddress } from '../base/brands.ts';
import { capable } from '../base/credentials.ts';
import { ProgramFile } from '../fs/bpf/program-file.ts';
import { CgroupDirectory } from '../fs/sys/cgroup.ts';
import type { Cgroup } from '../kernel/cgroups.ts';
import { installFile } from '../kernel/descriptors.ts';
import {
  addProgram,
  attachedTo,
  attachProgram,
  type BpfProgram,
  detachProgram,
  effectivePrograms,
  findProgram,
  nextProgram,
} from '../kernel/device-programs.ts';
import { checkProgram, type Instruction } from '../kernel/ebpf.ts';
import type { Task } from '../kernel/task.ts';
import { allocateScratch, i32, readU64, u8, u32, writeBytes, writeU64 } from '../platform/arena.ts';

const TYPE_LENGTH = 4;
/** What programs may be about, and how much of it they see: of packets nothing. */
const CONTEXTS = new Map([
  [BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEV_CTX_SIZE],
  [BPF_PROG_TYPE_CGROUP_SKB, 0],
]);
const LICENSE_MAX = 128;

/** By command: who may, how many bytes of the attributes it has, what it does with them. */
interface Command {
  readonly size: number;
  allowed(task: Task): boolean;
  run(task: Task, at: number, attributes: UserAddress): number;
}

const isAdmin = (task: Task): boolean => capable(task.credentials, CAP_SYS_ADMIN);
const mayLoad = (task: Task): boolean => {
  const { credentials } = task;
  return isAdmin(task) || (capable(credentials, CAP_BPF) && capable(credentials, CAP_NET_ADMIN));
};
const mayAttach = (task: Task): boolean => isAdmin(task) || capable(task.credentials, CAP_NET_ADMIN);

const COMMANDS = new Map<number, Command>([
  [BPF_PROG_LOAD, { size: BPF_ATTR_SIZE, allowed: mayLoad, run: load }],
  [BPF_PROG_ATTACH, { size: 20, allowed: mayAttach, run: attach }],
  [BPF_PROG_DETACH, { size: 20, allowed: mayAttach, run: detach }],
  [BPF_PROG_GET_NEXT_ID, { size: 12, allowed: isAdmin, run: getNextId }],
  [BPF_PROG_GET_FD_BY_ID, { size: 12, allowed: isAdmin, run: getById }],
  [BPF_OBJ_GET_INFO_BY_FD, { size: 16, allowed: () => true, run: getInfo }],
  [BPF_PROG_QUERY, { size: 32, allowed: mayAttach, run: query }],
]);

/** bpf(2): -EPERM without the capabilities, -E2BIG for attributes that nobody knows, -EINVAL for what is not here. */
export function bpf(task: Task, cmd: number, attr: UserAddress, size: number): number {
  if (!capable(task.credentials, CAP_BPF) && !isAdmin(task) && cmd !== BPF_OBJ_GET_INFO_BY_FD) return -EPERM;
  if (size > 4096) return -E2BIG;
  const at = allocateScratch(Math.max(size, BPF_ATTR_SIZE));
  if (at < 0) return at;
  u8.fill(0, at, at + Math.max(size, BPF_ATTR_SIZE));
  const read = size === 0 ? 0 : task.memory.read(attr, at, size);
  if (read < 0) return read;
  if (!isZero(at + BPF_ATTR_SIZE, size - BPF_ATTR_SIZE)) return -E2BIG;
  const command = COMMANDS.get(cmd);
  if (!command || !isZero(at + command.size, BPF_ATTR_SIZE - command.size)) return -EINVAL;
  return command.allowed(task) ? command.run(task, at, attr) : -EPERM;
}

function isZero(at: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (u8[at + i] !== 0) return false;
  return true;
}

function install(task: Task, program: BpfProgram): number {
  return installFile(task, new ProgramFile(program), true);
}

/** The program behind a descriptor, or -EBADF, -EINVAL. */
function programOf(task: Task, fd: number): BpfProgram | number {
  const file = task.files.get(fd as Fd);
  if (!file) return -EBADF;
  return file instanceof ProgramFile ? file.program : -EINVAL;
}

/** The cgroup of version 2 whose directory a descriptor is of, or -EBADF. */
function cgroupOf(task: Task, fd: number): Cgroup | number {
  const inode = task.files.get(fd as Fd)?.inode;
  return inode instanceof CgroupDirectory && inode.cgroup.hierarchy === null ? inode.cgroup : -EBADF;
}

function load(task: Task, at: number): number {
  const i = at >>> 2;
  const contextSize = CONTEXTS.get(u32[i]);
  if (contextSize === undefined || u32[i + 11] !== 0) return -EINVAL;
  const count = u32[i + 1];
  if (count === 0 || count > BPF_MAXINSNS) return -E2BIG;
  const license = task.memory.string(readU64(at + 16) as UserAddress, LICENSE_MAX);
  if (typeof license === 'number') return license === -EFAULT ? license : -EINVAL;
  const name = nameOf(at + 48);
  if (typeof name === 'number') return name;
  const instructions = readInstructions(task, readU64(at + 8) as UserAddress, count);
  if (typeof instructions === 'number') return instructions;
  const refused = checkProgram(instructions, contextSize);
  if (refused < 0) return refused;
  const program = addProgram(u32[i], name, task.credentials.uid, instructions);
  return typeof program === 'number' ? program : install(task, program);
}

/** prog_name: letters, digits, underscores and dots, ended by a NUL within its field. */
function nameOf(at: number): string | number {
  const bytes = Buffer.from(u8.subarray(at, at + BPF_OBJ_NAME_LEN)).toString('latin1');
  const end = bytes.indexOf('\0');
  return end >= 0 && /^[A-Za-z0-9_.]*$/.test(bytes.slice(0, end)) ? bytes.slice(0, end) : -EINVAL;
}

function readInstructions(task: Task, address: UserAddress, count: number): Instruction[] | number {
  const at = allocateScratch(count * BPF_INSN_SIZE);
  if (at < 0) return at;
  const read = task.memory.read(address, at, count * BPF_INSN_SIZE);
  if (read < 0) return read;
  return Array.from({ length: count }, (_, n) => {
    const from = at + n * BPF_INSN_SIZE;
    const registers = u8[from + 1];
    return {
      code: u8[from],
      target: registers & 15,
      source: registers >> 4,
      offset: ((u8[from + 2] | (u8[from + 3] << 8)) << 16) >> 16,
      constant: i32[(from >>> 2) + 1],
    };
  });
}

function attach(task: Task, at: number): number {
  const i = at >>> 2;
  const flags = u32[i + 3];
  if (flags & ~(BPF_F_ALLOW_OVERRIDE | BPF_F_ALLOW_MULTI | BPF_F_REPLACE) || u32[i + 2] !== BPF_CGROUP_DEVICE)
    return -EINVAL;
  const program = programOf(task, i32[i + 1]);
  if (typeof program === 'number') return program;
  if (program.type !== BPF_PROG_TYPE_CGROUP_DEVICE) return -EINVAL;
  const cgroup = cgroupOf(task, i32[i]);
  if (typeof cgroup === 'number') return cgroup;
  const bothKinds = (flags & BPF_F_ALLOW_OVERRIDE) !== 0 && (flags & BPF_F_ALLOW_MULTI) !== 0;
  const replaces = (flags & BPF_F_REPLACE) !== 0;
  if (bothKinds || (replaces && !(flags & BPF_F_ALLOW_MULTI))) return -EINVAL;
  const replaced = replaces ? programOf(task, i32[i + 4]) : null;
  return typeof replaced === 'number' ? replaced : attachProgram(cgroup, program, flags, replaced);
}

function detach(task: Task, at: number): number {
  const i = at >>> 2;
  if (u32[i + 2] !== BPF_CGROUP_DEVICE) return -EINVAL;
  const cgroup = cgroupOf(task, i32[i]);
  if (typeof cgroup === 'number') return cgroup;
  const program = programOf(task, i32[i + 1]);
  return detachProgram(cgroup, typeof program === 'number' ? null : program);
}

/** BPF_PROG_QUERY: the numbers of what is attached. -ENOSPC when there is not room for all of them. */
function query(task: Task, at: number, attributes: UserAddress): number {
  const i = at >>> 2;
  if (u32[i + 1] !== BPF_CGROUP_DEVICE || u32[i + 2] & ~BPF_F_QUERY_EFFECTIVE) return -EINVAL;
  const cgroup = cgroupOf(task, i32[i]);
  if (typeof cgroup === 'number') return cgroup;
  const effective = u32[i + 2] === BPF_F_QUERY_EFFECTIVE;
  const { flags, programs } = attachedTo(cgroup);
  const found = effective ? effectivePrograms(cgroup) : programs;
  const room = u32[i + 6];
  const to = readU64(at + 16) as UserAddress;
  u32[i + 3] = effective ? 0 : flags;
  u32[i + 6] = found.length;
  const written =
    task.memory.write((attributes + 12) as UserAddress, at + 12, 4) ||
    task.memory.write((attributes + 24) as UserAddress, at + 24, 4);
  if (written < 0 || room === 0 || to === 0 || found.length === 0) return written;
  const count = Math.min(room, found.length);
  const ids = allocateScratch(4 * count);
  if (ids < 0) return ids;
  for (let n = 0; n < count; n++) u32[(ids >>> 2) + n] = found[n].id;
  return task.memory.write(to, ids, 4 * count) || (count < found.length ? -ENOSPC : 0);
}

function getNextId(task: Task, at: number, attributes: UserAddress): number {
  const next = nextProgram(u32[at >>> 2]);
  if (next < 0) return next;
  u32[(at >>> 2) + 1] = next;
  return task.memory.write((attributes + 4) as UserAddress, at + 4, 4);
}

function getById(task: Task, at: number): number {
  const program = findProgram(u32[at >>> 2]);
  return program ? install(task, program) : -ENOENT;
}

/** BPF_OBJ_GET_INFO_BY_FD: struct bpf_prog_info, with nothing in it that would be a place in memory. */
function getInfo(task: Task, at: number, attributes: UserAddress): number {
  const i = at >>> 2;
  const program = programOf(task, i32[i]);
  if (typeof program === 'number') return program;
  const length = Math.min(u32[i + 1], BPF_PROG_INFO_SIZE);
  const info = allocateScratch(BPF_PROG_INFO_SIZE);
  if (info < 0) return info;
  u8.fill(0, info, info + BPF_PROG_INFO_SIZE);
  const j = info >>> 2;
  u32[j] = program.type;
  u32[j + 1] = program.id;
  u32[j + 5] = isAdmin(task) ? program.instructions.length * BPF_INSN_SIZE : 0;
  u32[j + 12] = program.uid;
  writeBytes(info + 64, program.name);
  writeU64(info + 56, 0);
  u32[i + 1] = length;
  const written = task.memory.write((attributes + TYPE_LENGTH) as UserAddress, at + TYPE_LENGTH, 4);
  return written || task.memory.write(readU64(at + 8) as UserAddress, info, length);
}
