// The console and the control channel to the launcher's outer process: it forwards the signals it catches, and stops
// itself when the sandbox's foreground job was stopped, so that the caller's shell sees what it would see natively.

import { POLLIN } from '../abi/poll.ts';
import { SI_KERNEL, SIGCONT, SIGWINCH } from '../abi/signal.ts';
import type { HostFd } from '../base/brands.ts';
import type { ProcessSpec } from '../base/spec.ts';
import type { DevptsSuperblock } from '../fs/devpts/devpts.ts';
import {
  createConsole,
  type HostConsole,
  resizeConsole,
  restoreConsole,
  resumeConsole,
  setConsoleWantedHook,
  suspendConsole,
} from '../fs/hostio/console.ts';
import { host } from '../host/calls.ts';
import { kernel } from '../kernel/kernel.ts';
import { signalInfo } from '../kernel/signal-state.ts';
import { sendSignalToGroup, sendSignalToProcessGroup } from '../kernel/signals.ts';
import { setInitStoppedHook } from '../kernel/stop.ts';
import type { Task } from '../kernel/task.ts';
import { allocateScratch, markScratch, releaseScratch, u8 } from '../platform/arena.ts';
import { unwatchHostFd, watchHostFd } from '../platform/host-events.ts';
import { endedBeforeStart } from './control.ts';
import { endHooks } from './end.ts';

const MAX_SIGNALS = 64;
/** Of the control channel (native/abi.h): with SIGCONT, continued in the background; requests. */
const CONTROL_BACKGROUND = 0x80;
const CONTROL_STOP = 'S';
const CONTROL_TERMINAL = 'T';
const CONTROL_READY = 'R';

/**
 * Makes the console between the program and whatever is on the host's descriptors 0 and 1 (a terminal, or not), and
 * gives it to the task's session.
 */
export function attachConsole(
  task: Task,
  [input, output]: readonly HostFd[],
  devpts: DevptsSuperblock,
  { consoleSize, uid }: ProcessSpec,
  background: boolean,
): HostConsole | null {
  const made = createConsole(devpts, input, output, background);
  if (typeof made === 'number') return null;
  giveToSession(made, task, consoleSize, uid);
  endHooks.push(restoreConsole);
  return made;
}

/** The terminal controls the session that the task leads, and belongs to its user. */
export function giveToSession(
  { tty, instance }: HostConsole,
  task: Task,
  size: ProcessSpec['consoleSize'],
  uid: number,
): void {
  const { processGroup } = task.group;
  const slave = instance.slaves.get(tty.index);
  if (slave) slave.uid = uid;
  if (size) tty.resize(size.height, size.width, 0, 0);
  tty.session = processGroup.session;
  tty.foreground = processGroup;
  processGroup.session.terminal = tty;
}

/**
 * Listens to the launcher: each byte is a signal it caught. The launcher of a container (`alone`) has nobody who would
 * want to see it stop.
 */
export function watchControl(control: HostFd, alone: boolean): void {
  watchHostFd(control, POLLIN, { ready: () => readControl(control) });
  if (alone) return;
  setInitStoppedHook(() => {
    suspendConsole();
    request(control, CONTROL_STOP);
  });
  setConsoleWantedHook(() => request(control, CONTROL_TERMINAL));
}

/** The launcher is told that the container is there. */
export function tellReady(control: HostFd): void {
  request(control, CONTROL_READY);
}

function readControl(control: HostFd): void {
  const mark = markScratch();
  const at = allocateScratch(MAX_SIGNALS);
  const n = host.read(control, at, MAX_SIGNALS);
  for (let i = 0; i < n; i++) forward(u8[at + i]);
  if (n === 0) unwatchHostFd(control);
  releaseScratch(mark);
}

function forward(byte: number): void {
  const { init } = kernel;
  const signo = byte & ~CONTROL_BACKGROUND;
  if (!init || signo < 1 || signo > 31 || (signo === SIGWINCH && resizeConsole()) || endedBeforeStart(signo)) return;
  if (signo === SIGCONT) {
    resumeConsole((byte & CONTROL_BACKGROUND) !== 0);
    return sendSignalToProcessGroup(init.processGroup, signalInfo(SIGCONT, SI_KERNEL));
  }
  sendSignalToGroup(init, signalInfo(signo, SI_KERNEL));
}

/** Asks the launcher's outer process for something. */
function request(control: HostFd, what: string): void {
  const mark = markScratch();
  const at = allocateScratch(1);
  u8[at] = what.charCodeAt(0);
  host.write(control, at, 1);
  releaseScratch(mark);
}
