// New limits for a container that runs: on the host, and in what the sandbox shows of them.

import { applyResources, type Resources } from './cgroup-resources.ts';
import { ask } from './control.ts';
import { convertResources } from './convert.ts';
import { type ContainerState, stateDirectory, statusOf } from './state.ts';

/**
 * Throws a LaunchError that names what cannot be set. A paused container cannot be told:
 * it goes on showing the old ones.
 */
export async function updateContainer(root: string, state: ContainerState, resources: Resources): Promise<void> {
  applyResources(state.cgroups, resources);
  if (statusOf(root, state) === 'paused' || state.sandbox !== undefined) return;
  await ask(stateDirectory(root, state.id), { verb: 'limit', limits: convertResources(resources) });
}
