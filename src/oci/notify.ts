// The service manager that started us (sd_notify(3)) is told when the container is ready, and which process to watch: what
// the container's programs say at a socket of their own is passed on by whoever starts it. That takes as long as it takes.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { ProcessSpec } from '../base/spec.ts';
import { ask } from './control.ts';
import { isLaunchError, LaunchError } from './launch-error.ts';
import { controlDirectory } from './pod.ts';
import type { ContainerState } from './state.ts';

/** Whether there is somebody who wants to know. */
export function wantsNotice(): boolean {
  return Boolean(process.env.NOTIFY_SOCKET);
}

/** Other programs of the container are not the service. */
export function withoutNotice(program: ProcessSpec): ProcessSpec {
  return { ...program, env: program.env.filter((variable) => !variable.startsWith('NOTIFY_SOCKET=')) };
}

/** Waits until the container says that it is ready, or has ended, and passes that on. Throws a LaunchError. */
export async function passReadiness(dist: string, root: string, state: ContainerState): Promise<void> {
  if (!state.notifies || !wantsNotice()) return;
  let ready: string | undefined;
  try {
    ({ ready } = await ask(controlDirectory(root, state), { verb: 'notify' }));
  } catch (error) {
    if (isLaunchError(error)) return; // it has ended, which the service manager sees by itself
    throw error;
  }
  for (const text of [`${ready}\n`, `MAINPID=${state.pid}\n`]) {
    const args = ['--datagram', process.env.NOTIFY_SOCKET ?? '', text];
    const { status, stderr } = spawnSync(join(dist, 'boot'), args, { encoding: 'utf8' });
    if (status !== 0) throw new LaunchError(`NOTIFY_SOCKET: ${stderr.trim().replace(/^cloister: /, '')}`);
  }
}
