// The container's cgroups on the host, version 1 (one hierarchy per controller) or 2: found, made, frozen, emptied,
// removed. Setting limits is cgroup-resources.ts's. A directory is a cgroup only where mountinfo says so: container
// hosts have plain directories with the names of controllers.

import { mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { isBegun } from './front.ts';
import { LaunchError } from './launch-error.ts';
import { type CgroupState, isFrozen } from './state.ts';

/** Where a hierarchy is mounted, and where in it we are. */
interface Hierarchy {
  /** Of version 1; empty for version 2. "name=systemd" counts as one. */
  readonly controllers: readonly string[];
  readonly mountPoint: string;
  readonly own: string;
  /** What of the hierarchy is mounted there. */
  readonly root: string;
}

export const NO_CGROUPS: CgroupState = { version: 0, directories: {} };

/** Where the container's cgroups will be. Nothing is made yet. */
export function planCgroups(cgroupsPath: string | undefined, id: string): CgroupState {
  if (cgroupsPath?.includes('..')) throw new LaunchError('config.json: linux.cgroupsPath: must not contain ".."');
  return statesAt((own) => (cgroupsPath?.startsWith('/') ? cgroupsPath : posix.join(own, cgroupsPath || id)));
}

/** Those at a path that /proc/PID/cgroup shows. */
export function cgroupsAt(path: string): CgroupState {
  return statesAt((_, root) => relative(path, root));
}

/**
 * Those of a unit at its path: where systemd has version 2 beside version 1, that is where it looks for a unit's processes.
 */
export function cgroupsOfUnit(path: string): CgroupState {
  const state = cgroupsAt(path);
  const beside = state.version === 1 && findHierarchies().find(({ controllers }) => controllers.length === 0);
  if (!beside) return state;
  const directory = posix.join(beside.mountPoint, relative(path, beside.root));
  if (!statSync(directory, { throwIfNoEntry: false })) return state;
  return { ...state, directories: { ...state.directories, unified: directory } };
}

function statesAt(pathIn: (own: string, root: string) => string): CgroupState {
  const hierarchies = findHierarchies();
  const legacy = hierarchies.filter(({ controllers }) => controllers.length > 0);
  // Where version 1 has controllers, version 2 beside it is systemd's own or has what nobody asked for.
  const used = legacy.length > 0 ? legacy : hierarchies;
  const directories: Record<string, string> = {};
  for (const { controllers, mountPoint, own, root } of used) {
    const path = pathIn(own, root);
    for (const controller of controllers.length > 0 ? controllers : ['']) {
      directories[controller] = posix.join(mountPoint, path);
    }
  }
  if (used.length === 0) return NO_CGROUPS;
  return { version: legacy.length > 0 ? 1 : 2, directories };
}

function findHierarchies(): Hierarchy[] {
  const own = ownCgroups();
  const found = new Map<string, Hierarchy>();
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const [, , , root = '', mountPoint = ''] = left.split(' ');
    const [type = '', , options = ''] = right.split(' ');
    if (type === 'cgroup2' && !found.has('')) {
      found.set('', { controllers: [], mountPoint, own: relative(own.get('') ?? '/', root), root });
    } else if (type === 'cgroup') {
      const controllers = options.split(',').filter((option) => own.has(option));
      if (controllers.length === 0 || found.has(controllers[0] as string)) continue;
      const path = relative(own.get(controllers[0] as string) ?? '/', root);
      found.set(controllers[0] as string, { controllers, mountPoint, own: path, root });
    }
  }
  return [...found.values()];
}

/** Our cgroup in each hierarchy, by controller. */
function ownCgroups(): Map<string, string> {
  const own = new Map<string, string>();
  for (const line of readFileSync('/proc/self/cgroup', 'utf8').split('\n')) {
    const [, controllers, ...path] = line.split(':');
    for (const controller of controllers?.split(',') ?? []) own.set(controller, path.join(':'));
  }
  return own;
}

/** A path in the hierarchy as seen below a mount that shows it from `root` on. */
function relative(path: string, root: string): string {
  return root !== '/' && path.startsWith(root) ? path.slice(root.length) || '/' : path;
}

/** The directories of a container's cgroups, each once. */
export function cgroupDirectories({ directories }: CgroupState): string[] {
  return [...new Set(Object.values(directories))];
}

/** Makes them. */
export function makeCgroups(state: CgroupState): void {
  for (const [controller, directory] of Object.entries(state.directories)) {
    try {
      makeCgroup(directory, controller, state.version === 2);
    } catch (error) {
      throw new LaunchError(`cannot make the cgroup ${directory}: ${(error as Error).message}`);
    }
  }
}

function makeCgroup(directory: string, controller: string, unified: boolean): void {
  if (statSync(directory, { throwIfNoEntry: false }) === undefined) {
    const parent = dirname(directory);
    makeCgroup(parent, controller, unified);
    mkdirSync(directory, { mode: 0o755 });
  }
  if (controller === 'cpuset') inheritCpuset(directory);
  if (unified) delegate(dirname(directory));
}

