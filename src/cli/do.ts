// `cloister do`: one command in a sandbox over a directory of the host, by default its whole root under an overlay in
// memory. What is not said comes from the caller: environment, directory, limits, umask, standard streams.

import { readFileSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { posix } from 'node:path';
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import type { DeviceSpec, EgressSpec, MountSpec, ProcessSpec, RootSpec, SandboxSpec } from '../base/spec.ts';
import { SPEC_VERSION } from '../base/spec.ts';
import { resolversOf } from '../oci/addresses.ts';
import { bytesOfText, pathOf } from '../oci/bytes.ts';
import { loginCapabilities } from '../oci/capabilities.ts';
import { inheritedLimits, NO_LIMITS, STANDARD_MOUNTS } from '../oci/defaults.ts';
import { defaultIdentity } from '../oci/identity.ts';
import type { Bind, Sandbox } from '../oci/launch.ts';
import { HOST_NETWORK, launch } from '../oci/launch.ts';
import { LaunchError } from '../oci/launch-error.ts';
import { callerDirectory, callerEnvironment, isTerminal } from './caller.ts';
import { networkDefaults } from './globals.ts';
import { addNetworkOptions, type NetworkOptions, readEgress } from './network.ts';
import type { TraceOptions } from './options.ts';
import { addTraceOptions, appendTo, parseId, traceSpec } from './options.ts';

interface DoOptions extends TraceOptions, NetworkOptions {
  readonly root: string;
  readonly overlay: string;
  readonly bind?: readonly BindOption[];
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly uid: number;
  readonly gid: number;
  readonly hostname?: string;
}

interface BindOption {
  readonly source: string;
  readonly destination: string;
  readonly readonly: boolean;
}

/** Block devices made of files, all within the sandbox (loop(4)). */
const LOOP_DEVICES: readonly DeviceSpec[] = [
  { path: '/dev/loop-control', type: 'c', major: 10, minor: 237, mode: 0o660, uid: 0, gid: 0 },
  ...Array.from({ length: 8 }, (_, minor): DeviceSpec => {
    return { path: `/dev/loop${minor}`, type: 'b', major: 7, minor, mode: 0o660, uid: 0, gid: 6 };
  }),
];

export function addDoCommand(program: Command, dist: () => string): void {
  const command = program
    .command('do')
    .summary('run a command in a sandbox over a directory of this machine')
    .description(
      'Runs a command in a sandbox over the root file system of this machine, or over another directory. Its writes ' +
        "stay in memory unless --overlay says otherwise. The exit status is the command's own: 128+N when signal N " +
        'ended it, 127 when it was not found, 126 when it could not be executed; 125 when the sandbox itself failed.',
    )
    .argument('<command>', 'program to run, searched in PATH')
    .argument('[arguments...]', 'its arguments')
    .passThroughOptions()
    .option('--root <dir>', 'directory that is the root inside', '/')
    .option(
      '--overlay <memory|none|dir>',
      'where writes to the root go: memory, the root itself, or a directory',
      'memory',
    )
    .option('--bind <src:dst[:ro]>', 'host path to show at another place inside (repeatable)', appendTo(parseBind))
    .option('--env <name=value>', 'environment variable to set (repeatable)', appendTo(parseVariable))
    .option('--cwd <dir>', 'directory to start in (default: the current one, if the root has it)', parseDirectory)
    .option('--uid <n>', 'user id inside', parseId, 0)
    .option('--gid <n>', 'group id inside', parseId, 0)
    .option('--hostname <name>', "host name inside (default: this machine's)");
  addNetworkOptions(command, 'none');
  addTraceOptions(command).action(async (name: string, args: string[], own: DoOptions) => {
    const defaults = networkDefaults();
    const egress = [...(defaults.egress ?? []), ...(own.egress ?? [])];
    const { network } = defaults;
    const options: DoOptions = { ...(network && { network }), ...own, ...(egress.length > 0 && { egress }) };
    launch(dist(), sandboxOf([name, ...args], options, await readEgress(options), dist()));
  });
}

function parseBind(text: string): BindOption {
  const [source = '', destination = '', mode, ...rest] = text.split(':');
  if (source === '' || !destination.startsWith('/') || (mode ?? 'ro') !== 'ro' || rest.length > 0) {
    throw new InvalidArgumentError('Expected SRC:DST or SRC:DST:ro, with an absolute DST.');
  }
  return { source, destination, readonly: mode === 'ro' };
}

function parseDirectory(text: string): string {
  if (!text.startsWith('/')) throw new InvalidArgumentError('Expected an absolute path.');
  return text;
}

function parseVariable(text: string): string {
  if (!(text.indexOf('=') > 0)) throw new InvalidArgumentError('Expected NAME=VALUE.');
  return text;
}

function sandboxOf(args: readonly string[], options: DoOptions, egress: readonly EgressSpec[], dist: string): Sandbox {
  const rootPath = posix.resolve(callerDirectory(), options.root);
  requireDirectory('--root', rootPath);
  const binds: Bind[] = [];
  const mounts: MountSpec[] = [...STANDARD_MOUNTS];
  for (const { source, destination, readonly } of options.bind ?? []) {
    const path = posix.resolve(callerDirectory(), source);
    if (statSync(pathOf(path), { throwIfNoEntry: false }) === undefined) {
      throw new LaunchError(`--bind: ${path} does not exist`);
    }
    const name = `bind${binds.length}`;
    binds.push({ name, source: path, readonly });
    mounts.push({
      destination,
      type: 'bind',
      source: name,
      device: null,
      options: readonly ? ['ro'] : [],
      copyUp: false,
    });
  }
  const identity = defaultIdentity();
  const spec: SandboxSpec = {
    version: SPEC_VERSION,
    id: 'do',
    hostname: options.hostname ?? bytesOfText(hostname()),
    domainname: '',
    root: { path: rootPath, readonly: false, overlay: overlayOf(options.overlay, binds) },
    mounts,
    maskedPaths: [],
    readonlyPaths: [],
    devices: LOOP_DEVICES,
    sysctl: {},
    network: {
      outside: options.network?.outside ?? 'none',
      resolvers: resolversOf(rootPath, mounts, binds),
      egress,
    },
    limits: NO_LIMITS,
    notifySocket: null,
    timeOffsets: { monotonic: 0, boottime: 0 },
    process: processOf(args, options, rootPath),
    idMappings: { uid: [], gid: [] },
    ...traceSpec(options, dist),
  };
  const { outside, path = null } = options.network ?? {};
  return { spec, binds, identity, networkNamespace: outside === 'host' ? HOST_NETWORK : path };
}

function overlayOf(overlay: string, binds: Bind[]): RootSpec['overlay'] {
  if (overlay === 'memory' || overlay === 'none') return overlay;
  const path = posix.resolve(callerDirectory(), overlay);
  requireDirectory('--overlay', path);
  binds.push({ name: 'upper', source: path, readonly: false });
  return { upper: 'upper' };
}

function requireDirectory(option: string, path: string): void {
  const status = statSync(pathOf(path), { throwIfNoEntry: false });
  if (status === undefined) throw new LaunchError(`${option}: ${path} does not exist`);
  if (!status.isDirectory()) throw new LaunchError(`${option}: ${path} is not a directory`);
}

function processOf(args: readonly string[], options: DoOptions, rootPath: string): ProcessSpec {
  const { uid, gid } = options;
  const isCaller = uid === 0 && process.geteuid?.() === 0;
  return {
    args,
    env: mergeEnvironment(callerEnvironment(), options.env ?? []),
    cwd: options.cwd ?? startDirectory(rootPath),
    uid,
    gid,
    additionalGids: isCaller ? supplementaryGroups() : [],
    umask: process.umask(),
    terminal: isTerminal(0) && isTerminal(1) && isTerminal(2),
    consoleSize: null,
    capabilities: loginCapabilities(uid),
    rlimits: inheritedLimits(),
    noNewPrivileges: false,
    oomScoreAdj: 0,
    scheduling: null,
    ioPriority: 0,
    cpus: null,
    personality: 0,
    seccomp: null,
    deviceRules: null,
  };
}

/** Ours. (process.getgroups() always has the effective group among them.) */
function supplementaryGroups(): number[] {
  const [, list = ''] = /^Groups:(.*)$/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? [];
  return list.split(/\s+/).filter(Boolean).map(Number);
}

/** The caller's directory where the root has it too, else the root. */
function startDirectory(rootPath: string): string {
  const directory = callerDirectory();
  const status = statSync(pathOf(posix.join(rootPath, directory)), { throwIfNoEntry: false });
  return status?.isDirectory() ? directory : '/';
}

/** Each name once: the later assignment wins, in the place of the earlier one. */
function mergeEnvironment(base: readonly string[], overrides: readonly string[]): string[] {
  const byName = new Map<string, string>();
  for (const entry of [...base, ...overrides]) byName.set(entry.slice(0, entry.indexOf('=', 1)), entry);
  return [...byName.values()];
}
