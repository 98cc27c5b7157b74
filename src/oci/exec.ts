// One more program in a running container. A small native process (native/boot/exec.c) stands for it: it carries the
// request and its standard streams to the sentry, forwards signals, and exits as the program does. In the foreground
// that process takes our place.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, readFileSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { ControlRequest } from '../base/control.ts';
import type { ProcessSpec } from '../base/spec.ts';
import { pathOf } from './bytes.ts';
import { capabilitySet } from './capabilities.ts';
import { cgroupDirectories } from './cgroups.ts';
import { parseProcess } from './config.ts';
import { convertProcess } from './convert.ts';
import { anonymousFile, keepOpen } from './launch.ts';
import { LaunchError } from './launch-error.ts';
import { openDescriptors } from './passed.ts';
import { containerName, controlDirectory } from './pod.ts';
import { convertAffinity } from './scheduling.ts';
import { type ContainerState, requireState, statusOf } from './state.ts';

export interface ExecOptions {
  readonly root: string;
  readonly id: string;
  /** File with a process of config.json; then the fields below it do not count. */
  readonly process: string | null;
  readonly args: readonly string[];
  readonly cwd: string | null;
  readonly env: readonly string[];
  readonly user: { readonly uid: number; readonly gid: number | null } | null;
  readonly additionalGids: readonly number[];
  readonly capabilities: readonly string[];
  readonly noNewPrivileges: boolean;
  /** Null: as the process file says. */
  readonly terminal: boolean | null;
  readonly consoleSocket: string | null;
  readonly pidFile: string | null;
  readonly detach: boolean;
  readonly preserveFds: number;
  readonly ignorePaused: boolean;
  readonly warn: (message: string) => void;
}

/** Starts the program. In the foreground this process becomes it; detached, it resolves when the program is there. */
export async function execInContainer(dist: string, options: ExecOptions): Promise<void> {
  const state = requireState(options.root, options.id);
  const status = statusOf(options.root, state);
  if (status === 'paused' && !options.ignorePaused) throw new LaunchError('cannot exec in a paused container');
  if (status === 'stopped' || status === 'creating') throw new LaunchError(`cannot exec in a ${status} container`);
  const process = processOf(state, options);
  if (process.terminal && options.detach && options.consoleSocket === null) {
    throw new LaunchError('cannot allocate tty if cloister will detach without setting console socket');
  }
  if (!process.terminal && options.consoleSocket !== null) {
    throw new LaunchError('cannot use console socket if the process has no terminal');
  }
  const passed = openDescriptors(options.preserveFds);
  const request: ControlRequest = { verb: 'exec', process, passed, container: containerName(state) };
  // A request is bytes, as its strings are.
  const spec = anonymousFile(dist, 'exec-request', Buffer.from(`${JSON.stringify(request)}\n`, 'latin1'));
  const args = ['--exec', `--control-directory=${controlDirectory(options.root, state)}`];
  for (const cgroup of cgroupDirectories(state.cgroups)) args.push(`--cgroup=${cgroup}`);
  if (options.consoleSocket !== null) args.push(`--console-socket=${options.consoleSocket}`);
  if (options.detach) await spawnProxy(dist, args, spec, passed, options.pidFile);
  else becomeProxy(dist, args, spec, passed, options.pidFile);
}

function processOf(state: ContainerState, options: ExecOptions): ProcessSpec {
  if (options.process !== null) {
    const { seccomp, personality, deviceRules } = state.process;
    const wanted = parseProcess(readProcess(options.process));
    const cpus = convertAffinity(wanted.execCPUAffinity);
    const process = { ...convertProcess(wanted, options.warn), seccomp, personality, deviceRules, cpus };
    return options.terminal === null ? process : { ...process, terminal: options.terminal };
  }
  if (options.args.length === 0) throw new LaunchError('no command to execute');
  const base = state.process;
  const added = capabilitySet(options.capabilities, (name) => options.warn(`capability ${name} is not known`));
  const { capabilities } = base;
  return {
    ...base,
    args: options.args,
    cwd: options.cwd ?? base.cwd,
    env: [...base.env, ...options.env],
    ...(options.user !== null && { uid: options.user.uid, gid: options.user.gid ?? base.gid }),
    additionalGids: [...base.additionalGids, ...options.additionalGids],
    capabilities: {
      bounding: union(capabilities.bounding, added),
      effective: union(capabilities.effective, added),
      permitted: union(capabilities.permitted, added),
      inheritable: capabilities.inheritable,
      ambient: union(capabilities.ambient, added),
    },
    noNewPrivileges: base.noNewPrivileges || options.noNewPrivileges,
    cpus: state.execCpus ?? null,
    terminal: options.terminal ?? false,
    consoleSize: null,
  };
}

function union(a: string, b: string): string {
  return (BigInt(`0x${a}`) | BigInt(`0x${b}`)).toString(16).padStart(16, '0');
}

function readProcess(path: string): string {
  try {
    return readFileSync(pathOf(path), 'utf8');
  } catch (error) {
    throw new LaunchError(`--process: ${(error as Error).message}`);
  }
}

function becomeProxy(
  dist: string,
  args: string[],
  spec: number,
  passed: readonly number[],
  pidFile: string | null,
): never {
  if (pidFile !== null) writeFileSync(pathOf(pidFile), String(process.pid));
  args.push(`--spec-fd=${spec}`, ...passed.map((fd) => `--pass-fd=${fd}:${fd}`));
  keepOpen(dist, passed);
  const boot = join(dist, 'boot');
  process.execve?.(boot, [boot, ...args], { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' });
  throw new Error(`${boot} could not be run`);
}

async function spawnProxy(
  dist: string,
  args: string[],
  spec: number,
  passed: readonly number[],
  pidFile: string | null,
): Promise<void> {
  args.push(
    '--new-session',
    '--sync-fd=3',
    '--spec-fd=4',
    ...passed.map((fd, index) => `--pass-fd=${fd}:${5 + index}`),
  );
  const proxy = spawn(join(dist, 'boot'), args, {
    stdio: [0, 1, 2, 'pipe', spec, ...passed],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  });
  closeSync(spec);
  let text = '';
  const failed = once(proxy, 'exit');
  const sync = proxy.stdio[3] as Socket;
  for await (const data of sync.iterator({ destroyOnReturn: false })) {
    text += String(data);
    if (text !== 'created\n') continue;
    if (pidFile !== null) writeFileSync(pathOf(pidFile), String(proxy.pid));
    // It keeps its end open, and does not end before we do.
    proxy.unref();
    sync.unref();
    return;
  }
  await failed;
  const reason = text.trim().replace(/^cloister: /gm, '') || 'the program could not be started';
  throw new LaunchError(`exec failed: ${reason}`);
}
