// The end of a container: its processes, its cgroups, its directory. Works from whatever is left after a crash.

import { removeCgroups, setFrozen } from './cgroups.ts';
import { LaunchError } from './launch-error.ts';
import { type ContainerState, isAlive, listIds, loadState, removeStateDirectory, statusOf } from './state.ts';

const END_TRIES = 1000;
const END_PAUSE = 10;

/** Kills what is left of a container and removes its traces. */
export function destroy(root: string, state: ContainerState): void {
  if (isAlive(state)) killAndWait(state);
  removeCgroups(state.cgroups);
  removeStateDirectory(root, state.id);
}

/** The launcher's death is the death of the sandbox: the kernel sees to that (native/boot). */
function killAndWait(state: ContainerState): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let tries = 0; isAlive(state); tries++) {
    if (tries === END_TRIES) throw new LaunchError(`process ${state.pid} of the container does not end`);
    try {
      process.kill(state.pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
    setFrozen(state.cgroups, false); // frozen processes do not die
    Atomics.wait(pause, 0, 0, END_PAUSE);
  }
}

/** The verb. Returns the state of what was removed, or null when there was nothing. */
export function deleteContainer(root: string, id: string, force: boolean): ContainerState | null {
  const state = loadState(root, id);
  if (state === null) {
    // The directory of one whose maker died before it had written anything.
    if (listIds(root).includes(id) && force) removeStateDirectory(root, id);
    if (!force) throw new LaunchError(`container ${JSON.stringify(id)} does not exist`);
    return null;
  }
  const status = statusOf(root, state);
  // One that was not started is nobody's yet: like one that has ended it may go.
  if (status !== 'stopped' && status !== 'created' && !force) {
    throw new LaunchError(`cannot delete container ${id} that is not stopped: ${status}`);
  }
  destroy(root, state);
  return state;
}
