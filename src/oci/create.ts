// Making a container: everything is there but its program has not been executed. The launcher is started in a session of
// its own and goes on without us; until we have written down that it is there, it waits for our word, and it ends when
// we die. So whatever happens to us, either the state tells of the container or there is none.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { userInfo } from 'node:os';
import { join, posix } from 'node:path';
import type { SandboxSpec } from '../base/spec.ts';
import { pathOf } from './bytes.ts';
import { applyResources, type Resources, withMinimum, withShares } from './cgroup-resources.ts';
import { cgroupDirectories, makeCgroups, NO_CGROUPS, planCgroups, requireUnusedCgroups } from './cgroups.ts';
import { type OciConfig, parseConfig } from './config.ts';
import { type ConversionOptions, sandboxOfConfig } from './convert.ts';
import { destroy } from './delete.ts';
import { hasEarlyHooks, runEarlyHooks } from './hooks.ts';
import { isPodSandbox, type Join, planJoin, withoutHostPaths } from './join.ts';
import { bootArgument, bootArguments, descriptorCalls, type Sandbox, writeSpec } from './launch.ts';
import { LaunchError } from './launch-error.ts';
import { wantsNotice, withoutNotice } from './notify.ts';
import { setOomScore } from './oom-score.ts';
import { listenCount, listenVariables, openDescriptors } from './passed.ts';
import { controlDirectory, joinRequest, warnOfPod } from './pod.ts';
import { ordinaryUser } from './rootless.ts';
import { convertAffinity } from './scheduling.ts';
import {
  type ContainerState,
  checkId,
  createdMark,
  makeStateDirectory,
  processStartTime,
  removeStateDirectory,
  STATE_VERSION,
  saveState,
} from './state.ts';
import { parseScope, type Scope, startScope, systemdSocket } from './systemd.ts';

export interface CreateOptions extends Omit<ConversionOptions, 'id' | 'bundle' | 'warn' | 'joins' | 'notifies'> {
  /** Directory of all containers' states. */
  readonly root: string;
  readonly id: string;
  /** The bundle's directory. A relative one starts from `directory`. Byte strings. */
  readonly bundle: string;
  readonly directory: string;
  readonly consoleSocket: string | null;
  readonly pidFile: string | null;
  /** How many descriptors above 2 the program gets. */
  readonly preserveFds: number;
  readonly warn: (message: string) => void;
  /** Cgroups are systemd's to make. */
  readonly systemd: boolean;
}

/** A bundle that was read and found to be in order. */
export interface Prepared {
  readonly config: OciConfig;
  readonly sandbox: Sandbox;
  readonly state: ContainerState;
  /** The sandbox that it joins; null: it has one of its own. */
  readonly join: Join | null;
  /** What systemd is to make of its cgroup; null: we make it. */
  readonly scope: Scope | null;
}

const LOCK_EX = 2;

/** Reads and converts the bundle. Nothing is made yet. Throws a LaunchError. */
export function prepare(options: CreateOptions): Prepared {
  checkId(options.id);
  const bundle = posix.resolve(options.directory, options.bundle);
  const config = withoutHostPaths(options.root, parseConfig(readConfig(bundle)));
  const { hooks = {}, annotations = {}, linux } = config;
  const join = planJoin(options.root, config);
  const sandbox = sandboxOfConfig(config, { ...options, bundle, joins: join !== null, notifies: wantsNotice() });
  if (join !== null) warnOfPod(linux ?? {}, options.warn);
  const execCpus = convertAffinity(config.process?.execCPUAffinity);
  const scope = options.systemd ? parseScope(linux?.cgroupsPath, options.id) : null;
  const cgroups = scope === null && needsCgroups(linux) ? planCgroups(linux?.cgroupsPath, options.id) : NO_CGROUPS;
  return {
    config,
    sandbox,
    join,
    scope,
    state: {
      version: STATE_VERSION,
      id: options.id,
      ociVersion: config.ociVersion,
      bundle: bootArgument(bundle),
      rootfs: bootArgument(sandbox.spec.root.path),
      created: new Date().toISOString(),
      owner: ownerName(),
      annotations,
      pid: 0,
      startTime: 0,
      cgroups,
      hooks,
      process: withoutNotice(sandbox.spec.process),
      ...(sandbox.spec.notifySocket !== null && { notifies: true }),
      ...(execCpus !== null && { execCpus }),
      ...(join !== null && { sandbox: join.sandbox.id }),
      idMappings: sandbox.spec.idMappings,
    },
  };
}

/** An ordinary user has no cgroup to put it in, unless one was made for them: without limits it goes without. */
function needsCgroups(linux: OciConfig['linux']): boolean {
  const limits = Object.keys(linux?.resources ?? {}).filter((name) => name !== 'devices');
  return ordinaryUser() === null || limits.length > 0;
}

function ownerName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.geteuid?.());
  }
}

