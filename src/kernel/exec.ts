// Executing a program (execve(2)). The program is laid out in a blank stub process; the task moves there and its old
// host thread (or process) ends. Until the blank has the program, nothing of the old one is given up, so failures are
// reported to it; the host never executes anything on the guest's side.

import { EAGAIN } from '../abi/errno.ts';
import { ADDR_NO_RANDOMIZE } from '../abi/misc.ts';
import { PROT_EXEC, PROT_READ } from '../abi/mman.ts';
import { MS_NOSUID } from '../abi/mount.ts';
import { RLIMIT_STACK } from '../abi/resource.ts';
import { SIGSEGV, SS_DISABLE } from '../abi/signal.ts';
import type { HostFd, UserAddress } from '../base/brands.ts';
import type { UserNamespace } from '../base/user-namespace.ts';
import { host } from '../host/calls.ts';
import { type ElfImage, pageUp } from '../loader/elf.ts';
import { choosePlacement, orderImage, orderStack, type Placement } from '../loader/layout.ts';
import { closeProgram, loadProgram, type Program } from '../loader/program.ts';
import { buildStack, checkArgumentSize, type StackImage } from '../loader/stack.ts';
import { AddressSpace } from '../mm/address-space.ts';
import { CallSites } from '../mm/call-sites.ts';
import { noteMapping } from '../mm/mapped-files.ts';
import { clearOrders, order, sendAnswer, sendExit, writeAnswer } from '../platform/answer.ts';
import { allocateScratch, buffer, u8, u32, writeU64 } from '../platform/arena.ts';
import {
  ACT_ASK_AGAIN,
  FD_INTERPRETER,
  FD_PROGRAM,
  H_HWCAP,
  H_HWCAP2,
  H_MINSIGSTK,
  H_VDSO,
  ORDER_COPY,
  ORDER_EXIT,
  ORDER_EXIT_GROUP,
  ORDER_JUMP,
  ORDER_SYSCALL,
  PAYLOAD_SIZE,
  SLOT_PAYLOAD,
  SLOT_SIZE,
  SLOTS_ADDR,
} from '../platform/layout.ts';
import { native } from '../platform/native.ts';
import { setOwner } from '../platform/slots.ts';
import type { Blank, Zygote } from '../platform/zygote.ts';
import type { Path } from '../vfs/dentry.ts';
import type { Inode } from '../vfs/inode.ts';
import { checkAccess, MAY_READ } from '../vfs/permission.ts';
import { RunningText } from '../vfs/write-access.ts';
import { buryAddressSpace, buryThread, watchAddressSpace } from './address-spaces.ts';
import { vforkReleased } from './clone.ts';
import { commitExecCredentials, type ExecCredentials, execCredentials, parseFileCapabilities } from './credentials.ts';
import { closeFiles } from './descriptors.ts';
import { enterTimeOfChildren } from './enter-namespaces.ts';
import { killGroup, killOtherThreads } from './exit.ts';
import { forgetDescriptor } from './installed-file.ts';
import { dropOwnKeyrings } from './keys/keyrings.ts';
import { checkTableSize } from './limits.ts';
import { forgetShown } from './own-answers.ts';
import { enlist, strike } from './pid-namespaces.ts';
import { letGo } from './placement.ts';
import { afterExec, noteExec } from './ptrace/events.ts';
import { tracedByWeaker, unlink } from './ptrace/tracing.ts';
import { walkRobustList } from './robust-list.ts';
import { RUNNING, SERVING, type Task, WITHHELD } from './task.ts';
import { bankUsage } from './usage.ts';

const MAX_STACK = 64 << 20;
/** Random words for programs that want none. */
const NOT_RANDOM = new Uint32Array(4);
const SYS_CLOSE = 3;
const SYS_PRCTL = 157;
const PR_SET_MM = 35;
const PR_SET_MM_MAP = 14;
const MM_MAP_SIZE = 104;
const COMM_LENGTH = 15;
/** The memory-map description goes behind the stack image in the payload. */
const MM_MAP_OFFSET = SLOT_PAYLOAD + PAYLOAD_SIZE - 0x1000 - 256;
const INLINE_STACK = MM_MAP_OFFSET - SLOT_PAYLOAD;

