// Starting a created container's program.

import { rmSync } from 'node:fs';
import { ask } from './control.ts';
import { LaunchError } from './launch-error.ts';
import { containerName, controlDirectory } from './pod.ts';
import { createdMark, requireState, statusOf } from './state.ts';

/** Throws a LaunchError when it has been started already, or its program cannot be executed. */
export async function startContainer(
  dist: string,
  root: string,
  id: string,
  warn: (message: string) => void,
): Promise<void> {
  const state = requireState(root, id);
  const status = statusOf(root, state);
  if (status === 'stopped') throw new LaunchError('cannot start a container that has stopped');
  if (status !== 'created') throw new LaunchError(`cannot start an already ${status} container`);
  const inner = state.hooks.startContainer ?? [];
  if (inner.length > 0) {
    const { runInnerHooks } = await import('./hooks.ts');
    runInnerHooks(dist, root, state);
  }
  await ask(controlDirectory(root, state), { verb: 'start', container: containerName(state) });
  rmSync(createdMark(root, id), { force: true });
  if (state.notifies) {
    const { passReadiness } = await import('./notify.ts');
    await passReadiness(dist, root, state);
  }
  if (state.hooks.poststart === undefined) return;
  const { runLateHooks } = await import('./hooks.ts');
  runLateHooks(root, state, 'poststart', warn);
}
