// The state directory of containers: <root>/<id>/ with state.json, the control socket, the sandbox's log, and a file
// "created" for as long as the program has not been started. state.json is replaced in one step, so whoever reads it
// finds a whole one; that the processes are gone is seen in /proc, so no crash can leave a lie behind. Kept light: the
// verbs that clients call all the time load nothing but this.

import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ProcessSpec, SandboxSpec } from '../base/spec.ts';
import { LaunchError } from './launch-error.ts';
import { ordinaryUser } from './rootless.ts';

export const STATE_VERSION = 1;

export interface ContainerState {
  readonly version: typeof STATE_VERSION;
  readonly id: string;
  readonly ociVersion: string;
  /** Absolute paths on the host, as text. */
  readonly bundle: string;
  readonly rootfs: string;
  /** RFC 3339. */
  readonly created: string;
  readonly owner: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** The launcher's process, whose exit status is the container's; 0 while the container is being made. */
  readonly pid: number;
  /** When it was started, in clock ticks since the machine's boot: pids are used again. */
  readonly startTime: number;
  /** Its programs can say that they are ready. */
  readonly notifies?: true;
  /** The container in whose sandbox it is; not given: it has its own. */
  readonly sandbox?: string;
  /** CPUs for programs of exec that say nothing of CPUs themselves. */
  readonly execCpus?: readonly number[];
  /** Its launcher waits for hooks. */
  readonly creating?: true;
  /** As in the sandbox's spec. */
  readonly idMappings?: SandboxSpec['idMappings'];
  readonly cgroups: CgroupState;
  /** The unit of systemd's that has them, if one has. */
  readonly unit?: string;
  readonly hooks: HookLists;
  /** What exec starts from. */
  readonly process: ProcessSpec;
}

export interface CgroupState {
  readonly version: 0 | 1 | 2;
  /** The container's own cgroups by controller; all of version 2 stands under "". */
  readonly directories: Readonly<Record<string, string>>;
}

export interface Hook {
  readonly path: string;
  readonly args?: readonly string[] | undefined;
  readonly env?: readonly string[] | undefined;
  /** Seconds. */
  readonly timeout?: number | undefined;
}

export type HookName = 'prestart' | 'createRuntime' | 'createContainer' | 'startContainer' | 'poststart' | 'poststop';
export type HookLists = Readonly<Partial<Record<HookName, readonly Hook[] | undefined>>>;

export type Status = 'creating' | 'created' | 'running' | 'paused' | 'stopped';

/** Where state is kept when --root does not say. */
export function defaultRoot(): string {
  const user = ordinaryUser();
  if (user === null) return '/run/cloister';
  const runtime = process.env.XDG_RUNTIME_DIR;
  return runtime ? join(runtime, 'cloister') : `/tmp/cloister-${user}`;
}

/** Refuses names that are no file names. */
export function checkId(id: string): void {
  if (!/^[\w+.-]{1,1024}$/.test(id) || id === '.' || id === '..') {
    throw new LaunchError(`invalid container ID format: ${JSON.stringify(id)}`);
  }
}

/** Refuses a default directory that another user made, as anybody can in /tmp: what it says would be obeyed. */
function checkOwner(root: string): void {
  if (root !== defaultRoot()) return;
  const owner = lstatSync(root, { throwIfNoEntry: false })?.uid;
  if (owner === undefined || owner === 0 || owner === process.geteuid?.()) return;
  throw new LaunchError(`${root} belongs to another user: name a directory of your own with --root`);
}

export function stateDirectory(root: string, id: string): string {
  checkId(id);
  checkOwner(root);
  return join(root, id);
}

/** Makes the directory of a new container. Throws when there is one of that name. */
export function makeStateDirectory(root: string, id: string): string {
  const directory = stateDirectory(root, id);
  mkdirSync(root, { recursive: true, mode: 0o711 });
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new LaunchError(`container with given ID already exists: ${id}`);
  }
  return directory;
}

