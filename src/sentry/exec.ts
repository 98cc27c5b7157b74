// Programs that are started from outside in a running sandbox: each is a process without a parent, in a session of its
// own, with the descriptors and the terminal that came with the request.

import { SIGKILL } from '../abi/signal.ts';
import type { Fd, HostFd } from '../base/brands.ts';
import type { ProcessSpec } from '../base/spec.ts';
import { createTerminal, type HostConsole, openConsole } from '../fs/hostio/console.ts';
import { host } from '../host/calls.ts';
import { complete } from '../kernel/answer.ts';
import { abandonTask, killGroup } from '../kernel/exit.ts';
import { groupExitHooks } from '../kernel/exit-hooks.ts';
import type { NamespaceSet } from '../kernel/namespaces.ts';
import type { Task, ThreadGroup } from '../kernel/task.ts';
import { giveToSession } from './console.ts';
import { exitStatus } from './end.ts';
import { execute, installStream, makeProcess, settle } from './first-process.ts';
import type { Mounts } from './mounts.ts';
import { StartError } from './start-error.ts';

/** Such a program, and what is to be told to whoever asked for it. */
export class ExecutedProgram {
  readonly group: ThreadGroup;
  readonly terminal: HostConsole | null;
  private readonly onEnd: (status: number) => void;

  constructor(group: ThreadGroup, terminal: HostConsole | null, onEnd: (status: number) => void) {
    this.group = group;
    this.terminal = terminal;
    this.onEnd = onEnd;
    programs.set(group, this);
  }

  /** Its process has ended; what it wrote to its terminal goes out before that is told. */
  ended(): void {
    const status = exitStatus(this.group.status);
    if (this.terminal) this.terminal.finish(() => this.onEnd(status));
    else this.onEnd(status);
  }

  /** Nobody stands for it any more. */
  kill(): void {
    if (this.group.status < 0) killGroup(this.group, SIGKILL, null);
  }
}

const programs = new Map<ThreadGroup, ExecutedProgram>();

groupExitHooks.push((group) => {
  programs.get(group)?.ended();
  programs.delete(group);
});

/** An exec that waited for a blank process failed. What was started from outside has no program to return to. */
export function execFailed(task: Task, errno: number): void {
  if (task.memory.slot >= 0) complete(task, errno);
  else killGroup(task.group, SIGKILL, null);
}

/**
 * Starts a program. `descriptors`: those that came along, the standard streams first, then one for each number in
 * `passed`. Throws StartError; the descriptors are the caller's to close then.
 */
export function startProgram(
  process: ProcessSpec,
  descriptors: readonly HostFd[],
  passed: readonly number[],
  mounts: Mounts,
  onEnd: (status: number) => void,
  namespaces?: NamespaceSet,
): ExecutedProgram {
  const task = makeProcess(process, mounts.root, namespaces);
  try {
    settle(task, process);
    const terminal = process.terminal ? makeTerminal(task, process, descriptors, mounts) : null;
    for (const [index, fd] of [0, 1, 2, ...passed].entries()) {
      const descriptor = descriptors[index];
      if (terminal && index < 3) openTerminal(task, fd, terminal);
      else installStream(task, fd, descriptor);
    }
    execute(task, process);
    return new ExecutedProgram(task.group, terminal, (status) => {
      if (terminal) for (const fd of descriptors.slice(0, 3)) host.close(fd);
      onEnd(status);
    });
  } catch (error) {
    abandonTask(task);
    throw error;
  }
}

export function makeTerminal(
  task: Task,
  process: ProcessSpec,
  descriptors: readonly HostFd[],
  mounts: Mounts,
): HostConsole {
  if (!mounts.devpts) throw new StartError('a terminal needs a devpts mount in the container', 1);
  const [input, output] = descriptors;
  const made = createTerminal(mounts.devpts, input, output);
  if (typeof made === 'number') throw new StartError('there are no more pseudo-terminals in the container', 1);
  giveToSession(made, task, process.consoleSize, process.uid);
  return made;
}

export function openTerminal(task: Task, fd: number, terminal: HostConsole): void {
  const file = openConsole(task, terminal);
  if (typeof file !== 'number') task.files.replace(fd as Fd, file, false);
}
