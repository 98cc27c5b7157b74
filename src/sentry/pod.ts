// Containers that joined the sandbox of another: each has a root, mounts and a first process of its own, and pids,
// network, System V objects and host name of its own or another container's, as it likes. A small process outside stands for each (native/boot/
// exec.c), as for an executed program: if that is killed, so is the container.

import { CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWUTS } from '../abi/sched.ts';
import { SIGKILL } from '../abi/signal.ts';
import type { HostFd } from '../base/brands.ts';
import type { ControlRequest } from '../base/control.ts';
import type { ProcessSpec } from '../base/spec.ts';
import { initialUser } from '../base/user-namespace.ts';
import { Cgroup } from '../kernel/cgroups.ts';
import { abandonTask, killGroup } from '../kernel/exit.ts';
import { kernel } from '../kernel/kernel.ts';
import { CgroupNamespace, initialNamespaces, type NamespaceSet, newNamespaces } from '../kernel/namespaces.ts';
import { initialPids } from '../kernel/pid-namespaces.ts';
import type { Task, ThreadGroup } from '../kernel/task.ts';
import { networkOf } from '../net/network.ts';
import { firstZygote, type Zygote } from '../platform/zygote.ts';
import type { BoundTree } from './arguments.ts';
import { ExecutedProgram, makeTerminal, openTerminal } from './exec.ts';
import { execute, installStream, makeProcess, settle } from './first-process.ts';
import { type Mounts, mountAll, mountRoot } from './mounts.ts';
import { StartError } from './start-error.ts';

export type ContainerRequest = Extract<ControlRequest, { verb: 'container' }>;

const STREAMS = 3;

export class PodContainer {
  readonly mounts: Mounts;
  readonly namespaces: NamespaceSet;
  readonly task: Task;
  readonly process: ProcessSpec;
  started = false;

  constructor(mounts: Mounts, namespaces: NamespaceSet, task: Task, process: ProcessSpec) {
    this.mounts = mounts;
    this.namespaces = namespaces;
    this.task = task;
    this.process = process;
  }

  /** Executes its program. Throws StartError. */
  start(): void {
    if (this.started) throw new StartError('the container has been started already', 1);
    this.started = true;
    execute(this.task, this.process);
  }

  get cgroup(): Cgroup {
    return this.namespaces.cgroup.root;
  }

  /** Whether a process is one of its own. */
  owns(group: ThreadGroup): boolean {
    return group.cgroup.top === this.cgroup;
  }

  kill(): void {
    if (this.task.group.status < 0) killGroup(this.task.group, SIGKILL, null);
  }

  /** Its first process has ended; the others end with it, also if they have the pids of another container. */
  end(): void {
    for (const group of [...kernel.groups.values()]) {
      if (group.status < 0 && this.owns(group)) killGroup(group, SIGKILL, null);
    }
    const { zygote } = this.cgroup;
    if (zygote !== firstZygote) zygote.end();
  }
}

/** By their ids. */
export const podContainers = new Map<string, PodContainer>();

/**
 * Makes a container, whose programs are executed in blanks of the zygote. `descriptors`: standard streams, root file system, binds, what is passed on. Throws StartError; the
 * descriptors that are left in the list are the caller's to close then.
 */
export function joinPod(
  request: ContainerRequest,
  descriptors: HostFd[],
  zygote: Zygote,
  onEnd: (status: number) => void,
): ExecutedProgram {
  const { id, spec, passed } = request;
  if (podContainers.has(id)) throw new StartError(`the pod has a container ${id} already`, 1);
  const namespaces = namespacesOf(request);
  Object.assign(namespaces.cgroup.root, { limits: spec.limits, zygote });
  const trees = treesOf(request, descriptors);
  const mounts = mountRoot(trees, spec);
  const task = makeProcess(spec.process, mounts.root, namespaces);
  if (request.namespaces.network === null) networkOf(task).setLoopback(true);
  try {
    mountAll(trees, spec, mounts, task);
    const streams = descriptors.slice(0, STREAMS);
    const terminal = spec.process.terminal ? makeTerminal(task, spec.process, streams, mounts) : null;
    for (const [fd, descriptor] of streams.entries()) {
      if (terminal) openTerminal(task, fd, terminal);
      else installStream(task, fd, descriptor);
    }
    const rest = descriptors.slice(STREAMS + 1 + request.binds.length);
    for (const [index, fd] of passed.entries()) installStream(task, fd, rest[index]);
    settle(task, spec.process);
    const container = new PodContainer(mounts, namespaces, task, spec.process);
    podContainers.set(id, container);
    return new ExecutedProgram(task.group, terminal, (status) => {
      podContainers.delete(id);
      container.end();
      onEnd(status);
    });
  } catch (error) {
    abandonTask(task);
    const left = descriptors.filter((fd) => !trees.taken.has(fd));
    descriptors.splice(0, descriptors.length, ...left);
    throw error;
  }
}

function treesOf({ binds }: ContainerRequest, descriptors: readonly HostFd[]) {
  const bound = new Map<string, BoundTree>();
  for (const [index, { name, isDirectory }] of binds.entries()) {
    bound.set(name, { fd: descriptors[STREAMS + 1 + index], isDirectory });
  }
  // Never the only one who looks at its files.
  return { rootfs: descriptors[STREAMS], binds: bound, listen: 0 as HostFd, taken: new Set<HostFd>() };
}

/** Those of the sandbox and of its other containers that it shares, and new ones. Throws StartError. */
function namespacesOf({ namespaces: { pid, ipc, uts, network }, spec }: ContainerRequest): NamespaceSet {
  const newKinds =
    (pid === null ? CLONE_NEWPID : 0) |
    (ipc === null ? CLONE_NEWIPC : 0) |
    (uts === null ? CLONE_NEWUTS : 0) |
    (network === null ? CLONE_NEWNET : 0);
  const made = newNamespaces(initialNamespaces, newKinds, initialUser, initialPids);
  if (typeof made === 'number') throw new StartError('there can be no more namespaces', 1);
  if (uts === null) Object.assign(made.uts, { hostname: spec.hostname, domainname: spec.domainname });
  return {
    ...made,
    cgroup: new CgroupNamespace(initialUser, new Cgroup(null, '')),
    ...(pid && { pidForChildren: namespacesIn(pid).pidForChildren }),
    ...(ipc && { ipc: namespacesIn(ipc).ipc }),
    ...(uts && { uts: namespacesIn(uts).uts }),
    ...(network && { net: namespacesIn(network).net }),
  };
}

function namespacesIn(id: string): NamespaceSet {
  const container = podContainers.get(id);
  if (!container) throw new StartError(`there is no container ${id} in the sandbox any more`, 1);
  return container.namespaces;
}
