// The sandbox's first process, pid 1 inside: its credentials, limits, standard streams and program, as the spec says.

import { EACCES, ENOENT, ENOEXEC, ENOTDIR, errnoName } from '../abi/errno.ts';
import { S_IFMT, S_IFREG } from '../abi/stat.ts';
import type { Fd, HostFd } from '../base/brands.ts';
import { monotonicNow } from '../base/clock.ts';
import { type Credentials, ROOT } from '../base/credentials.ts';
import type { ProcessSpec, SandboxSpec } from '../base/spec.ts';
import { registerKernelLog } from '../fs/dev/kmsg.ts';
import { registerLoopDevices } from '../fs/dev/loop.ts';
import { registerMemoryDevices } from '../fs/dev/memory-devices.ts';
import { type DevptsSuperblock, registerPtmxDevice } from '../fs/devpts/devpts.ts';
import { openConsole } from '../fs/hostio/console.ts';
import { openInherited } from '../fs/hostio/inherited.ts';
import { registerTtyDevice } from '../fs/tty/tty-file.ts';
import { ALL_CAPABILITIES, credentialsFromSpec } from '../kernel/credentials.ts';
import { changeNamespaces } from '../kernel/enter-namespaces.ts';
import { execTask } from '../kernel/exec.ts';
import { watchCpuLimit } from '../kernel/interval-timers.ts';
import { kernel } from '../kernel/kernel.ts';
import { Limits } from '../kernel/limits.ts';
import { initialNamespaces, type NamespaceSet } from '../kernel/namespaces.ts';
import { allocateNumbers, enlist, initialPids } from '../kernel/pid-namespaces.ts';
import { allCpus } from '../kernel/scheduling.ts';
import { addSeccompFilter } from '../kernel/seccomp.ts';
import { parseSeccompProgram } from '../kernel/seccomp-program.ts';
import { startSession } from '../kernel/sessions.ts';
import { SignalActions } from '../kernel/signal-state.ts';
import { Task } from '../kernel/task.ts';
import { AddressSpace } from '../mm/address-space.ts';
import { FsContext, type Path } from '../vfs/dentry.ts';
import { FdTable } from '../vfs/fd-table.ts';
import { checkAccess, MAY_EXECUTE } from '../vfs/permission.ts';
import { resolvePath } from '../vfs/walk.ts';
import type { SentryArguments } from './arguments.ts';
import { attachConsole } from './console.ts';
import { withHome } from './home.ts';
import { type Mounts, makeDirectory, mountAll } from './mounts.ts';
import { listenForReady } from './notify.ts';
import { CANNOT_START, StartError } from './start-error.ts';

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Exit statuses of shells and container runtimes. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

/** What pid 1 has while its world is being built; it gets the spec's credentials before its program starts. */
const ALL_POWERFUL: Credentials = {
  ...ROOT,
  effective: ALL_CAPABILITIES,
  permitted: ALL_CAPABILITIES,
  inheritable: ALL_CAPABILITIES,
  bounding: ALL_CAPABILITIES,
  ambient: ALL_CAPABILITIES,
};

/** Makes pid 1, ready to execute its program. Throws StartError when that cannot be. */
export function prepareFirstProcess(args: SentryArguments, spec: SandboxSpec, mounts: Mounts): Task {
  const { process } = spec;
  const task = makeProcess(process, mounts.root);
  kernel.init = initialPids.init = task.group;
  registerDevices();
  mountAll(args, spec, mounts, task);
  if (spec.notifySocket !== null) {
    const r = listenForReady(task, spec.notifySocket);
    if (r < 0) throw new StartError(`cannot listen at ${spec.notifySocket}: ${errnoName(-r)}`, CANNOT_START);
  }
  if (process.terminal && !mounts.devpts) throw new StartError('a terminal needs a devpts mount', CANNOT_START);
  installStreams(task, args, process, process.terminal ? mounts.devpts : null);
  settle(task, process);
  return task;
}

/** The process becomes who it is meant to be. Throws StartError when its directory or its program is not there. */
export function settle(task: Task, process: ProcessSpec): void {
  makeDirectory(task, process.cwd);
  task.credentials = credentialsFromSpec(process);
  if (process.seccomp !== null) installSeccomp(task, process.seccomp);
  const cwd = resolvePath(task, process.cwd);
  if (typeof cwd === 'number') throw new StartError(`working directory ${process.cwd}: ${errnoName(-cwd)}`, NOT_FOUND);
  task.fs.cwd = cwd;
  findProgram(task, process, (path) => checkProgram(path, task.credentials));
}

/** Its first program is there already as far as the filter is concerned: that may forbid execve. */
function installSeccomp(task: Task, base64: string): void {
  const bytes = Buffer.from(base64, 'base64');
  const program = parseSeccompProgram(bytes, 0, bytes.length >>> 3);
  if (typeof program === 'number') throw new StartError('the seccomp filter is not valid', NOT_EXECUTABLE);
  addSeccompFilter(task, program, 0);
}

/**
 * A process without a parent, in a session of its own and in the namespaces given: the first in its `pidForChildren` is
 * that one's init. For a container that shares the sandbox with others, `newNamespaces(initialNamespaces, CLONE_NEW*, …)`
 * makes them. Throws StartError when the init of the namespace has ended.
 */