/** Everything an exec needs, ready to be laid out once there is a blank. */
class PreparedExec {
  readonly program: Program;
  readonly stack: StackImage;
  readonly placement: Placement;
  readonly stackSize: number;
  readonly credentials: ExecCredentials;
  /** The caller may read the program's file: it stays dumpable. */
  readonly readable: boolean;

  constructor(
    program: Program,
    stack: StackImage,
    placement: Placement,
    stackSize: number,
    credentials: ExecCredentials,
    readable: boolean,
  ) {
    this.program = program;
    this.stack = stack;
    this.placement = placement;
    this.stackSize = stackSize;
    this.credentials = credentials;
    this.readable = readable;
  }
}

/** Tasks whose exec waits for a blank, by whose it has to be. */
const waiting = new Map<Zygote, Task[]>();

/**
 * execve: replaces the program of `task`. Returns ANSWERED's moral (undefined) through `execDone`; -errno if the
 * program cannot be executed. `path` was resolved; `name` is what the guest called it.
 */
export function execTask(task: Task, path: Path, name: string, args: string[], environment: string[]): number {
  const stackLimit = task.group.limits.soft[RLIMIT_STACK];
  const size = checkArgumentSize(args, environment, stackLimit);
  if (size < 0) return size;
  const tooMany = task.files.users > 1 ? checkTableSize(task.files) : 0;
  if (tooMany < 0) return tooMany;
  const program = loadProgram(task, path, name, args.length > 0 ? args : ['']);
  if (typeof program === 'number') return program;
  const prepared = prepare(task, program, environment, stackLimit);
  if (typeof prepared === 'number') {
    closeProgram(program);
    return prepared;
  }
  task.pendingObject = prepared;
  task.state = WITHHELD;
  const { zygote } = task.group.cgroup.top;
  const blank = zygote.takeBlank();
  if (blank) commit(task, prepared, blank);
  else {
    const queue = waiting.get(zygote);
    if (queue) queue.push(task);
    else waiting.set(zygote, [task]);
    zygote.refill();
  }
  return 0;
}

/** A blank of a zygote is there: whoever waits for one goes on. */
export function serveWaitingExecs(zygote: Zygote): void {
  const queue = waiting.get(zygote);
  while (queue && queue.length > 0) {
    const task = queue[0];
    if (task.state !== WITHHELD) {
      queue.shift();
      abandonExec(task);
      continue;
    }
    const blank = zygote.takeBlank();
    if (!blank) return;
    queue.shift();
    commit(task, task.pendingObject as PreparedExec, blank);
  }
  waiting.delete(zygote);
}

/** The host makes no more processes: execve(2) has EAGAIN for a limit that was met. */
export function refuseWaitingExecs(zygote: Zygote): void {
  const refused = waiting.get(zygote) ?? [];
  waiting.delete(zygote);
  for (const task of refused) {
    abandonExec(task);
    if (task.state !== WITHHELD) continue;
    task.pendingObject = null;
    task.state = SERVING;
    onFailure(task, -EAGAIN);
  }
}

/** The task died while its exec waited: its files are let go. */
function abandonExec(task: Task): void {
  closeProgram((task.pendingObject as PreparedExec).program);
}

