// Filters as a program hands them over (struct sock_fprog), for seccomp(2) and prctl(PR_SET_SECCOMP).

import { EFAULT, EINVAL } from '../abi/errno.ts';
import { BPF_MAXINSNS, SOCK_FILTER_SIZE, SOCK_FPROG_SIZE } from '../abi/seccomp.ts';
import { NULL, type UserAddress } from '../base/brands.ts';
import { allocateScratch, readU64, u8, u32 } from '../platform/arena.ts';
import { addSeccompFilter, mayAddSeccompFilter } from './seccomp.ts';
import { parseSeccompProgram } from './seccomp-program.ts';
import type { Task } from './task.ts';

/** Reads, checks and adds a filter. What seccomp(SECCOMP_SET_MODE_FILTER) answers. */
export function installUserFilter(task: Task, address: UserAddress, flags: number): number {
  const head = task.memory.in(address, SOCK_FPROG_SIZE);
  if (head < 0) return -EFAULT;
  const length = u32[head >>> 2] & 0xffff;
  const instructions = readU64(head + 8) as UserAddress;
  if (length === 0 || length > BPF_MAXINSNS) return -EINVAL;
  const allowed = mayAddSeccompFilter(task);
  if (allowed < 0) return allowed;
  if (instructions === NULL) return -EINVAL;
  const at = allocateScratch(length * SOCK_FILTER_SIZE);
  if (at < 0) return at;
  if (task.memory.read(instructions, at, length * SOCK_FILTER_SIZE) < 0) return -EFAULT;
  const program = parseSeccompProgram(u8, at, length);
  return typeof program === 'number' ? program : addSeccompFilter(task, program, flags);
}