export function makeProcess(process: ProcessSpec, root: Path, namespaces: NamespaceSet = initialNamespaces): Task {
  const identity = allocateNumbers(namespaces.pidForChildren);
  if (typeof identity === 'number') throw new StartError(`no process can be made: ${errnoName(-identity)}`, 1);
  const mm = new AddressSpace();
  const fs = new FsContext(root, root, process.umask);
  const task = new Task(identity, null, mm, new FdTable(), fs, ALL_POWERFUL, 'init');
  const { group } = task;
  group.cgroup = namespaces.cgroup.root;
  task.startTime = monotonicNow();
  mm.tasks.add(task);
  group.threads.add(task);
  group.actions = new SignalActions();
  group.oomScoreAdjust = process.oomScoreAdj;
  group.deviceRules = process.deviceRules;
  setScheduling(task, process);
  group.limits = Limits.defaults();
  for (const { resource, soft, hard } of process.rlimits) group.limits.set(resource, limit(soft), limit(hard));
  watchCpuLimit(group);
  if (namespaces !== initialNamespaces) changeNamespaces(task, namespaces);
  enlist('tasks', task);
  enlist('groups', group);
  task.pidNamespace.init ??= group;
  startSession(group);
  return task;
}

/** As the kernel would have set it for root: the configuration was checked for what can be. */
function setScheduling(task: Task, { scheduling, ioPriority, cpus, personality }: ProcessSpec): void {
  const own = task.scheduling;
  own.ioPriority = ioPriority;
  task.personality = personality;
  if (cpus !== null) own.affinity = allCpus().map((word, index) => word & cpuWord(cpus, index));
  if (scheduling === null) return;
  const { runtime, deadline, period, flags } = scheduling;
  own.policy = scheduling.policy;
  own.priority = scheduling.priority;
  own.nice = scheduling.nice;
  own.resetOnFork = scheduling.resetOnFork;
  own.deadline = { runtime, deadline, period, flags };
}

function cpuWord(cpus: readonly number[], index: number): number {
  return cpus.reduce((word, cpu) => (cpu >>> 5 === index ? word | (1 << (cpu & 31)) : word), 0) >>> 0;
}

/** RLIM_INFINITY (2^64 - 1, which a number cannot hold exactly) stands for no limit. */
function limit(value: number): number {
  return value >= Number.MAX_SAFE_INTEGER ? Number.POSITIVE_INFINITY : value;
}

/** Devices that inodes of any filesystem may stand for, by number. */
function registerDevices(): void {
  registerMemoryDevices();
  registerKernelLog();
  registerLoopDevices();
  registerTtyDevice();
  registerPtmxDevice();
}

/** With a `devpts` the streams are the console of it, whose other side are the host's; without they pass through. */
function installStreams(
  task: Task,
  args: SentryArguments,
  process: ProcessSpec,
  devpts: DevptsSuperblock | null,
): void {
  const descriptors = [0, 1, 2].map((fd) => (args.stdio[fd] >= 0 ? args.stdio[fd] : fd) as HostFd);
  for (const [fd, passed] of args.passed) installStream(task, fd, passed);
  const made = devpts ? attachConsole(task, descriptors, devpts, process, args.background) : null;
  for (let fd = 0; fd < 3; fd++) {
    if (!made) {
      installStream(task, fd, descriptors[fd]);
      continue;
    }
    const file = openConsole(task, made);
    if (typeof file !== 'number') task.files.replace(fd as Fd, file, false);
  }
}

/** A host descriptor becomes one of the process's own. */
export function installStream(task: Task, fd: number, descriptor: HostFd): void {
  const file = openInherited(descriptor);
  if (typeof file !== 'number') task.files.replace(fd as Fd, file, false);
}

/** Executes the program of a process that was settled. Throws StartError when that cannot be. */
export function execute(task: Task, process: ProcessSpec): void {
  const environment = withHome(task, process.env);
  findProgram(task, process, (path, name) => execTask(task, path, name, [...process.args], environment));
}

/** Tries each place where the program may be until `attempt` is content (0). Throws StartError when it never is. */
function findProgram(task: Task, process: ProcessSpec, attempt: (path: Path, name: string) => number): void {
  const [name] = process.args;
  let failure = ENOENT;
  for (const candidate of candidates(name, process.env)) {
    const path = resolvePath(task, candidate);
    const r = typeof path === 'number' ? path : attempt(path, candidate);
    if (r === 0) return;
    if (-r !== ENOENT && -r !== ENOTDIR) failure = -r;
  }
  if (failure === ENOENT) {
    const where = name.includes('/') ? 'no such file or directory' : 'executable file not found in $PATH';
    throw new StartError(`exec: "${name}": ${where}`, NOT_FOUND);
  }
  const reason =
    failure === ENOEXEC ? 'exec format error' : failure === EACCES ? 'permission denied' : errnoName(failure);
  throw new StartError(`exec: "${name}": ${reason}`, NOT_EXECUTABLE);
}

/** 0 if the path is a file that may be executed. */
function checkProgram({ dentry }: Path, credentials: Credentials): number {
  const { inode } = dentry;
  if (!inode || (inode.mode & S_IFMT) !== S_IFREG) return -EACCES;
  return checkAccess(inode, credentials, MAY_EXECUTE);
}

/** A name with a slash as it is, else below each directory of PATH. */
function candidates(name: string, environment: readonly string[]): string[] {
  if (name.includes('/')) return [name];
  if (name === '') return [];
  const path = environment.find((variable) => variable.startsWith('PATH='))?.slice(5) || DEFAULT_PATH;
  return path.split(':').map((directory) => `${directory || '.'}/${name}`);
}
