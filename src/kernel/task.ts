// Tasks and thread groups: what Linux calls threads and processes, all virtual. A task runs on a host thread of the
// process that is its address space's; the sentry knows it by its slot. All state is plain data, so that a checkpoint
// can walk it: a blocked call is its number and arguments, retried from the start when something wakes it.

import type { HostFd, HostPid, Pid, UserAddress } from '../base/brands.ts';
import type { Credentials } from '../base/credentials.ts';
import type { DeviceRule } from '../base/spec.ts';
import { WaitEntry, type Waiter, WaitQueue } from '../base/wait-queue.ts';
import { host } from '../host/calls.ts';
import type { AddressSpace, MemoryPolicy } from '../mm/address-space.ts';
import { UserMemory } from '../mm/user-memory.ts';
import { readU64, u32, writeU64 } from '../platform/arena.ts';
import { H_ROBUST, H_RSEQ, SLOT_SIZE } from '../platform/layout.ts';
import type { FsContext } from '../vfs/dentry.ts';
import type { FdTable } from '../vfs/fd-table.ts';
import type { Inode } from '../vfs/inode.ts';
import type { OpenFile } from '../vfs/open-file.ts';
import { type Cgroup, type Hierarchy, rootCgroup } from './cgroups.ts';
import type { IntervalTimers } from './interval-timers.ts';
import type { Key } from './keys/key.ts';
import type { ThreadKeys } from './keys/keyrings.ts';
import type { Limits } from './limits.ts';
import { initialNamespaces, leaveNamespaces, type Namespaces, useNamespaces } from './namespaces.ts';
import type { Numbered, PidNamespace } from './pid-namespaces.ts';
import type { PosixTimer } from './posix-timers.ts';
import type { Tracing } from './ptrace/tracing.ts';
import { ReadWindow } from './read-window.ts';
import { makeRunnable } from './run-queue.ts';
import { Scheduling } from './scheduling.ts';
import type { Seccomp } from './seccomp.ts';
import type { ProcessGroup } from './sessions.ts';
import { type DefaultActions, NO_DEFAULTS, PendingSignals, type SignalActions } from './signal-state.ts';
import { Timer } from './timers.ts';
import { findTask } from './unheard.ts';
import { Usage } from './usage.ts';

/** The task runs guest code (or a native call): its next ring is unasked for. */
export const RUNNING = 0;
/** The task's call (or report) is being served, or its answer is prepared. */
export const SERVING = 1;
/** The call waits on `waits`; a wake or a signal retries it. */
export const BLOCKED = 2;
/** The answer is ready but withheld: the group is stopped. */
export const STOPPED = 3;
/** Withheld for another reason that only its owner ends (a vfork parent, an exec under way). */
export const WITHHELD = 4;
export const DEAD = 5;
/** In a stop of its tracer's (ptrace(2)). */
export const TRACED = 6;
/** Let go from such a stop: it stands on the run queue. */
export const RESUMED = 7;

/** No user id: nobody has logged in yet. */
export const ID_UNSET = 0xffffffff;

/** Tasks there have been. */
let lastSerial = 0;

/** What rseq(2) has registered. */
export interface Rseq {
  readonly address: number;
  readonly length: number;
  readonly signature: number;
}

export const NO_RSEQ: Rseq = { address: 0, length: 0, signature: 0 };

export class Task implements Waiter {
  /** No other has or had it. */
  readonly serial = ++lastSerial;
  /** Changes once at most: when a thread that is not the leader executes a program, it takes the leader's. */
  identity: Numbered;
  readonly pidNamespace: PidNamespace;
  /** What the kernel knows it by, and what it knows itself by: its numbers in the first and in its own namespace. */
  tid: Pid;
  localTid: Pid;
  readonly group: ThreadGroup;
  mm: AddressSpace;
  readonly memory = new UserMemory();
  files: FdTable;
  fs: FsContext;
  credentials: Credentials;
  /** All but those of users and mounts. */
  namespaces: Namespaces = useNamespaces(initialNamespaces);
  /** comm: at most 15 bytes. */
  name: string;