/**
 * A cpuset of version 1 starts with no CPU and no memory node, and takes no process in that state. Those above it may have
 * been made by somebody who did not care.
 */
function inheritCpuset(directory: string): void {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const path = join(directory, file);
    if (readFileSync(path, 'latin1').trim() !== '') continue;
    const parent = dirname(directory);
    if (!statSync(join(parent, file), { throwIfNoEntry: false })) continue;
    inheritCpuset(parent);
    writeFileSync(path, readFileSync(join(parent, file)));
  }
}

/** Version 2: the children get all controllers that there are. One that cannot be passed on is missed when it is set. */
function delegate(parent: string): void {
  const read = (file: string): string[] => {
    const path = join(parent, file);
    return statSync(path, { throwIfNoEntry: false }) ? readFileSync(path, 'latin1').trim().split(/\s+/) : [];
  };
  const enabled = read('cgroup.subtree_control');
  for (const controller of read('cgroup.controllers')) {
    if (controller === '' || enabled.includes(controller)) continue;
    try {
      writeFileSync(join(parent, 'cgroup.subtree_control'), `+${controller}`);
    } catch {
      // Said when a limit needs it.
    }
  }
}

/** Processes in the container's cgroups and those below them, as host pids. */
export function cgroupProcesses(state: CgroupState): number[] {
  const pids = new Set<number>();
  for (const directory of cgroupDirectories(state)) collectProcesses(directory, pids);
  return [...pids];
}

function collectProcesses(directory: string, into: Set<number>): void {
  try {
    const text = readFileSync(join(directory, 'cgroup.procs'), 'latin1');
    for (const line of text.split('\n')) if (line !== '') into.add(Number(line));
  } catch (error) {
    // A threaded cgroup has no list of processes: they are its parent's.
    if (!isGone(error) && (error as NodeJS.ErrnoException).code !== 'EOPNOTSUPP') throw error;
  }
  for (const below of subdirectories(directory)) collectProcesses(below, into);
}

function subdirectories(directory: string): string[] {
  try {
    const entries = readdirSync(directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(directory, name));
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/**
 * Refuses cgroups that somebody else uses: their processes would share the container's limits, and its end. Frozen
 * ones would hold the container before it starts.
 */
export function requireUnusedCgroups(state: CgroupState): void {
  const { length } = cgroupProcesses(state).filter((pid) => !isBegun(pid));
  if (length > 0) throw new LaunchError(`container's cgroup is not empty: ${length} process(es) found`);
  if (isFrozen(state)) throw new LaunchError("container's cgroup unexpectedly frozen");
}

const REMOVE_TRIES = 1000;
const REMOVE_PAUSE = 10;

/** Removes them, after killing whatever is still in them. */
export function removeCgroups(state: CgroupState): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let tries = 0; ; tries++) {
    const left = cgroupDirectories(state).filter((directory) => !removed(directory));
    if (left.length === 0) return;
    if (tries === REMOVE_TRIES) throw new LaunchError(`the cgroup ${left[0]} cannot be removed: it is not empty`);
    if (tries === 0) setFrozen(state, false);
    for (const pid of cgroupProcesses(state)) kill(pid);
    Atomics.wait(pause, 0, 0, REMOVE_PAUSE);
  }
}

function removed(directory: string): boolean {
  for (const below of subdirectories(directory)) removed(below);
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    return isGone(error);
  }
}

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENODEV';
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

const FREEZE_TRIES = 1000;
const FREEZE_PAUSE = 2;

/** Freezes or thaws everything in the container. False where there is no freezer. */
export function setFrozen({ version, directories }: CgroupState, frozen: boolean): boolean {
  const directory = version === 2 ? directories[''] : directories.freezer;
  if (version === 0 || directory === undefined || !statSync(directory, { throwIfNoEntry: false })) return false;
  if (version === 2) writeFileSync(join(directory, 'cgroup.freeze'), frozen ? '1' : '0');
  else writeFileSync(join(directory, 'freezer.state'), frozen ? 'FROZEN' : 'THAWED');
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let tries = 0, still = 0; frozen && tries < FREEZE_TRIES && still < 3; tries++) {
    Atomics.wait(pause, 0, 0, FREEZE_PAUSE);
    still = isStill(version, directory) ? still + 1 : 0;
  }
  return true;
}

/**
 * Whether nothing runs any more. The kernel itself may never call it frozen: a guest's thread in the midst of a system
 * call sleeps where it cannot be frozen, but it is the sentry that would have to wake it.
 */
function isStill(version: 1 | 2, directory: string): boolean {
  const threads = readFileSync(join(directory, version === 2 ? 'cgroup.threads' : 'tasks'), 'latin1').split('\n');
  return threads.every((tid) => tid === '' || !isRunning(tid));
}

function isRunning(tid: string): boolean {
  try {
    const text = readFileSync(`/proc/${tid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).startsWith('R');
  } catch {
    return false; // it has ended
  }
}