function readConfig(bundle: string): string {
  const path = posix.join(bundle, 'config.json');
  try {
    return readFileSync(pathOf(path), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new LaunchError(`${path} does not exist: ${bundle} is not a bundle`);
    }
    throw new LaunchError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Writes down that there will be a container. Returns its directory. Throws when there is one of that name. */
export function claim(prepared: Prepared, options: CreateOptions, dist: string): string {
  const directory = claimName(prepared, options, dist);
  saveState(directory, prepared.state);
  return directory;
}

/** The same, without writing anything. */
export function claimName({ state }: Prepared, { root, id }: CreateOptions, dist: string): string {
  const directory = makeStateDirectory(root, id);
  lock(dist, directory);
  try {
    requireUnusedCgroups(state.cgroups);
  } catch (error) {
    removeStateDirectory(root, id); // not by destroy, which would end whoever is in those cgroups
    throw error;
  }
  return directory;
}

/**
 * Makes the container's cgroups and sets its limits. Resolves to it with them, and to what is to be called when its
 * processes are in them.
 */
export async function limit(
  prepared: Prepared,
  directory: string,
): Promise<{ prepared: Prepared; release: () => void }> {
  const { scope } = prepared;
  const resources = hostResources(prepared);
  let limited = prepared;
  let release = (): void => {};
  if (scope !== null) {
    const started = await startScope(systemdSocket(), scope, resources);
    limited = { ...prepared, state: { ...prepared.state, cgroups: started.cgroups, unit: scope.unit } };
    ({ release } = started);
    saveState(directory, limited.state);
  }
  makeCgroups(limited.state.cgroups);
  applyResources(limited.state.cgroups, resources);
  return { prepared: limited, release };
}

/** Those of the host's cgroup. The sentry is in the sandbox's own. */
function hostResources({ config, join }: Prepared): Resources {
  const resources = config.linux?.resources ?? {};
  if (join !== null) return resources;
  return withMinimum(isPodSandbox(config.annotations ?? {}) ? withShares(resources) : resources);
}

/** Only one at a time makes or deletes a container; the lock is let go of when this process ends. */
function lock(dist: string, directory: string): void {
  const fd = openSync(directory, 'r');
  descriptorCalls(dist).flock(fd, LOCK_EX);
}

/** Makes the container. Resolves to its state and its launcher. Throws a LaunchError, and leaves nothing behind then. */
export async function createContainer(
  dist: string,
  options: CreateOptions,
  inForeground = false,
): Promise<{ state: ContainerState; launcher: ChildProcess }> {
  let prepared = prepare(options);
  checkTerminal(prepared, options, inForeground);
  let { state } = prepared;
  const directory = claim(prepared, options, dist);
  let release = (): void => {};
  try {
    writeFileSync(createdMark(options.root, options.id), '');
    ({ prepared, release } = await limit(prepared, directory));
    ({ state } = prepared);
    const start = prepared.join === null ? startLauncher : startJoining;
    const launcher = start(dist, prepared, options, directory, inForeground);
    try {
      const complete = await completeContainer(dist, launcher, prepared, options, directory);
      release();
      return { state: complete, launcher };
    } catch (error) {
      launcher.kill('SIGKILL');
      throw error;
    }
  } catch (error) {
    release();
    destroy(options.root, state);
    throw error;
  }
}

function checkTerminal({ sandbox }: Prepared, { consoleSocket }: CreateOptions, inForeground: boolean): void {
  const { terminal } = sandbox.spec.process;
  if (terminal && consoleSocket === null && !inForeground) {
    throw new LaunchError('cannot allocate tty if cloister will detach without setting console socket');
  }
  if (!terminal && consoleSocket !== null) {
    throw new LaunchError('cannot use console socket if the process has no terminal');
  }
}

async function completeContainer(
  dist: string,
  launcher: ChildProcess,
  { state, join }: Prepared,
  { root, pidFile }: CreateOptions,
  directory: string,
): Promise<ContainerState> {
  const sync = launcher.stdio[3] as Socket;
  sync.setEncoding('utf8');
  const pid = launcher.pid as number;
  const complete = { ...state, pid, startTime: processStartTime(pid) };
  if (hasEarlyHooks(state) && state.sandbox === undefined) {
    await waitForLine(launcher, sync, 'namespaces');
    saveState(directory, { ...complete, creating: true });
    runEarlyHooks(dist, root, complete);
    sync.write('go\n');
  }
  await waitForLine(launcher, sync, 'created');
  if (join !== null && hasEarlyHooks(state)) {
    const before = interfaces(pid);
    runEarlyHooks(dist, root, complete);
    if (join.namespaces.network === null && interfaces(pid) > before) throw joinedNetwork(join);
  }
  saveState(directory, complete);
  if (pidFile !== null) writeFileSync(pathOf(pidFile), String(pid));
  await new Promise<void>((resolve, reject) => {
    sync.once('error', () => reject(endedAtStart(directory)));
    sync.end('ok\n', resolve);
  });
  sync.unref(); // a container of a pod keeps its end

  return complete;
}

/** It said that it was there, and was gone when we answered. */
function endedAtStart(directory: string): LaunchError {
  const log = readFileSync(join(directory, 'sandbox.log'), 'utf8').trim();
  const reason = log.replace(/^cloister: /gm, '') || 'its processes were killed';
  return new LaunchError(`the sandbox ended at its start: ${reason}`);
}

/** How many network interfaces a process sees. */
function interfaces(pid: number): number {
  return readFileSync(`/proc/${pid}/net/dev`, 'latin1').split('\n').length;
}

/** docker puts interfaces into the network of a container that is made; a sandbox can use one network only. */
function joinedNetwork({ sandbox: { id } }: Join): LaunchError {
  return new LaunchError(
    `config.json: linux.namespaces: in the sandbox ${id} a network of its own is without interfaces: share the sandbox's (--network container:${id}), or have none (--network none)`,
  );
}

/** The launcher has come so far. Throws a LaunchError when it has not. */
async function waitForLine(launcher: ChildProcess, sync: Socket, line: string): Promise<void> {
  let text = '';
  const failed = once(launcher, 'exit');
  for await (const data of sync.iterator({ destroyOnReturn: false })) {
    text += data;
    if (text.endsWith(`${line}\n`)) return;
  }
  const [status, signal] = (await failed) as [number | null, string | null];
  const reason = text.trim().replace(/^cloister: /gm, '') || `the sandbox ended at its start (${signal ?? status})`;
  throw new LaunchError(reason, status === 126 || status === 127 ? status : null);
}

/** A container of a pod: what stands for it is no launcher, but takes it into the sandbox that is there. */
function startJoining(
  dist: string,
  { config, sandbox, state, join }: Prepared,
  options: CreateOptions,
  directory: string,
  inForeground: boolean,
): ChildProcess {
  const passed = passedDescriptors(options);
  const { file, args } = joinRequest(
    dist,
    sandbox,
    withListenVariables(sandbox.spec),
    join as Join,
    passed,
    state.cgroups.version !== 0,
  );
  const { oomScoreAdj } = config.process ?? {};
  if (oomScoreAdj !== undefined) args.push(`--oom-score=${oomScoreAdj}`);
  args.push('--sync-fd=3', '--spec-fd=4', '--log-fd=5', `--control-directory=${controlDirectory(options.root, state)}`);
  if (!inForeground) args.push('--new-session');
  for (const cgroup of cgroupDirectories(state.cgroups)) args.push(`--cgroup=${cgroup}`);
  if (options.consoleSocket !== null) args.push(`--console-socket=${options.consoleSocket}`);
  for (const [index, fd] of passed.entries()) args.push(`--pass-fd=${fd}:${6 + index}`);
  return spawnBoot(dist, args, file, directory, passed);
}

/** The sockets of a service manager, and what the caller wants to be passed on beside them. */
export function passedDescriptors({ preserveFds }: CreateOptions): number[] {
  return openDescriptors(listenCount() + preserveFds);
}

/** What tells of the sockets is for the container's own program only. */
export function withListenVariables(spec: SandboxSpec): SandboxSpec {
  return { ...spec, process: { ...spec.process, env: [...spec.process.env, ...listenVariables()] } };
}

function startLauncher(
  dist: string,
  { config, sandbox, state }: Prepared,
  options: CreateOptions,
  directory: string,
  inForeground: boolean,
): ChildProcess {
  const passed = passedDescriptors(options);
  const { spec } = sandbox;
  const args = bootArguments(dist, sandbox);
  args.push('--sync-fd=3', '--spec-fd=4', '--log-fd=5', `--control-directory=${directory}`);
  if (hasEarlyHooks(state)) args.push('--hooks');
  if (!inForeground) args.push('--new-session');
  for (const cgroup of cgroupDirectories(state.cgroups)) args.push(`--cgroup=${cgroup}`);
  if (options.consoleSocket !== null) args.push(`--console-socket=${options.consoleSocket}`);
  for (const [index, fd] of passed.entries()) args.push(`--pass-fd=${fd}:${6 + index}`);
  const specFd = writeSpec(dist, withListenVariables(spec));
  const restore = setOomScore(config.process?.oomScoreAdj, options.warn);
  const launcher = spawnBoot(dist, args, specFd, directory, passed);
  restore();
  return launcher;
}

/** Descriptors 3 to 5 are the line to us, the request or spec, and the log. */
function spawnBoot(
  dist: string,
  args: readonly string[],
  specFd: number,
  directory: string,
  passed: readonly number[],
): ChildProcess {
  const logFd = openSync(join(directory, 'sandbox.log'), 'a', 0o600);
  const launcher = spawn(join(dist, 'boot'), args, {
    stdio: [0, 1, 2, 'pipe', specFd, logFd, ...passed],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    cwd: '/',
  });
  closeSync(specFd);
  closeSync(logFd);
  return launcher;
}
