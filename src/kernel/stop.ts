// Group stops and continues (job control): a stopped group's threads report in and are not answered until SIGCONT.

import {
  CLD_CONTINUED,
  CLD_STOPPED,
  SA_NOCLDSTOP,
  SIG_IGN,
  SIGCHLD,
  SIGCONT,
  SIGSTOP,
  SIGTSTP,
  SIGTTIN,
  SIGTTOU,
} from '../abi/signal.ts';
import { shownId } from '../base/user-namespace.ts';
import { resumeStopped } from './answer.ts';
import { kernel } from './kernel.ts';
import { numberIn } from './pid-namespaces.ts';
import { tracerOf, trapForStop } from './ptrace/tracing.ts';
import { isOrphaned } from './sessions.ts';
import { signalInfo } from './signal-state.ts';
import { interruptTask, sendSignalToGroup } from './signals.ts';
import { RUNNING, STOPPED, type ThreadGroup } from './task.ts';

export function isStopSignal(signo: number): boolean {
  return signo === SIGSTOP || signo === SIGTSTP || signo === SIGTTIN || signo === SIGTTOU;
}

/** Called when the group of the sandbox's first process stops: the client outside may want to stop, too. */
let onInitStopped: (() => void) | null = null;
export function setInitStoppedHook(hook: () => void): void {
  onInitStopped = hook;
}

/** Default action of a stop signal. False if it does not apply: orphaned groups ignore all but SIGSTOP. */
export function stopGroup(group: ThreadGroup, signo: number): boolean {
  if (group.stopped) return true;
  if (signo !== SIGSTOP && isOrphaned(group.processGroup)) return false;
  group.stopped = true;
  group.stopSignal = signo;
  group.stopReported = false;
  group.continueReported = true;
  for (const task of group.threads) {
    if (task.tracing !== null) trapForStop(task, task.tracing);
    else if (task.state === RUNNING) interruptTask(task);
  }
  tellParent(group, CLD_STOPPED, signo);
  if (group === kernel.init) onInitStopped?.();
  return true;
}

/** SIGCONT's immediate effect, whatever its disposition. */
export function continueGroup(group: ThreadGroup): void {
  if (!group.stopped) return;
  group.stopped = false;
  group.stopReported = true;
  group.continueReported = false;
  tellParent(group, CLD_CONTINUED, SIGCONT);
  // Now what was sent meanwhile is taken: it may be the end.
  for (const task of group.threads) if (task.state === STOPPED && !group.dumping) resumeStopped(task);
}

function tellParent(group: ThreadGroup, code: number, status: number): void {
  const parent = group.parent;
  // A parent that traces it sees its stops as a tracer does.
  if (!parent || (code === CLD_STOPPED && tracerOf(group.leader)?.group === parent)) return;
  const action = parent.actions.get(SIGCHLD);
  if (action.handler !== SIG_IGN && !(action.flags & SA_NOCLDSTOP)) {
    const uid = shownId(parent.leader.credentials.user.uidMap, group.leader.credentials.uid);
    sendSignalToGroup(parent, signalInfo(SIGCHLD, code, { pid: numberIn(parent.pidNamespace, group), uid, status }));
  }
  parent.childQueue.wake(1);
}
