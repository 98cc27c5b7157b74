// The control server: whoever owns the container's state directory connects to its socket and asks for things, one line
// of JSON each (base/control.ts). The answer to an exec, and the program's end, come as lines of plain text, because a
// small native process reads them (native/boot/exec.c).

import { EAGAIN, EINTR } from '../abi/errno.ts';
import { O_CLOEXEC, O_NONBLOCK } from '../abi/fcntl.ts';
import { POLLIN } from '../abi/poll.ts';
import { SI_USER, SIGCHLD, SIGCONT, SIGKILL, SIGURG, SIGWINCH } from '../abi/signal.ts';
import type { HostFd } from '../base/brands.ts';
import type { ControlRequest, ProcessEntry } from '../base/control.ts';
import { host } from '../host/calls.ts';
import { type Cgroup, rootCgroup } from '../kernel/cgroups.ts';
import { killGroup } from '../kernel/exit.ts';
import { kernel } from '../kernel/kernel.ts';
import { signalInfo } from '../kernel/signal-state.ts';
import { sendSignalToGroup } from '../kernel/signals.ts';
import { isStopSignal } from '../kernel/stop.ts';
import type { ThreadGroup } from '../kernel/task.ts';
import { allocateScratch, buffer, i32, markScratch, releaseScratch } from '../platform/arena.ts';
import { unwatchHostFd, watchHostFd } from '../platform/host-events.ts';
import { firstZygote, type Zygote } from '../platform/zygote.ts';
import { endSandbox } from './end.ts';
import { type ExecutedProgram, startProgram } from './exec.ts';
import type { Mounts } from './mounts.ts';
import { whenReady } from './notify.ts';
import { Placing } from './placing.ts';
import { type ContainerRequest, joinPod, podContainers } from './pod.ts';
import { StartError } from './start-error.ts';

const CHUNK = 1 << 16;
const DESCRIPTORS_SIZE = 254 * 4;
/** A request with all arguments and the environment of a program. */
const MAX_REQUEST = 8 << 20;

let startHook: (() => void) | null = null;

/** The first program is executed when that is asked for. */
export function awaitStart(start: () => void): void {
  startHook = start;
}

/** Before its start a container that a signal would end just ends. True when there is nothing to send it to. */
export function endedBeforeStart(signo: number): boolean {
  if (!startHook) return false;
  if (!isHarmless(signo)) endSandbox(128 + signo);
  return true;
}

function isHarmless(signo: number): boolean {
  return isStopSignal(signo) || [SIGCHLD, SIGCONT, SIGURG, SIGWINCH].includes(signo);
}

/** Serves a listening socket. */
export function serveControl(listener: HostFd, mounts: Mounts): void {
  watchHostFd(listener, POLLIN, {
    ready() {
      const fd = host.accept4(listener, O_NONBLOCK | O_CLOEXEC);
      if (fd >= 0) new Connection(fd as HostFd, mounts).open();
    },
  });
}

class Connection {
  private readonly fd: HostFd;
  private readonly mounts: Mounts;
  private text = '';
  private readonly descriptors: HostFd[] = [];
  private program: ExecutedProgram | null = null;
  /** A container that waits for its processes' place on the host. */
  private joining: ContainerRequest | null = null;
  private placing: Placing | null = null;
  /** Whoever is at the other end stood for a program that has ended: signals are for nobody any more. */
  private ended = false;

  constructor(fd: HostFd, mounts: Mounts) {
    this.fd = fd;
    this.mounts = mounts;
  }

  open(): void {
    watchHostFd(this.fd, POLLIN, this);
  }

  ready(): void {
    const mark = markScratch();
    const at = allocateScratch(CHUNK);
    const descriptorsAt = allocateScratch(DESCRIPTORS_SIZE);
    const n = host.receive(this.fd, at, CHUNK, descriptorsAt);
    const word = descriptorsAt >> 2;
    if (n > 0) {
      for (let i = 1; i <= i32[word]; i++) this.descriptors.push(i32[word + i] as HostFd);
      this.text += buffer.latin1Slice(at, at + n);
    }
    releaseScratch(mark);
    if (n === -EAGAIN || n === -EINTR) return;
    if (n <= 0 || this.text.length > MAX_REQUEST) this.close();
    else this.serveLines();
  }

  private serveLines(): void {
    for (let end = this.text.indexOf('\n'); end >= 0; end = this.text.indexOf('\n')) {
      const line = this.text.slice(0, end);
      this.text = this.text.slice(end + 1);
      this.serve(JSON.parse(line) as ControlRequest);
    }
  }

  private serve(request: ControlRequest): void {
    switch (request.verb) {
      case 'start':
        return this.start(request.container);
      case 'signal':
        if (this.program) return sendToProgram(this.program, request.signal);
        if (this.ended) return;
        this.reply('{"ok":true}'); // before it, because it may be the end
        return sendToAll(request.signal, request.all ?? false, request.container);
      case 'ps':
        return this.listProcesses(request.container);
      case 'limit':
        return this.limit(request);
      case 'exec':
        return this.exec(request);
      case 'container':
        return this.receive(request);
      case 'placed':
        return this.placed();
      case 'notify':
        return whenReady((ready) => this.reply(JSON.stringify({ ok: true, ready })));
    }
  }

  private start(container: string | undefined): void {
    if (container !== undefined) return this.startContainer(container);
    const start = startHook;
    if (!start) return this.reply('{"error":"the container has been started already"}');
    startHook = null;
    try {
      start();
      this.reply('{"ok":true}');
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      this.reply(JSON.stringify({ error: error.message }));
      endSandbox(error.status);
    }
  }

