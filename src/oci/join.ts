// Containers that share a sandbox: those of a pod, told by annotations of containerd, CRI-O and podman, and those that
// join a namespace of another container of ours by its path, /proc/PID/ns/KIND (podman and docker: --pid container:X).
// Each sandbox has a kernel of its own, so whoever shares a namespace shares the sandbox. Which of its namespaces a
// container has is settled here; what cannot be is refused by the name of the field.

import { readlinkSync, statSync } from 'node:fs';
import type { IdMapping } from '../base/spec.ts';
import { bytesOfText, pathOf } from './bytes.ts';
import type { OciConfig, OciLinux } from './config.ts';
import { LaunchError } from './launch-error.ts';
import { type ContainerState, isAlive, listIds, loadState, statusOf } from './state.ts';

type Annotations = Readonly<Record<string, string>>;
type OciNamespace = NonNullable<OciLinux['namespaces']>[number];

/** Whose namespace of each kind it has: null for one of its own, '' for the sandbox's, else a container's id. */
export type SharedNamespaces = Readonly<Record<SharedKind, string | null>>;
export type SharedKind = 'pid' | 'ipc' | 'uts' | 'network';

export interface Join {
  /** The container whose sandbox it is. */
  readonly sandbox: ContainerState;
  readonly namespaces: SharedNamespaces;
  /** Options of the launcher: the host's namespaces of the process that stands for it. */
  readonly options: readonly string[];
}

const KINDS = [
  { type: 'io.kubernetes.cri.container-type', sandbox: 'io.kubernetes.cri.sandbox-id' },
  { type: 'io.kubernetes.cri-o.ContainerType', sandbox: 'io.kubernetes.cri-o.SandboxID' },
];

/** Names in /proc/PID/ns. */
const FILES: Readonly<Record<OciNamespace['type'], string>> = {
  mount: 'mnt',
  pid: 'pid',
  network: 'net',
  uts: 'uts',
  ipc: 'ipc',
  user: 'user',
  cgroup: 'cgroup',
  time: 'time',
};

/** What CRI-O makes empty for a pod, before there is a container: the sandbox's own stand for them. */
const PINNED = new Set(['ipc', 'uts', 'user']);

function podOf(annotations: Annotations, kind: 'container' | 'sandbox'): string | null {
  for (const { type, sandbox } of KINDS) {
    if (annotations[type] === kind && annotations[sandbox]) return annotations[sandbox];
  }
  return null;
}

/** Whether a container is the first of a pod, in whose sandbox the others will be. */
export function isPodSandbox(annotations: Annotations): boolean {
  return KINDS.some(({ type }) => annotations[type] === 'sandbox');
}

/** The sandbox of the pod that a container with these annotations belongs to; null if it is to have its own. */
function sandboxOfPod(root: string, annotations: Annotations): ContainerState | null {
  const pod = podOf(annotations, 'container');
  if (pod === null) return null;
  return (listIds(root).includes(pod) ? loadState(root, pod) : null) ?? findSandbox(root, pod);
}

/** CRI-O gives the pod a name that is not its sandbox's. */
function findSandbox(root: string, pod: string): ContainerState | null {
  for (const id of listIds(root)) {
    const state = loadState(root, id);
    if (state !== null && podOf(state.annotations, 'sandbox') === pod) return state;
  }
  return null;
}

/** Inode of a namespace's file; null where there is none that we may see. */
function inodeOf(path: string): number | null {
  try {
    return statSync(pathOf(path)).ino;
  } catch {
    return null;
  }
}

/** The container whose namespace a path names; null: none of ours. */
function ownerOf(root: string, { type, path = '' }: OciNamespace): ContainerState | null {
  const pid = Number(/^\/proc\/(\d+)\/(?:task\/\d+\/)?ns\/\w+$/.exec(path)?.[1] ?? 0);
  const inode = inodeOf(bytesOfText(path));
  const own = inodeOf(`/proc/self/ns/${FILES[type]}`);
  let found: ContainerState | null = null;
  for (const id of listIds(root)) {
    const state = loadState(root, id);
    if (state === null || !isAlive(state)) continue;
    if (state.pid === pid) return state;
    // A bind mount of such a file. What all processes share says nothing.
    if (inode !== null && inode !== own && inodeOf(`/proc/${state.pid}/ns/${FILES[type]}`) === inode) found ??= state;
  }
  return found;
}

/** Whether a process, by its directory in /proc, is one of native/boot's, perhaps of an earlier build. */
function isLauncher(process: string): boolean {
  try {
    return /\/boot( \(deleted\))?$/.test(readlinkSync(`${process}/exe`));
  } catch {
    return false;
  }
}

/** Whether it is the caller's own, and not by way of a container's process, which has that of pids in common with us. */
function isCallers({ type, path = '' }: OciNamespace): boolean {
  const own = inodeOf(`/proc/self/ns/${FILES[type]}`);
  const [process] = /^\/proc\/\d+(?=\/)/.exec(path) ?? [];
  if (process !== undefined && isLauncher(process)) return false;
  return own !== null && inodeOf(bytesOfText(path)) === own;
}

function refuse(index: number, reason: string): never {
  throw new LaunchError(`config.json: linux.namespaces[${index}].path: ${reason}`);
}

/**
 * The configuration without namespaces that it names by the path of the caller's own: the container is to have the host's.
 * The network's is another matter (docs/network.md).
 */
