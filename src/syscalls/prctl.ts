// prctl(2). What an option sets is either in effect here or refused: EINVAL says, as on a kernel built without it, that
// the option is not there.

import { CAP_SYS_RESOURCE } from '../abi/capability.ts';
import { EINVAL, ENODEV, EPERM } from '../abi/errno.ts';
import {
  PR_CAP_AMBIENT,
  PR_CAP_AMBIENT_CLEAR_ALL,
  PR_CAP_AMBIENT_IS_SET,
  PR_CAP_AMBIENT_LOWER,
  PR_CAP_AMBIENT_RAISE,
  PR_CAPBSET_DROP,
  PR_CAPBSET_READ,
  PR_GET_AUXV,
  PR_GET_CHILD_SUBREAPER,
  PR_GET_DUMPABLE,
  PR_GET_IO_FLUSHER,
  PR_GET_KEEPCAPS,
  PR_GET_MDWE,
  PR_GET_MEMORY_MERGE,
  PR_GET_NAME,
  PR_GET_NO_NEW_PRIVS,
  PR_GET_PDEATHSIG,
  PR_GET_SECCOMP,
  PR_GET_SECUREBITS,
  PR_GET_SPECULATION_CTRL,
  PR_GET_THP_DISABLE,
  PR_GET_TIMERSLACK,
  PR_GET_TIMING,
  PR_GET_TSC,
  PR_MCE_KILL,
  PR_MCE_KILL_GET,
  PR_SET_CHILD_SUBREAPER,
  PR_SET_DUMPABLE,
  PR_SET_IO_FLUSHER,
  PR_SET_KEEPCAPS,
  PR_SET_MDWE,
  PR_SET_MEMORY_MERGE,
  PR_SET_MM,
  PR_SET_NAME,
  PR_SET_NO_NEW_PRIVS,
  PR_SET_PDEATHSIG,
  PR_SET_SECCOMP,
  PR_SET_SECUREBITS,
  PR_SET_SPECULATION_CTRL,
  PR_SET_THP_DISABLE,
  PR_SET_TIMERSLACK,
  PR_SET_TIMING,
  PR_SET_TSC,
  PR_TASK_PERF_EVENTS_DISABLE,
  PR_TASK_PERF_EVENTS_ENABLE,
  SECBIT_KEEP_CAPS,
  TASK_COMM_LEN,
} from '../abi/prctl.ts';
import { SECCOMP_MODE_FILTER, SECCOMP_MODE_STRICT } from '../abi/seccomp.ts';
import type { UserAddress } from '../base/brands.ts';
import { type Credentials, capable, hasCapabilityIn, NO_CAPABILITIES } from '../base/credentials.ts';
import {
  commitCredentials,
  dropBounding,
  isCapability,
  lowerAmbient,
  raiseAmbient,
  setKeepCapabilities,
  setSecurebits,
} from '../kernel/credentials.ts';
import { enterStrictMode, seccompMode } from '../kernel/seccomp.ts';
import { installUserFilter } from '../kernel/seccomp-user.ts';
import type { Task } from '../kernel/task.ts';
import { i32, u8, writeBytes } from '../platform/arena.ts';

const NSIG = 64;
const TSC_ENABLE = 1;
const PR_TIMING_STATISTICAL = 0;
const PR_MCE_KILL_CLEAR = 0;
const PR_MCE_KILL_SET = 1;
const PR_MCE_KILL_DEFAULT = 2;

