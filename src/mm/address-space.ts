// Address spaces: one host process each. The host's own memory map is the truth about what is mapped where; kept here
// is what the host cannot know: which guest file lies behind a host file's pages, the program's layout for /proc, and
// which stub blocks and slots are in use.

import type { HostPid } from '../base/brands.ts';
import type { AioContext } from '../fs/aio/context.ts';
import type { Task } from '../kernel/task.ts';
import type { Path } from '../vfs/dentry.ts';
import type { RunningText } from '../vfs/write-access.ts';
import type { CallSites } from './call-sites.ts';

/** Where memory is to come from (set_mempolicy(2)): mode with its flags, and whether node 0, the only one, is named. */
export interface MemoryPolicy {
  readonly mode: number;
  readonly hasNode: boolean;
}

export interface RangePolicy extends MemoryPolicy {
  readonly start: number;
  readonly end: number;
}

/** Looks for the host process of an address space that has not rung yet (kernel/unheard.ts). */
let findHostPid: (mm: AddressSpace) => unknown = () => {};

export function setHostPidFinder(find: (mm: AddressSpace) => unknown): void {
  findHostPid = find;
}

export class AddressSpace {
  /** Host process in the sentry's pid namespace, as it is known from its first ring on; before it is 0. */
  knownPid: HostPid = 0 as HostPid;
  /** Tasks that run in it. More than one: threads, or a vfork child and its parent. */
  readonly tasks = new Set<Task>();
  /** Stub blocks in use: one per host thread. */
  readonly blocks = new Set<number>([0]);
  /** Slots mapped in this process (a slot that was mapped once needs no fd again). */
  readonly slots = new Set<number>();
  /** Slots and blocks of ended threads (same order): used again once their host thread has made its last store. */
  readonly spareSlots: number[] = [];
  readonly spareBlocks: number[] = [];
  /** Guest paths of mapped files by their host backing as `mappingKey` (mapped-files.ts) writes it, for /proc/PID/maps. */
  readonly mappedFiles = new Map<string, Path>();
  /** So many of them, and those no longer mapped are forgotten. */
  mappedFilesLimit = 64;

  /** mlockall(2) was called: what is locked may be the stub's. */
  lockedAll = false;
  /** mbind(2): policies of ranges, in no order, none overlapping another. */
  policies: readonly RangePolicy[] = [];

  /** Asynchronous I/O (io_setup(2)) by number. A fork does not have its parent's. */
  readonly aioContexts = new Map<number, AioContext>();

  /** Its system call instructions, or null when none is to be patched. */
  sites: CallSites | null = null;

  // ---- the program, as exec laid it out ----
  executable: Path | null = null;
  /** Keeps others from writing to it while tasks are in here. */
  text: RunningText | null = null;
  argStart = 0;
  argEnd = 0;
  envStart = 0;
  envEnd = 0;
  startStack = 0;
  startBrk = 0;
  startCode = 0;
  endCode = 0;
  startData = 0;
  endData = 0;
  auxv: Uint8Array = new Uint8Array(0);
  /** Where the host's vDSO lies. */
  vdso = 0;
  /** Its clocks are told by the sentry (mm/vdso.ts). */
  divertedClocks = false;

  /** Its host process, also if it runs and has not rung yet; 0 if it has not begun. */
  get hostPid(): HostPid {
    if (this.knownPid === 0) findHostPid(this);
    return this.knownPid;
  }

  /** The state of an address space copied by fork. */
  copy(): AddressSpace {
    const copy = new AddressSpace();
    for (const [key, path] of this.mappedFiles) copy.mappedFiles.set(key, path);
    copy.policies = this.policies;
    copy.sites = this.sites?.copy() ?? null;
    copy.executable = this.executable;
    copy.text = this.text?.share() ?? null;
    copy.argStart = this.argStart;
    copy.argEnd = this.argEnd;
    copy.envStart = this.envStart;
    copy.envEnd = this.envEnd;
    copy.startStack = this.startStack;
    copy.startBrk = this.startBrk;
    copy.startCode = this.startCode;
    copy.endCode = this.endCode;
    copy.startData = this.startData;
    copy.endData = this.endData;
    copy.auxv = this.auxv;
    copy.vdso = this.vdso;
    copy.divertedClocks = this.divertedClocks;
    return copy;
  }
}
