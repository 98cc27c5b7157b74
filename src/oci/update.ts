// New limits for a container that runs: on the host, and in what the sandbox shows of them.

import { applyResources, type Resources, withMinimum, withShares } from './cgroup-resources.ts';
import { ask } from './control.ts';
import { convertResources } from './convert.ts';
import { isPodSandbox } from './join.ts';
import { containerName, controlDirectory } from './pod.ts';
import { type ContainerState, requireState, statusOf } from './state.ts';
import { systemdSocket, updateScope } from './systemd.ts';

/**
 * Throws a LaunchError that names what cannot be set. A paused container cannot be told:
 * it goes on showing the old ones.
 */
export async function updateContainer(root: string, state: ContainerState, resources: Resources): Promise<void> {
  const ofPod = isPodSandbox(state.annotations) ? withShares(resources) : resources;
  const onHost = state.sandbox === undefined ? withMinimum(ofPod) : resources;
  if (state.unit !== undefined) await updateScope(systemdSocket(), state.unit, onHost, state.cgroups.version);
  applyResources(state.cgroups, onHost);
  const own = state.sandbox === undefined ? state : requireState(root, state.sandbox);
  if (statusOf(root, own) === 'paused') return;
  const request = { verb: 'limit', limits: convertResources(resources), container: containerName(state) } as const;
  await ask(controlDirectory(root, state), request);
}
