// What a container needs that joins the sandbox of another (join.ts): the request to its sentry, and what it is told.

import { statSync } from 'node:fs';
import type { ControlRequest } from '../base/control.ts';
import type { SandboxSpec } from '../base/spec.ts';
import { pathOf } from './bytes.ts';
import type { OciLinux } from './config.ts';
import type { Join } from './join.ts';
import { anonymousFile, rootArguments, type Sandbox } from './launch.ts';
import { type ContainerState, stateDirectory } from './state.ts';

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
  { namespaces, options }: Join,
  passed: readonly number[],
  placed: boolean,
): { file: number; args: string[] } {
  const request: ControlRequest = {
    verb: 'container',
    id: spec.id,
    spec: wholeSpec,
    binds: binds.map(({ name, source }) => ({ name, isDirectory: statSync(pathOf(source)).isDirectory() })),
    passed,
    placed,
    namespaces,
  };
  const file = anonymousFile(dist, 'container-request', Buffer.from(`${JSON.stringify(request)}\n`, 'latin1'));
  return { file, args: ['--exec', ...options, ...rootArguments({ spec, binds })] };
}

/** What a container asks for in vain because the sandbox that it joins has it. */
export function warnOfPod(linux: OciLinux, warn: (message: string) => void): void {
  if (Object.keys(linux.sysctl ?? {}).length > 0)
    warn('config.json: linux.sysctl: the sandbox has been set up already; it is not changed');
}
