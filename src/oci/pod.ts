// Pods: a container that belongs to a pod's sandbox joins it, instead of having a sandbox of its own. Who belongs where is
// said by annotations of containerd, CRI-O and podman.

import { statSync } from 'node:fs';
import type { ControlRequest } from '../base/control.ts';
import type { SandboxSpec } from '../base/spec.ts';
import { pathOf } from './bytes.ts';
import type { OciLinux } from './config.ts';
import { anonymousFile, rootArguments, type Sandbox } from './launch.ts';
import { LaunchError } from './launch-error.ts';
import { type ContainerState, listIds, loadState, stateDirectory, statusOf } from './state.ts';

type Annotations = Readonly<Record<string, string>>;

const KINDS = [
  { type: 'io.kubernetes.cri.container-type', sandbox: 'io.kubernetes.cri.sandbox-id' },
  { type: 'io.kubernetes.cri-o.ContainerType', sandbox: 'io.kubernetes.cri-o.SandboxID' },
];

function podOf(annotations: Annotations, kind: 'container' | 'sandbox'): string | null {
  for (const { type, sandbox } of KINDS) {
    if (annotations[type] === kind && annotations[sandbox]) return annotations[sandbox];
  }
  return null;
}

/** The sandbox that a container with these annotations joins; null if it is to have its own. Throws a LaunchError. */
export function sandboxToJoin(root: string, annotations: Annotations): ContainerState | null {
  const pod = podOf(annotations, 'container');
  if (pod === null) return null;
  const named = listIds(root).includes(pod) ? loadState(root, pod) : null;
  const found = named ?? findSandbox(root, pod);
  if (found === null) return null; // of another runtime
  const status = statusOf(root, found);
  if (status !== 'running' && status !== 'created') throw new LaunchError(`the sandbox ${found.id} is ${status}`);
  return found;
}

/** CRI-O and podman give the pod a name that is not its sandbox's. */
function findSandbox(root: string, pod: string): ContainerState | null {
  for (const id of listIds(root)) {
    const state = loadState(root, id);
    if (state !== null && podOf(state.annotations, 'sandbox') === pod) return state;
  }
  return null;
}

/** Where the sentry of a container listens. */
export function controlDirectory(root: string, { id, sandbox }: ContainerState): string {
  return stateDirectory(root, sandbox ?? id);
}

/** The id by which the sentry knows a container, if it is not the sandbox's own. */
export function containerName({ id, sandbox }: ContainerState): string | undefined {
  return sandbox === undefined ? undefined : id;
}

/** The request with which a container joins, in a file, and the launcher's options for it. */
export function joinRequest(
  dist: string,
  { spec, binds }: Sandbox,
  wholeSpec: SandboxSpec,
  linux: OciLinux,
  passed: readonly number[],
): { file: number; args: string[] } {
  const pids = linux.namespaces?.find(({ type }) => type === 'pid');
  const request: ControlRequest = {
    verb: 'container',
    id: spec.id,
    spec: wholeSpec,
    binds: binds.map(({ name, source }) => ({ name, isDirectory: statSync(pathOf(source)).isDirectory() })),
    passed,
    ownPids: pids !== undefined && !pids.path,
  };
  const file = anonymousFile(dist, 'container-request', Buffer.from(`${JSON.stringify(request)}\n`, 'latin1'));
  return { file, args: ['--exec', ...rootArguments({ spec, binds })] };
}

/** What a container must not ask for because the pod's sandbox has it. */
export function warnOfPod(linux: OciLinux, warn: (message: string) => void): void {
  const limits = Object.keys(linux.resources ?? {}).filter((name) => name !== 'devices');
  if (limits.length > 0)
    warn('config.json: linux.resources: what the pod may use holds for its programs, not what this container may');
}
