// Options that stand before the verb, as clients of OCI runtimes give them, and the log file among them.

import { appendFileSync } from 'node:fs';
import type { Command } from 'commander';
import { Option } from 'commander';
import type { SandboxSpec } from '../base/spec.ts';
import { pathOf } from '../oci/bytes.ts';
import { defaultRoot } from '../oci/state.ts';
import { print } from './caller.ts';
import { addNetworkOptions, type NetworkOptions } from './network.ts';
import { applySettings } from './settings.ts';

interface GlobalOptions extends NetworkOptions {
  readonly root?: string;
  readonly log?: string;
  readonly logFormat: 'text' | 'json';
  readonly debug?: true;
  readonly systemdCgroup?: true;
  readonly platform?: SandboxSpec['platform'];
  readonly spin?: 'auto' | 'off';
  readonly patch?: boolean;
}

export function addGlobalOptions(program: Command): void {
  addNetworkOptions(program, "the configuration's")
    .option('--root <dir>', 'directory of the state of containers (default: /run/cloister, or below XDG_RUNTIME_DIR)')
    .option('--log <file>', 'file to write errors and warnings to, too')
    .addOption(new Option('--log-format <format>', 'format of the log file').choices(['text', 'json']).default('text'))
    .option('--debug', 'have sandboxes say more in their logs')
    .addOption(new Option('--platform <name>', 'how system calls come to the sentry').choices(['notify', 'ptrace']))
    .addOption(new Option('--spin <when>', 'wait for system calls in memory').choices(['auto', 'off']))
    .option('--no-patch', 'let every system call trap')
    .option('--systemd-cgroup', 'have systemd make cgroups: linux.cgroupsPath is slice:prefix:name')
    .addOption(new Option('--rootless <value>', 'for compatibility, has no effect').hideHelp())
    .addOption(new Option('--criu <path>', 'for compatibility, has no effect').hideHelp());
}

let options: GlobalOptions = { logFormat: 'text' };

/** Before any verb runs. */
export async function readGlobalOptions(program: Command): Promise<void> {
  await applySettings(program);
  options = program.opts<GlobalOptions>();
}

/** How the system calls of containers are served. */
export function containerDefaults(): Pick<SandboxSpec, 'platform' | 'spin' | 'patch'> {
  return { platform: options.platform ?? 'notify', spin: options.spin !== 'off', patch: options.patch ?? true };
}

/** Where containers' states are, as text. */
export function stateRoot(): string {
  return options.root === undefined ? defaultRoot() : Buffer.from(options.root, 'latin1').toString('utf8');
}

/** For containers whose own verb says nothing of the network. */
export function networkDefaults(): NetworkOptions {
  return options;
}

export function isDebug(): boolean {
  return options.debug ?? false;
}

export function wantsSystemd(): boolean {
  return options.systemdCgroup ?? false;
}

export function hasLog(): boolean {
  return options.log !== undefined;
}

/** What we do, for those who asked for it: into the log file, or else to standard error. */
export function debug(message: string): void {
  if (!options.debug) return;
  if (hasLog()) log('debug', message);
  else print(2, `${logLine('debug', message)}\n`);
}

function logLine(level: string, message: string): string {
  const time = new Date().toISOString();
  if (options.logFormat === 'json') return JSON.stringify({ level, msg: message, time });
  return `time="${time}" level=${level} msg=${JSON.stringify(message)}`;
}

/** Appends a line to the log file, if there is one. */
export function log(level: 'error' | 'warning' | 'debug', message: string): void {
  if (options.log === undefined) return;
  const line = logLine(level, message);
  try {
    appendFileSync(pathOf(options.log), `${line}\n`);
  } catch {
    // What cannot be logged is still said on standard error.
  }
}
