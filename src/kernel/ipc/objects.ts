// The objects of one ipc namespace (ipc_namespaces(7)): System V message queues, semaphores and shared memory, and the
// names of POSIX message queues. With the namespace go all that nobody has open or attached.

import { groupExitHooks } from '../exit-hooks.ts';
import type { IpcNamespace, IpcObjects } from '../namespaces.ts';
import type { Task, ThreadGroup } from '../task.ts';
import { IpcTable } from './ids.ts';
import { type MessageQueue, removeMessageQueue } from './messages.ts';
import { removeSemaphoreSet, type SemaphoreSet } from './semaphores.ts';
import { collectSegments, removeSegment, type SharedMemory } from './shared-memory.ts';

/** A POSIX message queue as far as its namespace is concerned. */
export interface NamedQueue {
  readonly uses: number;
  /** A process is notified no more. */
  forget(group: ThreadGroup): void;
  /** It has neither a name nor anybody who has it open. */
  unused(): void;
}

export class NamespaceObjects implements IpcObjects {
  readonly messageQueues: IpcTable<MessageQueue>;
  readonly semaphoreSets: IpcTable<SemaphoreSet>;
  readonly segments: IpcTable<SharedMemory>;
  readonly namedQueues = new Map<string, NamedQueue>();

  constructor({ owner }: IpcNamespace) {
    this.messageQueues = new IpcTable(owner);
    this.semaphoreSets = new IpcTable(owner);
    this.segments = new IpcTable(owner);
    living.add(this);
  }

  discard(): void {
    const { messageQueues, semaphoreSets, segments, namedQueues } = this;
    for (const queue of messageQueues.objects) if (queue) removeMessageQueue(messageQueues, queue);
    for (const set of semaphoreSets.objects) if (set) removeSemaphoreSet(semaphoreSets, set);
    for (const segment of segments.objects) if (segment) removeSegment(segments, segment);
    const named = [...namedQueues.values()];
    namedQueues.clear();
    for (const queue of named) if (queue.uses === 0) queue.unused();
    if (segments.count === 0) living.delete(this);
    else abandoned.add(this);
  }
}

/** Those that hold something, and among them those whose namespace is gone: what was attached is still there. */
const living = new Set<NamespaceObjects>();
const abandoned = new Set<NamespaceObjects>();

/** The objects of a namespace. */
export function objectsIn(namespace: IpcNamespace): NamespaceObjects {
  namespace.objects ??= new NamespaceObjects(namespace);
  return namespace.objects as NamespaceObjects;
}

/** The objects that a task can name. */
export function objectsOf(task: Task): NamespaceObjects {
  return objectsIn(task.namespaces.ipc);
}

/** The segments of all namespaces: what is mapped stays so wherever its process goes. */
export function* allSegments(): Iterable<SharedMemory> {
  for (const { segments } of living) for (const segment of segments.objects) if (segment) yield segment;
}

/** Whether a process has changed semaphores with SEM_UNDO. */
export function hasUndo(group: ThreadGroup): boolean {
  for (const { semaphoreSets } of living) if (semaphoreSets.objects.some((set) => set?.undo.has(group))) return true;
  return false;
}

groupExitHooks.push((group) => {
  for (const objects of living) {
    const { semaphoreSets, segments, namedQueues } = objects;
    if (semaphoreSets.count > 0) for (const set of semaphoreSets.objects) set?.takeBack(group);
    if (segments.count > 0) collectSegments(segments);
    for (const queue of namedQueues.values()) queue.forget(group);
    if (segments.count === 0 && abandoned.delete(objects)) living.delete(objects);
  }
});
