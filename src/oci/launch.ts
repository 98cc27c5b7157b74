// Starting a sandbox: what the launcher (native/boot) needs besides the spec, and the step over to it. The process
// that calls `launch` becomes the launcher, so that nothing of the outside stays resident in the foreground case.

import { openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { IdMapping, SandboxSpec } from '../base/spec.ts';
import { pathOf, textOfBytes } from './bytes.ts';
import { declineFront, handOver } from './front.ts';
import type { Identity } from './identity.ts';
import { LaunchError } from './launch-error.ts';
import { guestsOomScore } from './oom-score.ts';

/** A host directory or file that the launcher takes into the sandbox's root under a name. */
export interface Bind {
  readonly name: string;
  /** Absolute host path, a byte string. */
  readonly source: string;
  readonly readonly: boolean;
  /** Its files' ids on disk (`inside`), and the host's ids that they have in the sandbox. */
  readonly idMappings?: BindMappings;
}

export interface BindMappings {
  readonly uid: readonly IdMapping[];
  readonly gid: readonly IdMapping[];
  /** Also of what is mounted below it. */
  readonly recursive: boolean;
}

export interface Sandbox {
  readonly spec: SandboxSpec;
  readonly binds: readonly Bind[];
  readonly identity: Identity;
  /** Host path of the network namespace to join, HOST_NETWORK for the caller's, or null for a new one. */
  readonly networkNamespace: string | null;
}

/** The caller's own network namespace, where a path could stand. */
export const HOST_NETWORK = 'host';

/** What the launcher's root holds of Node, found when Cloister was built. */
export interface Runtime {
  readonly node: string;
  readonly libraries: readonly string[];
}

/** The host calls of the addon that this side needs too: Node opens nothing that survives exec. */
interface DescriptorCalls {
  flock(fd: number, operation: number): number;
  memfd_create(name: string, flags: number): number;
  fcntl(fd: number, command: number, argument: number): number;
}

/**
 * The sentry's heap is small and the CPUs are the guests': garbage is collected by the one thread that makes it (its
 * helpers also cost 3 ms of waiting for each other at many a start), and one helper compiles. Memory protection keys would
 * need pkey_mprotect(2) with PROT_EXEC all the time, which the sentry's filter does not have. The thread that waits for
 * SIGUSR1, to start a debugger, would still be starting when the filter comes.
 */
const SENTRY_NODE_OPTIONS = [
  '--snapshot-blob=/sentry.blob',
  '--v8-pool-size=1',
  '--single-threaded-gc',
  '--no-memory-protection-keys',
  '--disable-sigusr1',
];

const F_DUPFD = 0;
const F_SETFD = 2;
const STDERR = 2;

/** Opens the file that the sentry is to write its trace to; it survives the step to the launcher. */
export function openTraceLog(dist: string, path: string): number {
  const fd = openSync(pathOf(path), 'w', 0o644);
  if (descriptorCalls(dist).fcntl(fd, F_SETFD, 0) < 0) throw new Error('fcntl F_SETFD');
  return fd;
}

/** Our standard error under a number of its own: the sandbox's program may close or redirect its descriptor 2. */
export function duplicateStderr(dist: string): number {
  const fd = descriptorCalls(dist).fcntl(STDERR, F_DUPFD, STDERR + 1);
  if (fd < 0) throw new LaunchError('standard error is closed, and the sandbox has nowhere to report to');
  return fd;
}

/**
 * Becomes the launcher of this sandbox. `dist` is the folder of the built programs, `more` are further options of the
 * launcher, `last` is what is to be done before that or, if another process becomes it, after. Throws a LaunchError.
 */
export function launch(
  dist: string,
  sandbox: Sandbox,
  more: readonly string[] = [],
  last: () => void = () => {},
): never {
  const boot = join(dist, 'boot');
  const args = [...bootArguments(dist, sandbox), ...more];
  args.push(`--spec-fd=${writeSpec(dist, sandbox.spec)}`, `--log-fd=${duplicateStderr(dist)}`);
  // The numbers of these are known to others.
  if (sandbox.spec.strace === null && !more.some((option) => option.startsWith('--pass-fd='))) handOver(args, last);
  else declineFront();
  last();
  process.execve?.(boot, [boot, ...args], { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' });
  throw new Error(`${boot} could not be run`);
}

/** The launcher's options for the container's files. */
export function rootArguments({ spec, binds }: Pick<Sandbox, 'spec' | 'binds'>): string[] {
  const readonlyTree = spec.root.readonly || spec.root.overlay !== 'none';
  const args = [`--rootfs=${bootArgument(spec.root.path)}`, `--rootfs-ro=${readonlyTree ? 1 : 0}`];
  for (const bind of binds) {
    args.push(`--bind=${bind.name}:${bootArgument(bind.source)}${bind.readonly ? ':ro' : ''}`);
    for (const kind of ['uid', 'gid'] as const) {
      for (const { inside, outside, count } of bind.idMappings?.[kind] ?? []) {
        args.push(`--bind-${kind}map=${bind.name}:${inside}:${outside}:${count}`);
      }
    }
    if (bind.idMappings?.recursive) args.push(`--bind-map-all=${bind.name}:`);
  }
  for (const { source, destination } of spec.mounts) {
    if (source !== null) args.push(`--bind-destination=${source}:${bootArgument(destination)}`);
  }
  args.push(...mountPoints(spec, binds));
  return args;
}

/** Those of the launcher's options that are the same for all sandboxes; the build writes them down for a head start. */
export function fixedArguments(dist: string, { node, libraries }: Runtime): string[] {
  const files = ['sentry.blob', 'cloister.node'].map((file) => `${join(dist, file)}:/${file}`);
  return [
    ...[`${node}:/node`, ...libraries, ...files].map((file) => `--runtime=${file}`),
    `--stub=${join(dist, 'stub')}`,
    '--node=/node',
    ...SENTRY_NODE_OPTIONS.map((option) => `--node-arg=${option}`),
    // With a snapshot the script is no more than argv[1].
    '--script=sentry',
  ];
}

/** The launcher's command line, without its own name and what is opened for it. */
export function bootArguments(dist: string, sandbox: Sandbox): string[] {
  const runtime = JSON.parse(readFileSync(join(dist, 'runtime.json'), 'utf8')) as Runtime;
  const { spec, identity } = sandbox;
  const args = [...rootArguments(sandbox), ...fixedArguments(dist, runtime)];
  if (spec.platform === 'ptrace') args.push('--traced');
  if (spec.strace !== null) args.push(`--trace-fd=${spec.strace.fd}`);
  args.push(`--hostname=${bootArgument(spec.hostname)}`);
  if (sandbox.networkNamespace !== null) args.push(`--netns=${bootArgument(sandbox.networkNamespace)}`);
  for (const map of identity.uidMappings) args.push(`--uidmap=${map.inside}:${map.outside}:${map.count}`);
  for (const map of identity.gidMappings) args.push(`--gidmap=${map.inside}:${map.outside}:${map.count}`);
  args.push(`--caps=${identity.capabilities.toString(16)}`, `--victim=${guestsOomScore(spec.limits.memory)}`);
  return args;
}

/** In a read-only root the launcher makes what will be mounted on; what lies on another mount is not the root's. */
function mountPoints(spec: SandboxSpec, binds: readonly Bind[]): string[] {
  if (!spec.root.readonly || spec.root.overlay !== 'none') return [];
  return spec.mounts.flatMap(({ destination, source }, index) => {
    const above = spec.mounts.slice(0, index).some((mount) => destination.startsWith(`${mount.destination}/`));
    if (above) return [];
    const bind = binds.find(({ name }) => name === source);
    const isFile = bind !== undefined && !statSync(pathOf(bind.source)).isDirectory();
    return [`--mount-point${isFile ? '-file' : ''}=${bootArgument(destination)}`];
  });
}

/** Writes the spec into an anonymous file that the launcher inherits, and returns its descriptor. */
export function writeSpec(dist: string, spec: SandboxSpec): number {
  return anonymousFile(dist, 'sandbox-spec', Buffer.from(JSON.stringify(spec), 'utf8'));
}

/** An anonymous file with these contents, which programs that we start inherit. */
export function anonymousFile(dist: string, name: string, json: Buffer): number {
  const fd = descriptorCalls(dist).memfd_create(name, 0);
  if (fd < 0) throw new Error(`memfd_create: errno ${-fd}`);
  for (let done = 0; done < json.length; ) done += writeSync(fd, json, done, json.length - done, done);
  return fd;
}

let loaded: DescriptorCalls | null = null;

export function descriptorCalls(dist: string): DescriptorCalls {
  if (loaded === null) {
    const module: { exports: { readonly host?: DescriptorCalls } } = { exports: {} };
    process.dlopen(module, join(dist, 'cloister.node'));
    loaded = module.exports.host ?? null;
    if (loaded === null) throw new Error('cloister.node is not of this build');
  }
  return loaded;
}

/** Descriptors that survive our becoming another program: Node has set close-on-exec on all. */
export function keepOpen(dist: string, descriptors: readonly number[]): void {
  const { fcntl } = descriptorCalls(dist);
  for (const fd of descriptors) if (fcntl(fd, F_SETFD, 0) < 0) throw new LaunchError(`descriptor ${fd} is not open`);
}

/** A byte string for the launcher's command line, which Node writes as UTF-8. */
export function bootArgument(bytes: string): string {
  const text = textOfBytes(bytes);
  if (text === null) throw new LaunchError(`${JSON.stringify(bytes)}: host paths and names must be UTF-8`);
  return text;
}
