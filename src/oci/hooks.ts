// Hooks of the runtime specification: programs of the host that are told the container's state on their standard
// input. One that fails before the program runs fails the container; later ones are only warned about.

import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { ControlRequest } from '../base/control.ts';
import { bytesOfText } from './bytes.ts';
import { anonymousFile } from './launch.ts';
import { LaunchError } from './launch-error.ts';
import { containerName, controlDirectory } from './pod.ts';
import type { ContainerState, Hook, HookName } from './state.ts';
import { publicState } from './state.ts';

const MAX_OUTPUT = 1 << 20;

/** Whether there are hooks for the time between the container's namespaces and the sandbox. */
export function hasEarlyHooks({ hooks }: ContainerState): boolean {
  return [hooks.prestart, hooks.createRuntime, hooks.createContainer].some(
    (list) => list !== undefined && list.length > 0,
  );
}

/** Runs them. Throws a LaunchError at the first that fails. */
export function runEarlyHooks(dist: string, root: string, state: ContainerState): void {
  runHooks(root, state, 'prestart', 'creating');
  runHooks(root, state, 'createRuntime', 'creating');
  const input = JSON.stringify({ ...publicState(root, state), status: 'creating' });
  for (const [index, hook] of (state.hooks.createContainer ?? []).entries()) {
    const args = ['--enter', String(state.pid), state.rootfs, hook.path, ...(hook.args ?? [hook.path])];
    const result = spawnSync(join(dist, 'boot'), args, { ...optionsFor(hook, input), env: environment(hook) });
    check(hook, `createContainer hook #${index}`, result);
  }
}

/** Runs the hooks of one kind in order. Throws a LaunchError at the first that fails. */
export function runHooks(root: string, state: ContainerState, name: HookName, status: string): void {
  const input = JSON.stringify({ ...publicState(root, state), pid: status === 'stopped' ? 0 : state.pid, status });
  for (const [index, hook] of (state.hooks[name] ?? []).entries()) runHook(hook, `${name} hook #${index}`, input);
}

/** Runs them all, whatever becomes of each. */
export function runLateHooks(
  root: string,
  state: ContainerState,
  name: 'poststart' | 'poststop',
  warn: (message: string) => void,
): void {
  for (const hook of state.hooks[name] ?? []) {
    try {
      runHooks(root, { ...state, hooks: { [name]: [hook] } }, name, name === 'poststop' ? 'stopped' : 'running');
    } catch (error) {
      warn(error instanceof Error ? error.message : String(error));
    }
  }
}

/**
 * Runs the startContainer hooks: programs of the container, executed in it before its own. Their argv[0] is their
 * path, whatever the configuration calls them. Throws a LaunchError at the first that fails.
 */
export function runInnerHooks(dist: string, root: string, state: ContainerState): void {
  const input = JSON.stringify({ ...publicState(root, state), status: 'created' });
  for (const [index, hook] of (state.hooks.startContainer ?? []).entries()) {
    const args = [hook.path, ...(hook.args ?? []).slice(1)].map(bytesOfText);
    const process = { ...state.process, args, env: (hook.env ?? []).map(bytesOfText), cwd: '/', terminal: false };
    const request: ControlRequest = { verb: 'exec', process, passed: [], container: containerName(state) };
    const spec = anonymousFile(dist, 'hook-request', Buffer.from(`${JSON.stringify(request)}\n`, 'latin1'));
    const launcher = ['--exec', `--control-directory=${controlDirectory(root, state)}`, '--spec-fd=3'];
    const result = spawnSync(join(dist, 'boot'), launcher, {
      ...optionsFor(hook, input),
      stdio: ['pipe', 'pipe', 'pipe', spec],
    });
    closeSync(spec);
    check(hook, `startContainer hook #${index}`, result);
  }
}

function optionsFor(hook: Hook, input: string) {
  return {
    input,
    encoding: 'utf8',
    maxBuffer: MAX_OUTPUT,
    killSignal: 'SIGKILL',
    ...(hook.timeout !== undefined && { timeout: hook.timeout * 1000 }),
  } as const;
}

function runHook(hook: Hook, name: string, input: string): void {
  const [argv0 = hook.path, ...args] = hook.args ?? [];
  check(hook, name, spawnSync(hook.path, args, { ...optionsFor(hook, input), argv0, env: environment(hook) }));
}

/** Throws a LaunchError when the hook has failed. */
function check(hook: Hook, name: string, result: SpawnSyncReturns<string>): void {
  // A hook need not read the state.
  const code = (result.error as NodeJS.ErrnoException | undefined)?.code;
  const error = code === 'EPIPE' ? undefined : result.error;
  if (result.status === 0 && error === undefined) return;
  let reason = `exit status ${result.status}`;
  // Of a hook in the sandbox: as shells report signals.
  if (result.status === 128 + constants.signals.SIGSYS) reason += ' (bad system call)';
  if (code === 'ETIMEDOUT') reason = `timed out after ${hook.timeout} s`;
  else if (error !== undefined) reason = error.message;
  else if (result.signal !== null) reason = `killed by ${result.signal}`;
  throw new LaunchError(`error running hook: ${name}: ${hook.path}: ${reason}${said(result.stdout, result.stderr)}`);
}

function said(stdout: string | null, stderr: string | null): string {
  const text = `${stdout ?? ''}${stderr ?? ''}`.trim();
  return text === '' ? '' : `: ${text}`;
}

function environment(hook: Hook): Record<string, string> {
  return Object.fromEntries((hook.env ?? []).map(splitVariable));
}

function splitVariable(variable: string): [string, string] {
  const equals = variable.indexOf('=');
  return equals < 0 ? [variable, ''] : [variable.slice(0, equals), variable.slice(equals + 1)];
}
