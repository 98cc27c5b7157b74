// Running a bundle in the foreground. Nothing of the outside stays resident: this process becomes the launcher, which
// also removes the container's traces at the end. Only hooks need us to stay.

import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { isatty } from 'node:tty';
import { pathOf } from './bytes.ts';
import { cgroupDirectories, removeCgroups } from './cgroups.ts';
import {
  type CreateOptions,
  claimName,
  createContainer,
  limit,
  passedDescriptors,
  prepare,
  withListenVariables,
} from './create.ts';
import { destroy } from './delete.ts';
import { declineFront, launcherPid, orphanedCgroups } from './front.ts';
import { runLateHooks } from './hooks.ts';
import { keepOpen, launch } from './launch.ts';
import { setOomScore } from './oom-score.ts';
import { startContainer } from './start.ts';
import { processStartTime, saveStateAtLeisure, stateDirectory } from './state.ts';

export interface RunOptions extends CreateOptions {
  /** The state stays when the program has ended. */
  readonly keep: boolean;
}

/** Runs the container and resolves to its exit status, unless this process became the container. */
export async function runContainer(dist: string, options: RunOptions): Promise<number> {
  try {
    return await runOrLaunch(dist, options);
  } catch (error) {
    const orphaned = orphanedCgroups();
    if (orphaned !== null) removeCgroups(orphaned);
    throw error;
  }
}

async function runOrLaunch(dist: string, options: RunOptions): Promise<number> {
  const prepared = prepare(options);
  const { sandbox, state } = prepared;
  const { root, id } = options;
  if (
    Object.values(state.hooks).some((list) => list !== undefined && list.length > 0) ||
    options.keep ||
    options.systemd ||
    state.sandbox !== undefined ||
    state.notifies
  ) {
    declineFront();
    return stay(dist, options);
  }
  const passed = passedDescriptors(options);
  // What has been begun has the caller's score, and cannot have descriptors by their numbers.
  if (prepared.config.process?.oomScoreAdj !== undefined || passed.length > 0 || options.strace !== null)
    declineFront();
  const pid = launcherPid();
  const directory = claimName(prepared, options, dist);
  try {
    const sync = saveStateAtLeisure(directory, { ...state, pid, startTime: processStartTime(pid) });
    await limit(prepared, directory);
    if (options.pidFile !== null) writeFileSync(pathOf(options.pidFile), String(pid));
    const more = [`--control-directory=${stateDirectory(root, id)}`, '--remove'];
    for (const cgroup of cgroupDirectories(state.cgroups)) more.push(`--cgroup=${cgroup}`);
    if (options.consoleSocket !== null) more.push(`--console-socket=${options.consoleSocket}`);
    keepOpen(dist, passed);
    for (const fd of passed) more.push(`--pass-fd=${fd}:${fd}`);
    setOomScore(prepared.config.process?.oomScoreAdj, options.warn);
    return launch(dist, { ...sandbox, spec: withListenVariables(sandbox.spec) }, more, sync);
  } catch (error) {
    destroy(root, state);
    throw error;
  }
}

async function stay(dist: string, options: RunOptions): Promise<number> {
  const { root, id, warn } = options;
  for (const name of ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) {
    // At a terminal the launcher, which is in our job, gets its own.
    process.on(name, () => {
      if (!isatty(0) || name === 'SIGTERM' || name.startsWith('SIGUSR')) launcher?.kill(name);
    });
  }
  const { state, launcher } = await createContainer(dist, options, true);
  const ended = once(launcher, 'exit');
  try {
    await startContainer(dist, root, id, warn);
  } catch (error) {
    launcher.kill('SIGKILL');
    destroy(root, state);
    throw error;
  }
  const [status, signal] = (await ended) as [number | null, NodeJS.Signals | null];
  if (!options.keep) destroy(root, state);
  runLateHooks(root, state, 'poststop', warn);
  return status ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}