export function prctl(task: Task, option: number, arg2: number, arg3: number, arg4: number, arg5: number): number {
  const { group } = task;
  const rest = arg3 !== 0 || arg4 !== 0 || arg5 !== 0;
  switch (option) {
    case PR_SET_PDEATHSIG:
      if (!(arg2 >= 0 && arg2 <= NSIG)) return -EINVAL;
      group.parentDeathSignal = arg2;
      return 0;
    case PR_GET_PDEATHSIG:
      return putInt(task, arg2, group.parentDeathSignal);
    case PR_GET_DUMPABLE:
      return group.dumpable ? 1 : 0;
    case PR_SET_DUMPABLE:
      if (arg2 !== 0 && arg2 !== 1) return -EINVAL;
      group.dumpable = arg2 === 1;
      return 0;
    case PR_SET_NAME:
      return setName(task, arg2);
    case PR_GET_NAME:
      return getName(task, arg2);
    case PR_SET_CHILD_SUBREAPER:
      group.subreaper = arg2 !== 0;
      return 0;
    case PR_GET_CHILD_SUBREAPER:
      return putInt(task, arg2, group.subreaper ? 1 : 0);
    case PR_SET_NO_NEW_PRIVS:
      if (arg2 !== 1 || rest) return -EINVAL;
      return change(task, { ...task.credentials, noNewPrivileges: true });
    case PR_GET_NO_NEW_PRIVS:
      if (arg2 !== 0 || rest) return -EINVAL;
      return task.credentials.noNewPrivileges ? 1 : 0;
    case PR_SET_TIMERSLACK:
      task.scheduling.timerSlack = arg2 > 0 ? arg2 : task.scheduling.defaultTimerSlack;
      return 0;
    case PR_GET_TIMERSLACK:
      return task.scheduling.timerSlack;
    case PR_GET_AUXV:
      return arg4 !== 0 || arg5 !== 0 ? -EINVAL : getAuxv(task, arg2, arg3);
    default:
      return capabilityOption(task, option, arg2, arg3, arg4, arg5);
  }
}

function capabilityOption(task: Task, option: number, arg2: number, arg3: number, arg4: number, arg5: number): number {
  const { credentials } = task;
  switch (option) {
    case PR_CAPBSET_READ:
      if (!isCapability(arg2)) return -EINVAL;
      return hasCapabilityIn(credentials.bounding, arg2) ? 1 : 0;
    case PR_CAPBSET_DROP:
      return change(task, dropBounding(credentials, arg2));
    case PR_GET_KEEPCAPS:
      return credentials.securebits & SECBIT_KEEP_CAPS ? 1 : 0;
    case PR_SET_KEEPCAPS:
      return change(task, setKeepCapabilities(credentials, arg2));
    case PR_GET_SECUREBITS:
      return credentials.securebits;
    case PR_SET_SECUREBITS:
      return change(task, setSecurebits(credentials, arg2));
    case PR_CAP_AMBIENT:
      return arg5 !== 0 || arg4 !== 0 ? -EINVAL : ambientOption(task, arg2, arg3);
    default:
      return machineOption(task, option, arg2, arg3, arg4 !== 0 || arg5 !== 0);
  }
}

function ambientOption(task: Task, operation: number, capability: number): number {
  const { credentials } = task;
  if (operation === PR_CAP_AMBIENT_CLEAR_ALL) {
    return capability !== 0 ? -EINVAL : change(task, { ...credentials, ambient: NO_CAPABILITIES });
  }
  if (!isCapability(capability)) return -EINVAL;
  switch (operation) {
    case PR_CAP_AMBIENT_IS_SET:
      return hasCapabilityIn(credentials.ambient, capability) ? 1 : 0;
    case PR_CAP_AMBIENT_RAISE:
      return change(task, raiseAmbient(credentials, capability));
    case PR_CAP_AMBIENT_LOWER:
      return change(task, lowerAmbient(credentials, capability));
    default:
      return -EINVAL;
  }
}