export function saveState(directory: string, state: ContainerState): void {
  replaceState(directory, state, fsyncSync);
}

/** The same, but that it is on the disk only when the returned function has been called: that may take a while. */
export function saveStateAtLeisure(directory: string, state: ContainerState): () => void {
  replaceState(directory, state, () => {});
  return () => {
    const fd = openSync(join(directory, 'state.json'), 'r+');
    fsyncSync(fd);
    closeSync(fd);
  };
}

function replaceState(directory: string, state: ContainerState, sync: (fd: number) => void): void {
  const temporary = join(directory, `.state.json.${process.pid}`);
  const fd = openSync(temporary, 'w', 0o600);
  writeSync(fd, JSON.stringify(state));
  sync(fd);
  closeSync(fd);
  renameSync(temporary, join(directory, 'state.json'));
}

/** Null: cut off, when the machine was. Its containers are gone since. */
function parseState(text: string): ContainerState | null {
  try {
    return JSON.parse(text) as ContainerState;
  } catch {
    return null;
  }
}

/** The state of a container, or null where there is none. One that was being made when its maker died has no pid. */
export function loadState(root: string, id: string): ContainerState | null {
  const directory = stateDirectory(root, id);
  let text: string;
  try {
    text = readFileSync(join(directory, 'state.json'), 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
  const state = parseState(text);
  if (state === null) return null;
  if (state.version !== STATE_VERSION) {
    throw new LaunchError(`${directory}: state of another version of cloister (${state.version})`);
  }
  return state;
}

/** The state of a container that must be there. */
export function requireState(root: string, id: string): ContainerState {
  const state = loadState(root, id);
  if (state === null) throw new LaunchError(`container ${JSON.stringify(id)} does not exist`);
  return state;
}

/** Names of all containers below a root, also half-made ones. */
export function listIds(root: string): string[] {
  try {
    return readdirSync(root, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

export function removeStateDirectory(root: string, id: string): void {
  rmSync(stateDirectory(root, id), { recursive: true, force: true });
}

/** Starting time of a process that is there and no zombie, in clock ticks since the machine's boot; -1 otherwise. */
export function processStartTime(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? -1 : Number(fields[19]);
  } catch {
    return -1;
  }
}

export function isAlive({ pid, startTime }: ContainerState): boolean {
  return pid > 0 && processStartTime(pid) === startTime;
}

export function statusOf(root: string, state: ContainerState): Status {
  if (state.pid === 0) return 'creating';
  if (!isAlive(state)) return 'stopped';
  if (state.creating) return 'creating';
  if (isFrozen(state.cgroups)) return 'paused';
  return statSync(createdMark(root, state.id), { throwIfNoEntry: false }) === undefined ? 'running' : 'created';
}

/** The file that is there until the container is started. */
export function createdMark(root: string, id: string): string {
  return join(stateDirectory(root, id), 'created');
}

/** Whether the container's cgroup is frozen, or about to be. */
export function isFrozen({ version, directories }: CgroupState): boolean {
  const directory = version === 2 ? directories[''] : directories.freezer;
  if (version === 0 || directory === undefined) return false;
  try {
    if (version === 2) return readFileSync(join(directory, 'cgroup.freeze'), 'latin1').trim() === '1';
    return readFileSync(join(directory, 'freezer.state'), 'latin1').trim() !== 'THAWED';
  } catch {
    return false;
  }
}

/** What `state` prints and hooks read. */
export function publicState(root: string, state: ContainerState): object {
  const status = statusOf(root, state);
  return {
    ociVersion: state.ociVersion,
    id: state.id,
    pid: status === 'stopped' ? 0 : state.pid,
    status,
    bundle: state.bundle,
    rootfs: state.rootfs,
    created: state.created,
    ...(Object.keys(state.annotations).length > 0 && { annotations: state.annotations }),
    owner: state.owner,
  };
}