  // ---- the host's side ----
  /** Host thread id in the sentry's pid namespace, as it is known from its first ring on; before it is 0. */
  knownTid: HostPid = 0 as HostPid;
  /** The CPU on which its host thread is held for a moment (kernel/placement.ts), -1 if it is not. */
  heldOn = -1;
  /** Index of its stub block in its address space. */
  block = 0;

  // ---- the pending call ----
  state = SERVING;
  nr = -1;
  /** Decoded arguments of the pending call. */
  readonly args = new Float64Array(6);
  /** Whether the handler runs again for the same call after a wake, a timeout or a signal. */
  resumed = false;
  /** Its stub carries out an order of the pending call's handler, which then runs again. */
  asked = false;
  /** Absolute monotonic deadline in ns that the pending call has set; Infinity if none. */
  deadline = Number.POSITIVE_INFINITY;
  /** What a retried call has done so far: bytes moved, a child's tid, … its handler's own meaning. */
  progress = 0;
  /** An object that a retried call holds on to (a file being opened, an exec in preparation). */
  pendingObject: object | null = null;
  /** Instruction after the call, and stack pointer, as reported. */
  rip = 0;
  rsp = 0;
  readonly timeout: Timer;
  /** Entries on wait queues while BLOCKED; the first is kept for reuse, `waitCount` are in use. */
  readonly waits: WaitEntry[] = [new WaitEntry(this)];
  waitCount = 0;
  /** Stands in the run queue. */
  queued = false;
  /** A host descriptor that travels with the next answer, and the number it gets in the guest's process; -1 for none. */
  sentDescriptor = -1;
  sentDescriptorAs = -1;
  /** It is the task's own, to be closed (sent-descriptor.ts). */
  keepsDescriptor = false;

  /** The descriptor has gone, or nobody wants it any more. */
  dropDescriptor(): void {
    if (this.keepsDescriptor) host.close(this.sentDescriptor as HostFd);
    this.keepsDescriptor = false;
    this.sentDescriptor = -1;
  }
  /** The first argument of its call is a descriptor. */
  callHasFd = false;
  /** What that descriptor was when its call began to wait, if it no longer is (held-file.ts). */
  heldFile: OpenFile | null = null;
  /** Where in the file a long transfer began. */
  transferStart = 0;
  /** Where the pending call trapped (the instruction after it), 0 if it came from a patched site. */
  trappedAt = 0;
  /** Answer withheld while the group is stopped. */
  withheldAct = 0;
  withheldReturn = 0;

  // ---- signals ----
  readonly pending = new PendingSignals();
  /** Read it after recallMask() (kernel/own-answers.ts) if the task may be running. */
  maskLow = 0;
  maskHigh = 0;
  /** Mask to come back after sigsuspend, ppoll, …; valid when `hasSavedMask`. */
  savedMaskLow = 0;
  savedMaskHigh = 0;
  hasSavedMask = false;
  /** The stub may have changed the mask since the last answer. */
  maskLent = false;
  /** What its slot says of dispositions (kernel/own-answers.ts). */
  shownDefaults: DefaultActions = NO_DEFAULTS;
  altstackBase = 0;
  altstackSize = 0;
  altstackFlags = 0;
  /** Its host thread was told to report in and has not yet. */
  interrupting = false;
  /** It must end at its next report: exit status decided elsewhere. */
  doomed = false;