/** Options about processor and memory: what is the case can be read, and nothing else can be set. */
function machineOption(task: Task, option: number, arg2: number, arg3: number, more: boolean): number {
  const plain = arg2 === 0 && arg3 === 0 && !more;
  switch (option) {
    case PR_GET_SECCOMP:
      return seccompMode(task);
    case PR_SET_SECCOMP:
      return setSeccomp(task, arg2, arg3);
    case PR_GET_TSC:
      return putInt(task, arg2, TSC_ENABLE);
    case PR_SET_TSC:
      return arg2 === TSC_ENABLE ? 0 : -EINVAL;
    case PR_GET_TIMING:
      return PR_TIMING_STATISTICAL;
    case PR_SET_TIMING:
      return arg2 === PR_TIMING_STATISTICAL ? 0 : -EINVAL;
    case PR_TASK_PERF_EVENTS_DISABLE:
    case PR_TASK_PERF_EVENTS_ENABLE:
      // Nobody can have a performance counter here.
      return 0;
    case PR_GET_THP_DISABLE:
    case PR_GET_MDWE:
    case PR_GET_MEMORY_MERGE:
    case PR_SET_THP_DISABLE:
    case PR_SET_MDWE:
    case PR_SET_MEMORY_MERGE:
      return plain ? 0 : -EINVAL;
    case PR_MCE_KILL:
      return more ? -EINVAL : setMachineCheckPolicy(task, arg2, arg3);
    case PR_MCE_KILL_GET:
      return plain ? task.machineCheckPolicy : -EINVAL;
    case PR_SET_MM:
    case PR_SET_IO_FLUSHER:
    case PR_GET_IO_FLUSHER:
      return capable(task.credentials, CAP_SYS_RESOURCE) ? -EINVAL : -EPERM;
    // What the processor speculates on is not the sandbox's to control.
    case PR_GET_SPECULATION_CTRL:
      return arg3 !== 0 || more ? -EINVAL : -ENODEV;
    case PR_SET_SPECULATION_CTRL:
      return more ? -EINVAL : -ENODEV;
    default:
      return -EINVAL;
  }
}

/** The older form of seccomp(2). */
function setSeccomp(task: Task, mode: number, filter: number): number {
  if (mode === SECCOMP_MODE_STRICT) return enterStrictMode(task);
  return mode === SECCOMP_MODE_FILTER ? installUserFilter(task, filter as UserAddress, 0) : -EINVAL;
}

function setMachineCheckPolicy(task: Task, operation: number, policy: number): number {
  if (operation === PR_MCE_KILL_CLEAR && policy === 0) task.machineCheckPolicy = PR_MCE_KILL_DEFAULT;
  else if (operation === PR_MCE_KILL_SET && policy >= 0 && policy <= PR_MCE_KILL_DEFAULT)
    task.machineCheckPolicy = policy;
  else return -EINVAL;
  return 0;
}

function change(task: Task, fresh: Credentials | number): number {
  if (typeof fresh === 'number') return fresh;
  commitCredentials(task, fresh);
  return 0;
}

function putInt(task: Task, address: number, value: number): number {
  const at = task.memory.out(address as UserAddress, 4);
  if (at < 0) return at;
  i32[at >>> 2] = value;
  return 0;
}

/** At most 15 bytes; a longer name is cut off. */
function setName(task: Task, address: number): number {
  const name = readName(task, address as UserAddress);
  if (typeof name === 'number') return name;
  task.name = name;
  return 0;
}

/** Byte by byte as far as the NUL, so that a short name at the end of a mapping can be read. */
function readName(task: Task, address: UserAddress): string | number {
  const at = task.memory.in(address, TASK_COMM_LEN - 1);
  if (at < 0) {
    const name = task.memory.string(address);
    return typeof name === 'number' ? name : name.slice(0, TASK_COMM_LEN - 1);
  }
  let name = '';
  for (let i = 0; i < TASK_COMM_LEN - 1 && u8[at + i] !== 0; i++) name += String.fromCharCode(u8[at + i]);
  return name;
}

function getName(task: Task, address: number): number {
  const at = task.memory.out(address as UserAddress, TASK_COMM_LEN);
  if (at < 0) return at;
  u8.fill(0, at, at + TASK_COMM_LEN);
  writeBytes(at, task.name.slice(0, TASK_COMM_LEN - 1));
  return 0;
}

/** The auxiliary vector as exec laid it down; answers its whole size. */
function getAuxv(task: Task, address: number, length: number): number {
  const { auxv } = task.mm;
  const count = Math.min(Math.max(0, length), auxv.length);
  if (count > 0) {
    const at = task.memory.out(address as UserAddress, count);
    if (at < 0) return at;
    u8.set(auxv.subarray(0, count), at);
  }
  return auxv.length;
}