function prepare(task: Task, program: Program, environment: string[], stackLimit: number): PreparedExec | number {
  const { inode, path } = program;
  const changed = execCredentials(
    task.credentials,
    {
      mode: inode.mode,
      uid: inode.uid,
      gid: inode.gid,
      capabilities: fileCapabilities(inode, task.credentials.user),
      nosuid: (path.mount.flags & MS_NOSUID) !== 0 || !task.credentials.user.isWithin(path.mount.superblock.user),
    },
    task.fs.users > task.group.threads.size || tracedByWeaker(task),
  );
  if (typeof changed === 'number') return changed;
  const random = randomWords();
  if (!random) return -EAGAIN;
  const fixed = (task.personality & ADDR_NO_RANDOMIZE) !== 0 && !changed.secure;
  const placement = choosePlacement(fixed ? NOT_RANDOM : random, program.image);
  const base = placement.programBase;
  const { image, interpreter } = program;
  const entry = base + image.entry;
  const header = 0;
  const stack = buildStack(placement.stackTop, {
    args: program.args,
    environment,
    name: program.name,
    random: new Uint8Array(random.buffer, 16, 16),
    credentials: changed.credentials,
    secure: changed.secure,
    entry,
    base: interpreter ? placement.interpreterBase : 0,
    headers: headersAddress(image, base),
    headerCount: image.headerCount,
    vdso: u32[header + H_VDSO] + u32[header + H_VDSO + 1] * 4294967296,
    hwcap: u32[header + H_HWCAP],
    hwcap2: u32[header + H_HWCAP2],
    minSigStackSize: u32[header + H_MINSIGSTK],
  });
  const stackSize = pageUp(Math.max(Math.min(stackLimit, MAX_STACK), stack.bytes.length + (1 << 17)));
  const readable = checkAccess(inode, task.credentials, MAY_READ) === 0;
  return new PreparedExec(program, stack, placement, stackSize, changed, readable);
}

function fileCapabilities(inode: Inode, user: UserNamespace) {
  const value = inode.getxattr('security.capability');
  return typeof value === 'string' ? parseFileCapabilities(value, user) : null;
}

/** Where the program headers come to lie: in the segment that holds their file offset. */
function headersAddress(image: ElfImage, base: number): number {
  for (const segment of image.segments) {
    const skip = image.headersOffset - segment.fileOffset;
    if (skip >= 0 && skip < segment.fileSize) return base + segment.address + skip;
  }
  return 0;
}

function randomWords(): Uint32Array | null {
  const at = allocateScratch(32);
  if (at < 0 || host.getrandom(at, 32, 0) !== 32) return null;
  return new Uint32Array(u8.slice(at, at + 32).buffer);
}

/** The point of no return: the blank becomes the task's process. */
function commit(task: Task, prepared: PreparedExec, blank: Blank): void {
  const { program } = prepared;
  const installed = installFiles(blank.slot, program);
  if (installed < 0) {
    closeProgram(program);
    task.pendingObject = null;
    return failExec(task, blank, installed);
  }
  leaveAddressSpace(task);
  const mm = new AddressSpace();
  joinAddressSpace(task, mm, blank);
  describeProgram(task, mm, prepared);
  resetForProgram(task, prepared);
  enterTimeOfChildren(task);
  orderProgram(task, prepared);
  noteMapping(mm, installed as HostFd, program.path);
  const { interpreter } = program;
  if (interpreter) noteMapping(mm, interpreter.file.mapping(5, 2) as HostFd, interpreter.file.path);
  closeProgram(program);
}

/** Installs program and interpreter in the blank; the program's host descriptor, or -errno. */
function installFiles(slot: number, { image, interpreter }: Program): number {
  const fd = image.file.mapping(5, 2);
  if (fd < 0) return fd;
  const r = native.addfd(slot, fd, FD_PROGRAM, false);
  if (r < 0) return r;
  if (interpreter) {
    const other = interpreter.file.mapping(5, 2);
    if (other < 0) return other;
    const installed = native.addfd(slot, other, FD_INTERPRETER, false);
    if (installed < 0) return installed;
  }
  return fd;
}

let onFailure: (task: Task, errno: number) => void = () => {};
/** How an exec that waited for a blank reports its failure (complete of answer.ts; set at boot to avoid a cycle). */
export function setExecFailureHook(hook: (task: Task, errno: number) => void): void {
  onFailure = hook;
}

function failExec(task: Task, blank: Blank, errno: number): void {
  clearOrders(blank.slot);
  order(blank.slot, ORDER_EXIT_GROUP);
  writeAnswer(blank.slot, 0, 0, 0, false);
  sendAnswer(blank.slot);
  task.state = SERVING;
  onFailure(task, errno);
}

