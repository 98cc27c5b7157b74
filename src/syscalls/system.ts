// The machine and its names: uname(2), sethostname(2), setdomainname(2), sysinfo(2), personality(2).

import { CAP_SYS_ADMIN } from '../abi/capability.ts';
import { EINVAL, EPERM } from '../abi/errno.ts';
import {
  ADDR_NO_RANDOMIZE,
  HOST_NAME_MAX,
  PER_LINUX,
  PER_LINUX32,
  PER_MASK,
  SYSINFO_PROCS,
  SYSINFO_SIZE,
  SYSINFO_UPTIME,
  UNAME26,
  UTSNAME_FIELD,
  UTSNAME_SIZE,
} from '../abi/misc.ts';
import type { UserAddress } from '../base/brands.ts';
import { monotonicNow } from '../base/clock.ts';
import { capable } from '../base/credentials.ts';
import { host } from '../host/calls.ts';
import { kernel } from '../kernel/kernel.ts';
import type { Task } from '../kernel/task.ts';
import { OS_RELEASE, OS_TYPE, OS_VERSION } from '../kernel/version.ts';
import { readBytes, u8, u16, writeBytes, writeU64 } from '../platform/arena.ts';

export function uname(task: Task, address: UserAddress): number {
  const at = task.memory.out(address, UTSNAME_SIZE);
  if (at < 0) return at;
  u8.fill(0, at, at + UTSNAME_SIZE);
  const machine = (task.personality & PER_MASK) === PER_LINUX32 ? 'i686' : 'x86_64';
  const release = task.personality & UNAME26 ? ancientRelease() : OS_RELEASE;
  [OS_TYPE, kernel.hostname, release, OS_VERSION, machine, kernel.domainname].forEach((text, i) => {
    writeBytes(at + i * UTSNAME_FIELD, text.slice(0, UTSNAME_FIELD - 1));
  });
  return 0;
}

/** For programs that stumble over anything above 2.6: X.Y shows as 2.6.(60 + Y). */
function ancientRelease(): string {
  const [, minor, rest] = /^\d+\.(\d+)(?:\.\d+)?(.*)$/.exec(OS_RELEASE) ?? ['', '0', ''];
  return `2.6.${60 + Number(minor)}${rest}`;
}

export function sethostname(task: Task, address: UserAddress, length: number): number {
  const name = readHostName(task, address, length);
  if (typeof name === 'number') return name;
  kernel.hostname = name;
  return 0;
}

export function setdomainname(task: Task, address: UserAddress, length: number): number {
  const name = readHostName(task, address, length);
  if (typeof name === 'number') return name;
  kernel.domainname = name;
  return 0;
}

function readHostName(task: Task, address: UserAddress, length: number): string | number {
  if (!capable(task.credentials, CAP_SYS_ADMIN)) return -EPERM;
  if (length < 0 || length > HOST_NAME_MAX) return -EINVAL;
  const at = task.memory.in(address, length);
  if (at < 0) return at;
  const name = readBytes(at, length);
  const nul = name.indexOf('\0');
  return nul < 0 ? name : name.slice(0, nul);
}

/** Memory and load are the host's; time and tasks the sandbox's own. */
export function sysinfo(task: Task, address: UserAddress): number {
  const at = task.memory.out(address, SYSINFO_SIZE);
  if (at < 0) return at;
  const r = host.sysinfo(at);
  if (r < 0) return r;
  writeU64(at + SYSINFO_UPTIME, Math.floor((monotonicNow() - kernel.bootTime) / 1e9));
  u16[(at + SYSINFO_PROCS) >>> 1] = kernel.tasks.size;
  return 0;
}

/** Asks for the present personality without changing it. */
const QUERY = 0xffffffff;

/** Personalities that mean something here; others are refused. */
export function personality(task: Task, persona: number): number {
  const old = task.personality;
  if (persona === QUERY) return old;
  const domain = persona & PER_MASK;
  const flags = (persona & ~PER_MASK) >>> 0;
  if (domain !== PER_LINUX && domain !== PER_LINUX32) return -EINVAL;
  if (flags & ~(ADDR_NO_RANDOMIZE | UNAME26)) return -EINVAL;
  task.personality = persona;
  return old;
}