  /** Its wait for a futex with priority inheritance (kernel/pi-futex.ts), else null. */
  piWait: object | null = null;
  /** Its keyrings (kernel/keys/keyrings.ts). */
  readonly keys: ThreadKeys = { thread: null, session: null, requestDefault: 0 };
  /** TLS base that a forked child starts with, when it is not its parent's; 0 otherwise. */
  initialTls = 0;
  /** The vfork parent that waits until this task gives its address space back. */
  vforkParent: Task | null = null;
  /** CLOCK_MONOTONIC at its start, ns. */
  startTime = 0;
  readonly scheduling = new Scheduling();
  /** personality(2): execution domain and flags. */
  personality = 0;
  /** Its own filters over its calls (seccomp(2)), null while there are none. */
  seccomp: Seccomp | null = null;
  /** What is remembered of it for whoever traces it; null while nobody does. */
  tracing: Tracing | null = null;
  /** Whom it traces, threads included that have ended and were not waited for; null for nobody. */
  tracees: Set<Task> | null = null;
  /** The file whose host descriptor is installed for this thread, to be used again by its next mapping or read. */
  installedFile: OpenFile | null = null;
  /** Whose data the descriptor stands for: a file of an overlay gets others when it is written to. */
  installedData: Inode | null = null;
  /** It was mapped, too. */
  installedMapped = false;
  installedHostFd = -1;
  /** What its stub has mapped to read from by itself. */
  readonly window = new ReadWindow();
  /** Bytes of a read that the stub makes so, while it may still say that it could not; 0 otherwise. */
  directRead = 0;
  /** Every call must reach the sentry, also those that the stub could answer; showOwnAnswers() makes it so. */
  everyCall = false;
  /** set_mempolicy(2); null is the default. */
  memoryPolicy: MemoryPolicy | null = null;
  /** PR_MCE_KILL, as PR_MCE_KILL_GET answers. */
  machineCheckPolicy = 2;
  /** Who logged in to the session it belongs to, and that session's number: /proc/PID/loginuid, sessionid. */
  loginUid = ID_UNSET;
  auditSession = ID_UNSET;

  constructor(
    identity: Numbered,
    group: ThreadGroup | null,
    mm: AddressSpace,
    files: FdTable,
    fs: FsContext,
    credentials: Credentials,
    name: string,
  ) {
    this.identity = identity;
    this.pidNamespace = identity.pidNamespace;
    this.tid = identity.numbers[0];
    this.localTid = identity.numbers[this.pidNamespace.level];
    this.group = group ?? new ThreadGroup(this);
    this.mm = mm;
    this.memory.space = mm;
    this.files = files;
    this.fs = fs;
    this.credentials = credentials;
    this.name = name;
    this.timeout = new Timer(this);
  }

  /** Its host thread, also if that runs and has not rung yet; 0 if it has not begun. */
  get hostTid(): HostPid {
    if (this.knownTid === 0) findTask(this);
    return this.knownTid;
  }

  /** Head of its list of robust futexes: in its slot, where the stub notes it (H_ROBUST). For tasks that have one. */
  get robustList(): UserAddress {
    const { slot } = this.memory;
    return (slot < 0 ? 0 : readU64(slot * SLOT_SIZE + 4 * H_ROBUST)) as UserAddress;
  }

  set robustList(head: UserAddress) {
    const { slot } = this.memory;
    if (slot >= 0) writeU64(slot * SLOT_SIZE + 4 * H_ROBUST, head);
  }

  /** rseq(2): what is registered on the host for the thread, noted in its slot; address 0 for nothing. */
  get rseq(): Rseq {
    const at = this.memory.slot * SLOT_SIZE + 4 * H_RSEQ;
    return { address: readU64(at), length: u32[(at + 8) >>> 2], signature: u32[(at + 12) >>> 2] };
  }

  set rseq({ address, length, signature }: Rseq) {
    const at = this.memory.slot * SLOT_SIZE + 4 * H_RSEQ;
    writeU64(at, address);
    u32[(at + 8) >>> 2] = length;
    u32[(at + 12) >>> 2] = signature;
  }

  /** Takes the numbers of a thread that is gone. */
  renumber(identity: Numbered): void {
    this.identity = identity;
    this.tid = identity.numbers[0];
    this.localTid = identity.numbers[this.pidNamespace.level];
  }

  get numbers(): readonly Pid[] {
    return this.identity.numbers;
  }

  /** What a new task has from the one that made it whatever clone(2)'s flags say. */
  inherit(from: Task): void {
    leaveNamespaces(this.namespaces);
    this.namespaces = useNamespaces(from.namespaces);
    this.name = from.name;
    this.scheduling.inherit(from.scheduling);
    this.personality = from.personality;
    this.seccomp = from.seccomp;
    if (this.seccomp !== null && this.seccomp !== 'strict') this.seccomp.hold();
    this.memoryPolicy = from.memoryPolicy;
    this.loginUid = from.loginUid;
    this.auditSession = from.auditSession;
    this.machineCheckPolicy = from.machineCheckPolicy;
  }

