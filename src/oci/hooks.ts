// Hooks of the runtime specification: programs of the host that are told the container's state on their standard
// input. One that fails before the program runs fails the container; later ones are only warned about.

import { spawnSync } from 'node:child_process';
import { LaunchError } from './launch-error.ts';
import type { ContainerState, Hook, HookName } from './state.ts';
import { publicState } from './state.ts';

const MAX_OUTPUT = 1 << 20;

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

function runHook(hook: Hook, name: string, input: string): void {
  const [argv0 = hook.path, ...args] = hook.args ?? [];
  const result = spawnSync(hook.path, args, {
    argv0,
    input,
    env: Object.fromEntries((hook.env ?? []).map(splitVariable)),
    encoding: 'utf8',
    maxBuffer: MAX_OUTPUT,
    killSignal: 'SIGKILL',
    ...(hook.timeout !== undefined && { timeout: hook.timeout * 1000 }),
  });
  // A hook need not read the state.
  const code = (result.error as NodeJS.ErrnoException | undefined)?.code;
  const error = code === 'EPIPE' ? undefined : result.error;
  if (result.status === 0 && error === undefined) return;
  let reason = `exit status ${result.status}`;
  if (code === 'ETIMEDOUT') reason = `timed out after ${hook.timeout} s`;
  else if (error !== undefined) reason = error.message;
  else if (result.signal !== null) reason = `killed by ${result.signal}`;
  throw new LaunchError(`error running ${name}: ${hook.path}: ${reason}${said(result.stdout, result.stderr)}`);
}

function said(stdout: string | null, stderr: string | null): string {
  const text = `${stdout ?? ''}${stderr ?? ''}`.trim();
  return text === '' ? '' : `: ${text}`;
}

function splitVariable(variable: string): [string, string] {
  const equals = variable.indexOf('=');
  return equals < 0 ? [variable, ''] : [variable.slice(0, equals), variable.slice(equals + 1)];
}