/** The task's old host thread ends, and its process with it when nobody else is left in it. */
function leaveAddressSpace(task: Task): void {
  const { mm } = task;
  const wakes = walkRobustList(task);
  bankUsage(task.group);
  killOtherThreads(task);
  if (task.memory.slot < 0) return;
  const { slot } = task.memory;
  clearOrders(slot);
  for (const address of wakes.slice(0, 64)) order(slot, ORDER_SYSCALL, 202, address, 1, 1);
  mm.tasks.delete(task);
  const isLast = mm.tasks.size === 0;
  order(slot, isLast ? ORDER_EXIT_GROUP : ORDER_EXIT);
  writeAnswer(slot, 0, 0, 0, false);
  sendExit(slot, isLast);
  if (isLast) buryAddressSpace(mm);
  else buryThread(task);
  vforkReleased(task);
}

function joinAddressSpace(task: Task, mm: AddressSpace, blank: Blank): void {
  const { memory } = task;
  mm.tasks.add(task);
  mm.slots.add(blank.slot);
  task.mm = mm;
  task.block = 0;
  forgetDescriptor(task);
  task.window.forget();
  task.knownTid = blank.hostPid;
  memory.slot = blank.slot;
  memory.space = mm;
  memory.beginAnswer();
  setOwner(blank.slot, task, blank.hostPid);
  forgetShown(task);
  task.heldOn = blank.heldOn;
  if (task.heldOn >= 0) letGo(task);
  watchAddressSpace(mm, blank.hostPid, task.block);
}

/** What the rest of the world may see of the program: /proc/PID/maps, cmdline, environ, stat. */
function describeProgram(task: Task, mm: AddressSpace, { program, stack, placement }: PreparedExec): void {
  const { image } = program;
  const base = placement.programBase;
  mm.executable = program.path;
  mm.text = new RunningText(program.path, image.file.inode);
  mm.argStart = stack.argStart;
  mm.argEnd = stack.argEnd;
  mm.envStart = stack.envStart;
  mm.envEnd = stack.envEnd;
  mm.startStack = stack.stackPointer;
  mm.auxv = stack.auxv;
  mm.vdso = u32[H_VDSO] + u32[H_VDSO + 1] * 4294967296;
  mm.startCode = base + image.low;
  mm.endCode = base + image.high;
  mm.startData = base + image.low;
  mm.endData = base + image.high;
  if (patching.enabled && !task.tracing) mm.sites = new CallSites();
  mm.startBrk = pageUp(base + image.high) + placement.heapGap;
}

/** What execve(2) resets: dispositions, alternate stack, close-on-exec descriptors, credentials, names, timers. */
function resetForProgram(task: Task, { program, credentials, readable }: PreparedExec): void {
  const { group } = task;
  const before = task.identity;
  becomeLeader(task);
  if (task.tracing !== null) noteExec(task, task.tracing, before);
  if (group.actions.users > 1) {
    group.actions.users--;
    group.actions = group.actions.copy();
  }
  group.actions.resetHandlers();
  task.altstackBase = task.altstackSize = 0;
  task.altstackFlags = SS_DISABLE;
  if (task.files.users > 1) {
    task.files.users--;
    task.files = task.files.copy();
  }
  closeFiles(task, task.files.takeForClose(false));
  group.hasExecuted = true;
  dropOwnKeyrings(task);
  commitExecCredentials(task, credentials, readable);
  task.robustList = 0 as UserAddress;
  task.name = program.name.slice(program.name.lastIndexOf('/') + 1).slice(0, COMM_LENGTH);
  for (const hook of execHooks) hook(task);
}

/** Run for each task that executes a program: POSIX timers go, and the like. */
export const execHooks: ((task: Task) => void)[] = [];

/** A thread that is not the leader takes the leader's id; the leader is gone by now. */
function becomeLeader(task: Task): void {
  const { group } = task;
  if (group.leader === task) return;
  strike('tasks', task);
  unlink(group.leader);
  task.renumber(group.leader.identity);
  group.leader = task;
  enlist('tasks', task);
}

/** Protection of text: the stub gives a patched page just this back. */
export const TEXT = PROT_READ | PROT_EXEC;

/** Whether call sites are patched at all (--no-patch). */
export const patching = { enabled: true };

