// Starting a sandbox: what the launcher (native/boot) needs besides the spec, and the step over to it. The process
// that calls `launch` becomes the launcher, so that nothing of the outside stays resident in the foreground case.

import { openSync, readFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { release } from 'node:os';
import { join } from 'node:path';
import type { SandboxSpec } from '../base/spec.ts';
import { pathOf, textOfBytes } from './bytes.ts';
import type { Identity } from './identity.ts';

/** A host directory or file that the launcher takes into the sandbox's root under a name. */
export interface Bind {
  readonly name: string;
  /** Absolute host path, a byte string. */
  readonly source: string;
  readonly readonly: boolean;
}

export interface Sandbox {
  readonly spec: SandboxSpec;
  readonly binds: readonly Bind[];
  readonly identity: Identity;
  /** Host path of the network namespace to join, or null for a new one. */
  readonly networkNamespace: string | null;
}

/** Something the user can mend: its message is all they need. */
export class LaunchError extends Error {
  override readonly name = LAUNCH_ERROR;
}

/** By name, because bundles that are loaded one after the other each have a class of their own. */
export function isLaunchError(error: unknown): error is LaunchError {
  return error instanceof Error && error.name === LAUNCH_ERROR;
}

const LAUNCH_ERROR = 'LaunchError';

/** What the launcher's root holds of Node, found when Cloister was built. */
interface Runtime {
  readonly node: string;
  readonly libraries: readonly string[];
}

/** The host calls of the addon that this side needs too: Node opens nothing that survives exec. */
interface DescriptorCalls {
  memfd_create(name: string, flags: number): number;
  fcntl(fd: number, command: number, argument: number): number;
}

const F_SETFD = 2;
/** SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV came last of what the sandbox cannot do without. */
const OLDEST_KERNEL = [5, 19] as const;

/** Opens the file that the sentry will write its trace to, and lets it survive the step to the launcher. */
export function openTraceLog(dist: string, path: string): number {
  const fd = openSync(pathOf(path), 'w', 0o644);
  if (descriptorCalls(dist).fcntl(fd, F_SETFD, 0) < 0) throw new Error('fcntl F_SETFD');
  return fd;
}

/** Becomes the launcher of this sandbox. `dist` is the folder of the built programs. Throws a LaunchError. */
export function launch(dist: string, sandbox: Sandbox): never {
  checkHost();
  const boot = join(dist, 'boot');
  const args = bootArguments(dist, sandbox, writeSpec(dist, sandbox.spec));
  process.execve?.(boot, [boot, ...args], { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' });
  throw new Error(`${boot} could not be run`);
}

/** The launcher's command line, without its own name. */
export function bootArguments(dist: string, sandbox: Sandbox, specFd: number): string[] {
  const runtime = JSON.parse(readFileSync(join(dist, 'runtime.json'), 'utf8')) as Runtime;
  const { spec, identity } = sandbox;
  const readonlyTree = spec.root.readonly || spec.root.overlay !== 'none';
  const args = [`--rootfs=${hostPath(spec.root.path)}`, `--rootfs-ro=${readonlyTree ? 1 : 0}`];
  for (const bind of sandbox.binds) {
    args.push(`--bind=${bind.name}:${hostPath(bind.source)}${bind.readonly ? ':ro' : ''}`);
  }
  args.push(`--runtime=${runtime.node}:/node`);
  for (const library of runtime.libraries) args.push(`--runtime=${library}`);
  for (const file of ['sentry.js', 'cloister.node']) args.push(`--runtime=${join(dist, file)}:/${file}`);
  args.push(`--stub=${join(dist, 'stub')}`, `--spec-fd=${specFd}`, '--node=/node', '--script=/sentry.js');
  args.push(`--hostname=${spec.hostname}`);
  if (sandbox.networkNamespace !== null) args.push(`--netns=${hostPath(sandbox.networkNamespace)}`);
  for (const map of identity.uidMappings) args.push(`--uidmap=${map.inside}:${map.outside}:${map.count}`);
  for (const map of identity.gidMappings) args.push(`--gidmap=${map.inside}:${map.outside}:${map.count}`);
  args.push(`--caps=${identity.capabilities.toString(16)}`);
  return args;
}

/** Writes the spec into an anonymous file that the launcher inherits, and returns its descriptor. */
function writeSpec(dist: string, spec: SandboxSpec): number {
  const fd = descriptorCalls(dist).memfd_create('sandbox-spec', 0);
  if (fd < 0) throw new Error(`memfd_create: errno ${-fd}`);
  // An fd freshly made is at offset 0; the launcher reads it from there by pread.
  const json = Buffer.from(JSON.stringify(spec), 'utf8');
  for (let done = 0; done < json.length; ) done += writeSync(fd, json, done, json.length - done, done);
  return fd;
}

function descriptorCalls(dist: string): DescriptorCalls {
  const addon = createRequire(join(dist, 'cli.js'))('./cloister.node') as { readonly host: DescriptorCalls };
  return addon.host;
}

/** A host path for the launcher's command line, which Node writes as UTF-8. */
function hostPath(bytes: string): string {
  const text = textOfBytes(bytes);
  if (text === null) throw new LaunchError(`${JSON.stringify(bytes)}: host paths that are not UTF-8 cannot be bound`);
  return text;
}

/** Finds what this host lacks before the launcher does, because here it can be said what to do about it. */
function checkHost(): void {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_KERNEL;
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor)) {
    throw new LaunchError(`Linux ${release()} is too old: ${OLDEST_KERNEL.join('.')} or newer is needed`);
  }
  if (setting('/proc/sys/user/max_user_namespaces') === '0') {
    throw new LaunchError('user namespaces are switched off: sysctl user.max_user_namespaces=15000');
  }
  if (process.geteuid?.() === 0) return;
  if (setting('/proc/sys/kernel/unprivileged_userns_clone') === '0') {
    throw new LaunchError('ordinary users get no user namespace here: sysctl kernel.unprivileged_userns_clone=1');
  }
  // A profile of ours may allow it all the same, but then we are not unconfined.
  const confined = setting('/proc/self/attr/current') !== 'unconfined';
  if (setting('/proc/sys/kernel/apparmor_restrict_unprivileged_userns') === '1' && !confined) {
    const remedy = 'sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile with `userns,`';
    throw new LaunchError(`AppArmor gives ordinary users no capability in their namespaces: ${remedy}`);
  }
}

/** The value of a file of /proc, or null where the kernel has no such file. */
function setting(path: string): string | null {
  try {
    return readFileSync(path, 'latin1').trim();
  } catch {
    return null;
  }
}