export function withoutHostPaths(root: string, config: OciConfig): OciConfig {
  const { linux } = config;
  const isHost = (namespace: OciNamespace): boolean =>
    Boolean(namespace.path) &&
    namespace.type !== 'network' &&
    isCallers(namespace) &&
    ownerOf(root, namespace) === null;
  if (!linux?.namespaces?.some(isHost)) return config;
  return { ...config, linux: { ...linux, namespaces: linux.namespaces.filter((namespace) => !isHost(namespace)) } };
}

/** The sandbox that a container joins; null if it has one of its own. Throws a LaunchError. */
export function planJoin(root: string, { annotations = {}, linux = {} }: OciConfig): Join | null {
  const pod = sandboxOfPod(root, annotations);
  const { sandbox, owners } = findOwners(root, linux, pod, isPodSandbox(annotations));
  if (sandbox === null) return null;
  const status = statusOf(root, sandbox);
  if (status !== 'running' && status !== 'created') throw new LaunchError(`the sandbox ${sandbox.id} is ${status}`);
  requireSameIds(linux, sandbox, owners);
  const named = (type: string) => linux.namespaces?.find((namespace) => namespace.type === type);
  const shared = (type: 'pid' | 'ipc' | 'uts'): string | null => {
    const namespace = named(type);
    return namespace === undefined || namespace.path ? nameIn(owners.get(type) ?? sandbox) : null;
  };
  const network = networkIn(root, linux, sandbox);
  return {
    sandbox,
    namespaces: {
      pid: shared('pid'),
      ipc: shared('ipc'),
      uts: shared('uts'),
      network: network === null ? null : nameIn(network),
    },
    options: [
      `--launcher=${sandbox.pid}`,
      `--join=cgroup:/proc/${sandbox.pid}/ns/cgroup`,
      `--join=net:${network === null ? '' : `/proc/${network.pid}/ns/net`}`,
      ...(['ipc', 'uts'] as const).map((type) => {
        const from = shared(type) === null ? null : (owners.get(type) ?? sandbox);
        return `--join=${type}:${from === null ? '' : `/proc/${from.pid}/ns/${type}`}`;
      }),
    ],
  };
}

/** The name by which the sentry knows a container: none for the one that the sandbox was made for. */
function nameIn({ id, sandbox }: ContainerState): string {
  return sandbox === undefined ? '' : id;
}

/** The containers whose namespaces are named, by kind, and the sandbox in which they all are. */
function findOwners(
  root: string,
  { namespaces = [] }: OciLinux,
  pod: ContainerState | null,
  isSandbox: boolean,
): { sandbox: ContainerState | null; owners: Map<string, ContainerState> } {
  const owners = new Map<string, ContainerState>();
  let sandbox = pod;
  for (const [index, namespace] of namespaces.entries()) {
    const { type, path } = namespace;
    if (!path || type === 'network') continue;
    if (type === 'mount') refuse(index, 'joining a mount namespace is not supported');
    const owner = ownerOf(root, namespace);
    if (owner === null) {
      if (pod !== null || (isSandbox && PINNED.has(type))) continue;
      refuse(index, `${path} is no ${type} namespace of a running container of cloister's, and no other can be joined`);
    }
    const its = owner.sandbox === undefined ? owner : loadState(root, owner.sandbox);
    if (its === null) refuse(index, `the sandbox of ${owner.id} is gone`);
    if (sandbox !== null && its.id !== sandbox.id) {
      refuse(index, `${path} is in the sandbox ${its.id}, but a container can be in one only, here ${sandbox.id}`);
    }
    sandbox = its;
    owners.set(type, owner);
  }
  return { sandbox, owners };
}

/** The container whose network it has, null: a new one with nothing but a loopback. */
function networkIn(root: string, { namespaces = [] }: OciLinux, sandbox: ContainerState): ContainerState | null {
  const index = namespaces.findIndex(({ type }) => type === 'network');
  const inode = inodeOf(`/proc/${sandbox.pid}/ns/net`);
  const namespace = namespaces[index];
  if (namespace === undefined) {
    if (inode === inodeOf('/proc/self/ns/net')) return sandbox;
    throw new LaunchError(
      `config.json: linux.namespaces: the host's network cannot be had in the sandbox ${sandbox.id}, which has another: share that (--network container:${sandbox.id})`,
    );
  }
  if (!namespace.path) return null;
  const owner = ownerOf(root, namespace);
  if (owner !== null && (owner.sandbox ?? owner.id) === sandbox.id) return owner;
  if (inodeOf(bytesOfText(namespace.path)) === inode) return sandbox;
  refuse(
    index,
    `the sandbox ${sandbox.id} has another network, and can have one only: share that (--network container:${sandbox.id}), or none`,
  );
}

/** All in a sandbox have its user namespace. */
function requireSameIds(linux: OciLinux, sandbox: ContainerState, owners: ReadonlyMap<string, ContainerState>): void {
  if (owners.has('user')) return; // clients repeat its maps, or make some up
  for (const [field, own, its] of [
    ['uidMappings', linux.uidMappings, sandbox.idMappings?.uid],
    ['gidMappings', linux.gidMappings, sandbox.idMappings?.gid],
  ] as const) {
    const wanted = (own ?? []).map(({ containerID, hostID, size }) => [containerID, hostID, size]);
    const has = (its ?? []).map(({ inside, outside, count }: IdMapping) => [inside, outside, count]);
    if (JSON.stringify(wanted) === JSON.stringify(has)) continue;
    throw new LaunchError(`config.json: linux.${field}: must be those of the sandbox ${sandbox.id}, which it shares`);
  }
}