/** The text of an image is where its call sites may be patched. */
function noteText(mm: AddressSpace, image: ElfImage, base: number): void {
  const { name } = image.file.path.dentry;
  for (const { address, fileOffset, fileSize, protection } of image.segments) {
    if (protection === TEXT) mm.sites?.addText(base + address, fileSize, name, fileOffset);
  }
}

function orderProgram(task: Task, prepared: PreparedExec): void {
  const { slot } = task.memory;
  const { program, placement, stack, stackSize } = prepared;
  const { image, interpreter } = program;
  clearOrders(slot);
  orderImage(slot, image, placement.programBase, FD_PROGRAM);
  noteText(task.mm, image, placement.programBase);
  order(slot, ORDER_SYSCALL, SYS_CLOSE, FD_PROGRAM);
  if (interpreter) {
    orderImage(slot, interpreter, placement.interpreterBase - interpreter.low, FD_INTERPRETER);
    noteText(task.mm, interpreter, placement.interpreterBase - interpreter.low);
    order(slot, ORDER_SYSCALL, SYS_CLOSE, FD_INTERPRETER);
  }
  orderStack(slot, placement.stackTop, stackSize, image.executableStack);
  orderMemoryMap(slot, task.mm);
  task.state = RUNNING;
  if (stack.bytes.length <= INLINE_STACK) {
    buffer.set(stack.bytes, slot * SLOT_SIZE + SLOT_PAYLOAD);
    order(slot, ORDER_COPY, stack.stackPointer, SLOT_PAYLOAD, stack.bytes.length);
    orderJump(slot, prepared);
    writeAnswer(slot, afterExec(task), 0, 0, true);
    task.pendingObject = null;
  } else {
    // Too big for the slot: once the stack is mapped, the sentry writes it itself (execStackMapped).
    writeAnswer(slot, ACT_ASK_AGAIN, 0, 0, true);
    task.pendingObject = prepared;
  }
  sendAnswer(slot);
}

function orderJump(slot: number, { program, placement, stack }: PreparedExec): void {
  const { image, interpreter } = program;
  const entry = interpreter
    ? placement.interpreterBase - interpreter.low + interpreter.entry
    : placement.programBase + image.entry;
  order(slot, ORDER_JUMP, entry, stack.stackPointer);
}

/** Whether this is an exec whose stack is still to be filled. */
export function isPreparedExec(pending: object | null): boolean {
  return pending instanceof PreparedExec;
}

/** The stack of a program with very many arguments is mapped: it is filled from here, then the program starts. */
export function execStackMapped(task: Task): void {
  const prepared = task.pendingObject as PreparedExec;
  task.pendingObject = null;
  const { bytes, stackPointer } = prepared.stack;
  const at = allocateScratch(bytes.length);
  if (at >= 0) buffer.set(bytes, at);
  if (at < 0 || task.memory.write(stackPointer as UserAddress, at, bytes.length) < 0) {
    return killGroup(task.group, SIGSEGV, task);
  }
  const { slot } = task.memory;
  clearOrders(slot);
  orderJump(slot, prepared);
  writeAnswer(slot, afterExec(task), 0, 0, true);
  task.state = RUNNING;
  sendAnswer(slot);
}

/** The host's own brk, put behind the program by PR_SET_MM_MAP (no capability needed with exe_fd = -1). */
function orderMemoryMap(slot: number, mm: AddressSpace): void {
  const at = slot * SLOT_SIZE + MM_MAP_OFFSET;
  const fields = [
    mm.startCode,
    mm.endCode,
    mm.startData,
    mm.endData,
    mm.startBrk,
    mm.startBrk,
    mm.startStack,
    mm.argStart,
    mm.argEnd,
    mm.envStart,
    mm.envEnd,
    0,
  ];
  for (let i = 0; i < fields.length; i++) writeU64(at + 8 * i, fields[i]);
  u32[(at >>> 2) + 24] = 0;
  u32[(at >>> 2) + 25] = 0xffffffff;
  order(
    slot,
    ORDER_SYSCALL,
    SYS_PRCTL,
    PR_SET_MM,
    PR_SET_MM_MAP,
    SLOTS_ADDR + slot * SLOT_SIZE + MM_MAP_OFFSET,
    MM_MAP_SIZE,
  );
}
