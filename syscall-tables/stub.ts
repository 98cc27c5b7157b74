// What the stub itself may ask of the host, each call with its argument rule and its reason. A guest can jump into the
// stub's code, so this set too is what a hostile program can do; it is a filter for correctness, vetted for security.

import {
  MADV_COLD,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
} from '../src/abi/mman.ts';
import { ARCH_SET_FS, PR_SET_MM, PR_SET_MM_MAP, PR_SET_SYSCALL_USER_DISPATCH } from '../src/abi/prctl.ts';
import {
  CLONE_CHILD_CLEARTID,
  CLONE_FILES,
  CLONE_FS,
  CLONE_SETTLS,
  CLONE_SIGHAND,
  CLONE_SYSVSEM,
  CLONE_THREAD,
  CLONE_VM,
} from '../src/abi/sched.ts';
import { SIGCHLD } from '../src/abi/signal.ts';
import { FUTEX_RULE, MEMBARRIER_RULE } from './amd64/process.ts';
import type { Rule } from './types.ts';

/** High half of every address of the stub; native/abi.h has the same. */
export const STUB_HIGH = 0x7e00;

/** The notified system call; native/abi.h has the same. */
export const DOORBELL = 1000;

/** What a tracer has a stopped guest thread do, to give it a descriptor (the ptrace transport only). */
export const INJECTED: readonly string[] = ['recvmsg', 'dup3', 'close'];

export interface StubCall {
  readonly name: string;
  readonly rule: Rule;
  readonly reason: string;
  /** There only where programs cannot set the base of fs themselves: processors of before 2012. */
  readonly withoutFsgsbase?: true;
}

const ALWAYS: Rule = { conditions: [], text: 'always' };

const THREAD = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

// Everything that concerns the caller's own pages, and no page of a file or of another process: not REMOVE, which
// punches holes in files, not MERGEABLE, which tells by timing what others have, not HWPOISON, which is for tests.
const ADVICE = [
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_WILLNEED,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_DONTFORK,
  MADV_DOFORK,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_DONTDUMP,
  MADV_DODUMP,
  MADV_WIPEONFORK,
  MADV_KEEPONFORK,
  MADV_COLD,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
];

export const STUB_CALLS: readonly StubCall[] = [
  { name: 'futex', rule: FUTEX_RULE, reason: 'whoever waits for a thread that ended is woken; the newer futex calls' },
  {
    name: 'mmap',
    rule: ALWAYS,
    reason: 'slots, file mappings on descriptors that the sentry installed, a new program',
  },
  { name: 'munmap', rule: ALWAYS, reason: 'to leave an old program, and large ranges that the sentry checked' },
  { name: 'mprotect', rule: ALWAYS, reason: 'segments of a new program, and large ranges that the sentry checked' },
  { name: 'mremap', rule: ALWAYS, reason: 'large ranges that the sentry checked' },
  {
    name: 'madvise',
    rule: { conditions: [{ argument: 'advice', oneOf: ADVICE }], text: 'not REMOVE, (UN)MERGEABLE, HWPOISON' },
    reason: 'slots are not inherited by a fork; advice that the sentry checked',
  },
  { name: 'msync', rule: ALWAYS, reason: 'shared file mappings written back; the sentry checked the range' },
  { name: 'mincore', rule: ALWAYS, reason: 'what of its own mappings is resident' },
  { name: 'munlock', rule: ALWAYS, reason: 'the reverse' },
  { name: 'mlock2', rule: ALWAYS, reason: 'within the memlock limit of the host' },
  { name: 'mlockall', rule: ALWAYS, reason: 'the same for all there is and will be, the stub included' },
  { name: 'munlockall', rule: ALWAYS, reason: 'the reverse' },
  { name: 'mseal', rule: ALWAYS, reason: 'large ranges that the sentry checked' },
  { name: 'futex_waitv', rule: ALWAYS, reason: 'waits for several words of the program, on order of the sentry' },
  { name: 'rseq', rule: ALWAYS, reason: 'restartable sequences in the memory of the program' },
  { name: 'brk', rule: ALWAYS, reason: 'made for a program that is traced' },
  { name: 'close', rule: ALWAYS, reason: 'descriptors that the sentry installed, after they are mapped' },
  { name: 'rt_sigreturn', rule: ALWAYS, reason: 'to leave a host signal handler' },
  { name: 'exit', rule: ALWAYS, reason: 'the end of a thread' },
  { name: 'exit_group', rule: ALWAYS, reason: 'the end of a process' },
  {
    name: 'clone',
    rule: {
      conditions: [{ argument: 'flags', mask: ~(CLONE_CHILD_CLEARTID | CLONE_SETTLS), oneOf: [SIGCHLD, THREAD] }],
      text: 'fork (SIGCHLD) and thread (VM FS FILES SIGHAND THREAD SYSVSEM), each with CHILD_CLEARTID and SETTLS or not',
    },
    reason: 'fork, vfork, threads',
  },
  {
    name: 'membarrier',
    rule: MEMBARRIER_RULE,
    reason: 'text is patched while other threads run through it; made for a program that is traced',
  },
  { name: 'sched_yield', rule: ALWAYS, reason: 'made for a program that is traced' },
  { name: 'set_tid_address', rule: ALWAYS, reason: 'a new program keeps its host thread' },
  {
    name: 'arch_prctl',
    rule: { conditions: [{ argument: 'option', oneOf: [ARCH_SET_FS] }], text: 'ARCH_SET_FS' },
    reason: 'the thread pointer, where the processor has no FSGSBASE',
    withoutFsgsbase: true,
  },
  {
    name: 'prctl',
    rule: {
      conditions: [
        { argument: 'option', oneOf: [PR_SET_MM, PR_SET_SYSCALL_USER_DISPATCH] },
        // 0 and 1 switch the dispatch; PR_SET_MM with them asks for a capability that no guest has.
        { argument: 'arg2', oneOf: [PR_SET_MM_MAP, 0, 1] },
      ],
      text: 'PR_SET_MM: PR_SET_MM_MAP; PR_SET_SYSCALL_USER_DISPATCH: on, off',
    },
    reason: 'where the heap of a new program begins; calls that a tracer is to see trap, whatever the filter says',
  },
];