  private startContainer(id: string): void {
    const container = podContainers.get(id);
    try {
      if (!container) throw new StartError('the container is not there', 1);
      container.start();
      this.reply('{"ok":true}');
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      this.reply(JSON.stringify({ error: error.message }));
      if (container?.task.group) killGroup(container.task.group, SIGKILL, null);
    }
  }

  private listProcesses(id: string | undefined): void {
    const groups = id === undefined ? ownGroups() : groupsOf(id);
    this.reply(JSON.stringify({ ok: true, processes: groups.flatMap(processEntry) }));
  }

  private limit({ limits, container }: Extract<ControlRequest, { verb: 'limit' }>): void {
    const cgroup: Cgroup | undefined = container === undefined ? rootCgroup : podContainers.get(container)?.cgroup;
    if (!cgroup) return this.reply('{"error":"the container is not there"}');
    cgroup.limits = { ...cgroup.limits, ...limits };
    this.reply('{"ok":true}');
  }

  private receive(request: ContainerRequest): void {
    if (!request.placed) {
      this.join(request, firstZygote);
      return;
    }
    this.joining = request;
    this.placing = new Placing((process) => this.reply(`place ${process}`));
  }

  /** The process from which those of a new container will descend is in its cgroup. */
  private placed(): void {
    const { joining, placing } = this;
    this.placing = this.joining = null;
    if (!joining || !placing) return this.close();
    const zygote = placing.placed(() => podContainers.get(joining.id)?.kill());
    if (!zygote) return this.close();
    if (!this.join(joining, zygote)) zygote.end();
  }

  /** Makes a container. False if that cannot be. */
  private join(request: ContainerRequest, zygote: Zygote): boolean {
    const descriptors = this.descriptors.splice(0);
    try {
      const expected = 4 + request.binds.length + request.passed.length;
      if (descriptors.length !== expected) throw new StartError('descriptors are missing', 1);
      this.program = joinPod(request, descriptors, zygote, (status) => {
        this.end(status);
      });
      this.reply('started');
      return true;
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      for (const fd of descriptors) host.close(fd);
      this.reply(`error ${error.status} ${error.message}`);
      return false;
    }
  }

  private exec(request: Extract<ControlRequest, { verb: 'exec' }>): void {
    const descriptors = this.descriptors.splice(0);
    try {
      if (descriptors.length !== 3 + request.passed.length) throw new StartError('descriptors are missing', 1);
      const container = request.container === undefined ? null : podContainers.get(request.container);
      if (container === undefined) throw new StartError('the container is not there', 1);
      const { mounts, namespaces } = container ?? { mounts: this.mounts, namespaces: undefined };
      const onEnd = (status: number): void => {
        this.end(status);
      };
      this.program = startProgram(request.process, descriptors, request.passed, mounts, onEnd, namespaces);
      this.reply('started');
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      for (const fd of descriptors) host.close(fd);
      this.reply(`error ${error.status} ${error.message}`);
    }
  }

  private end(status: number): void {
    this.program = null;
    this.ended = true;
    this.reply(`exit ${status}`);
  }

  /** A peer that does not read its answers is not waited for. */
  private reply(line: string): void {
    const mark = markScratch();
    const bytes = `${line}\n`;
    for (let done = 0; done < bytes.length; ) {
      const at = allocateScratch(CHUNK);
      const length = buffer.write(bytes.slice(done, done + CHUNK), at, 'latin1');
      releaseScratch(mark);
      const n = host.write(this.fd, at, length);
      if (n <= 0) return;
      done += n;
    }
  }

  private close(): void {
    unwatchHostFd(this.fd);
    host.close(this.fd);
    for (const fd of this.descriptors) host.close(fd);
    this.placing?.cancel();
    this.program?.kill();
  }
}

function sendToProgram({ group, terminal }: ExecutedProgram, signo: number): void {
  if (signo === SIGWINCH && terminal) terminal.resized();
  else sendSignalToGroup(group, signalInfo(signo, SI_USER));
}

function sendToAll(signo: number, all: boolean, container: string | undefined): void {
  if (container !== undefined) return sendToContainer(container, signo, all);
  if (endedBeforeStart(signo)) return;
  for (const group of all ? ownGroups() : [kernel.init]) {
    if (group && group.status < 0) sendSignalToGroup(group, signalInfo(signo, SI_USER));
  }
}

/** One that was not started ends by any signal that would end a program. */
function sendToContainer(id: string, signo: number, all: boolean): void {
  const container = podContainers.get(id);
  if (!container) return;
  const { group } = container.task;
  if (!container.started && !isHarmless(signo)) return killGroup(group, signo, null);
  for (const one of all ? groupsOf(id) : [group]) {
    if (one.status < 0) sendSignalToGroup(one, signalInfo(signo, SI_USER));
  }
}

function groupsOf(id: string): ThreadGroup[] {
  const container = podContainers.get(id);
  return container ? [...kernel.groups.values()].filter((group) => container.owns(group)) : [];
}

/** Of the sandbox's own container: what no other owns. */
function ownGroups(): ThreadGroup[] {
  const others = [...podContainers.values()];
  return [...kernel.groups.values()].filter((group) => !others.some((container) => container.owns(group)));
}

function processEntry(group: ThreadGroup): ProcessEntry[] {
  if (group.status >= 0 || group.leader.mm.hostPid === 0) return [];
  const { leader } = group;
  return [
    {
      pid: group.pid,
      parent: group.parent?.pid ?? 0,
      hostPid: leader.mm.hostPid,
      uid: leader.credentials.uid,
      name: leader.name,
    },
  ];
}
