// What a process of config.json says of its scheduling: scheduler, ioPriority, execCPUAffinity, and linux.personality.

import { ADDR_NO_RANDOMIZE, PER_LINUX32 } from '../abi/misc.ts';
import { SCHED_BATCH, SCHED_DEADLINE, SCHED_FIFO, SCHED_IDLE, SCHED_OTHER, SCHED_RR } from '../abi/sched.ts';
import type { SchedulingSpec } from '../base/spec.ts';
import type { OciLinux, OciProcess } from './config.ts';
import { LaunchError } from './launch-error.ts';

type Scheduler = NonNullable<OciProcess['scheduler']>;

const POLICIES: Readonly<Partial<Record<Scheduler['policy'], number>>> = {
  SCHED_OTHER,
  SCHED_FIFO,
  SCHED_RR,
  SCHED_BATCH,
  SCHED_IDLE,
  SCHED_DEADLINE,
};
/** SCHED_FLAG_RECLAIM and SCHED_FLAG_DL_OVERRUN of sched_setattr(2). */
const DEADLINE_FLAGS: Readonly<Record<string, number>> = { SCHED_FLAG_RECLAIM: 2, SCHED_FLAG_DL_OVERRUN: 4 };
const IO_CLASSES = { IOPRIO_CLASS_RT: 1, IOPRIO_CLASS_BE: 2, IOPRIO_CLASS_IDLE: 3 } as const;
const IO_CLASS_SHIFT = 13;
const PERSONALITY_FLAGS: Readonly<Record<string, number>> = { ADDR_NO_RANDOMIZE };
const MAX_CPU = 8191;

function refuse(field: string, reason: string): never {
  throw new LaunchError(`config.json: ${field}: ${reason}`);
}

/** process.scheduler. Throws a LaunchError for what sched_setattr(2) would refuse. */
export function convertScheduler(scheduler: OciProcess['scheduler']): SchedulingSpec | null {
  if (scheduler === undefined) return null;
  const { nice = 0, priority = 0, runtime = 0, deadline = 0, period = 0 } = scheduler;
  const policy = POLICIES[scheduler.policy];
  if (policy === undefined) refuse('process.scheduler.policy', `Linux has no ${scheduler.policy}`);
  const realTime = policy === SCHED_FIFO || policy === SCHED_RR;
  const range: [number, number] = realTime ? [1, 99] : [0, 0];
  if (priority < range[0] || priority > range[1]) {
    refuse('process.scheduler.priority', `${scheduler.policy} takes ${range.join(' to ')}`);
  }
  if (nice < -20 || nice > 19) refuse('process.scheduler.nice', 'must be from -20 to 19');
  if (policy === SCHED_DEADLINE && !(runtime >= 1024 && runtime <= deadline && deadline <= (period || deadline))) {
    refuse('process.scheduler.runtime', 'must be no more than the deadline, and that no more than the period');
  }
  return { policy, nice, priority, runtime, deadline, period, ...convertFlags(scheduler) };
}

function convertFlags({ flags = [] }: Scheduler): Pick<SchedulingSpec, 'flags' | 'resetOnFork'> {
  let bits = 0;
  let resetOnFork = false;
  for (const [index, flag] of flags.entries()) {
    const field = `process.scheduler.flags[${index}]`;
    if (flag === 'SCHED_FLAG_RESET_ON_FORK') resetOnFork = true;
    else bits |= DEADLINE_FLAGS[flag] ?? refuse(field, `${flag} is not supported`);
  }
  return { flags: bits, resetOnFork };
}

/** process.ioPriority as ioprio_set(2) has it. */
export function convertIoPriority(wanted: OciProcess['ioPriority']): number {
  if (wanted === undefined) return 0;
  const { priority = 0 } = wanted;
  if (priority < 0 || priority > 7) refuse('process.ioPriority.priority', 'must be from 0 to 7');
  return (IO_CLASSES[wanted.class] << IO_CLASS_SHIFT) | priority;
}

/** The CPUs that an executed program is to end on; null: all. */
export function convertAffinity(wanted: OciProcess['execCPUAffinity']): number[] | null {
  if (!wanted?.final) return null;
  const field = 'process.execCPUAffinity.final';
  const cpus = wanted.final.split(',').flatMap((text) => {
    const [, first, last = first] = /^ *(\d+)(?:-(\d+))? *$/.exec(text) ?? [];
    const [from, to] = [Number(first), Number(last)];
    if (!(from <= to && to <= MAX_CPU)) refuse(field, `${JSON.stringify(text)} is no range of CPUs`);
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
  return cpus;
}

/** linux.personality as personality(2) has it. */
export function convertPersonality(wanted: OciLinux['personality']): number {
  if (wanted === undefined) return 0;
  let bits = wanted.domain.endsWith('32') ? PER_LINUX32 : 0;
  for (const [index, flag] of (wanted.flags ?? []).entries()) {
    bits |= PERSONALITY_FLAGS[flag] ?? refuse(`linux.personality.flags[${index}]`, `${flag} is not supported`);
  }
  return bits;
}