  /** A wait queue it stands on was woken: the call is retried. */
  wake(): void {
    makeRunnable(this);
  }

  /** The pending call's deadline has come: the call is retried and sees it. */
  expire(): void {
    makeRunnable(this);
  }
}

export class ThreadGroup {
  /** The thread whose tid is the pid. */
  leader: Task;
  readonly threads = new Set<Task>();
  parent: ThreadGroup | null = null;
  /** A signal has killed it, and its core file is being written. */
  dumping = false;
  /** tid of the parent's thread that made it, or has taken it over from one that is gone. */
  madeBy = 0 as Pid;
  readonly children = new Set<ThreadGroup>();
  processGroup!: ProcessGroup;
  actions!: SignalActions;
  limits!: Limits;
  readonly pending = new PendingSignals();
  /** Woken when a child changes state: wait4(2) and friends. */
  readonly childQueue = new WaitQueue();
  /** Signal to the parent at the end; 0 for none. */
  exitSignal = 17;
  /** Wait status once the last thread is gone; -1 while it lives. */
  status = -1;
  /** exit_group's or a fatal signal's status while threads are still being taken down; -1 if not exiting. */
  exitStatus = -1;
  /** Waited for: pid is free. */
  reaped = false;
  stopped = false;
  /** Signal that stopped it, to be reported once by wait(WUNTRACED); 0 when reported. */
  stopSignal = 0;
  stopReported = true;
  continueReported = true;
  /** Whether it has executed a program since its fork (setpgid by the parent fails then). */
  hasExecuted = false;
  /** Path shown by /proc/PID/exe lives on the address space; argv and environ too. */
  subreaper = false;
  dumpable = true;
  /** /proc/PID/coredump_filter: kinds of memory that a core file has, as bits. */
  coreFilter = 0x33;
  /** /proc/PID/oom_score_adj: -1000 to 1000. */
  oomScoreAdjust = 0;
  /** Devices that it may open (linux.resources.devices); null: all. */
  deviceRules: readonly DeviceRule[] | null = null;
  parentDeathSignal = 0;
  cgroup: Cgroup = rootCgroup;
  /** Where it is in hierarchies of version 1, unless at their root. */
  otherCgroups: Map<Hierarchy, Cgroup> | null = null;
  /** The process's keyring, as `thread` of the same. */
  readonly keys: { thread: Key | null } = { thread: null };
  /** What it has used in host processes that it left, by exec or by its end. */
  readonly pastUsage = new Usage();
  /** It has ended: `pastUsage` is all there will be. */
  usageClosed = false;
  /** What reaped children have used (RUSAGE_CHILDREN). */
  readonly childUsage = new Usage();
  /** Interval timers (setitimer(2)) and the watch over RLIMIT_CPU; made when first set. */
  intervalTimers: IntervalTimers | null = null;
  /** POSIX timers (timer_create(2)) by id. */
  readonly posixTimers = new Map<number, PosixTimer>();
  nextTimerId = 0;
  /** pidfds and similar: woken at the end. */
  readonly exitQueue = new WaitQueue();
  /** Woken whenever a signal is sent to the group or one of its threads: signalfd(2). */
  readonly signalQueue = new WaitQueue();

  constructor(leader: Task) {
    this.leader = leader;
  }

  /** What a new process has from its parent beyond what is copied by name in kernel/clone.ts. */
  inherit(from: ThreadGroup): void {
    this.dumpable = from.dumpable;
    this.coreFilter = from.coreFilter;
    this.oomScoreAdjust = from.oomScoreAdjust;
    this.deviceRules = from.deviceRules;
    this.cgroup = from.cgroup;
    this.otherCgroups = from.otherCgroups && new Map(from.otherCgroups);
  }

  /** What the kernel knows it by. */
  get pid(): Pid {
    return this.leader.tid;
  }

  /** What it knows itself by. */
  get localPid(): Pid {
    return this.leader.localTid;
  }

  get identity(): Numbered {
    return this.leader.identity;
  }

  get numbers(): readonly Pid[] {
    return this.leader.identity.numbers;
  }

  get pidNamespace(): PidNamespace {
    return this.leader.pidNamespace;
  }
}
