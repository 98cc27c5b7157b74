// /proc/sysvipc (sysvipc(7)): the tables that ipcs(1) reads.

import { initialUser, shownId } from '../../base/user-namespace.ts';
import type { IpcObject } from '../../kernel/ipc/ids.ts';
import { objectsIn } from '../../kernel/ipc/objects.ts';
import { kernel } from '../../kernel/kernel.ts';
import { initialNamespaces } from '../../kernel/namespaces.ts';
import { initialPids, type Numbered, numberIn } from '../../kernel/pid-namespaces.ts';
import type { Tree } from '../virtual/directory.ts';
import { text } from './system.ts';

const MSG_HEAD =
  '       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n';
const SEM_HEAD = '       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n';
const SHM_HEAD =
  '       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n';
const PAGE = 4096;

/** A line of right-aligned numbers, each as wide as given. */
function line(...cells: readonly (readonly [value: number | string, width: number])[]): string {
  return `${cells.map(([value, width]) => String(value).padStart(width)).join(' ')}\n`;
}

function perms(object: IpcObject): string {
  return object.mode.toString(8).padStart(5);
}

/** What the reader can name. */
const objects = () => objectsIn((kernel.current?.namespaces ?? initialNamespaces).ipc);

/** Owner, group, creator and its group, as the reader sees them. */
function seen(...ids: [number, number, number, number]): number[] {
  const { uidMap, gidMap } = kernel.current?.credentials.user ?? initialUser;
  return ids.map((id, i) => shownId(i % 2 === 0 ? uidMap : gidMap, id));
}

/** A process's number for the reader. */
function number(process: Numbered | null): number {
  return numberIn(kernel.current?.pidNamespace ?? initialPids, process);
}

function messageTable(): string {
  const rows = objects().messageQueues.objects.map((queue) => {
    if (queue === null) return '';
    const { key, id, bytes, messages, lastSender, lastReceiver, uid, gid, creatorUid, creatorGid } = queue;
    const owners = seen(uid, gid, creatorUid, creatorGid).map((value) => [value, 5] as const);
    const times = [queue.sendTime, queue.receiveTime, queue.changeTime].map((value) => [value, 10] as const);
    const counts = [[bytes, 11] as const, [messages.length, 10] as const, [number(lastSender), 5] as const] as const;
    return line([key, 10], [id, 10], [perms(queue), 5], ...counts, [number(lastReceiver), 5], ...owners, ...times);
  });
  return MSG_HEAD + rows.join('');
}

function semaphoreTable(): string {
  const rows = objects().semaphoreSets.objects.map((set) => {
    if (set === null) return '';
    const owners = seen(set.uid, set.gid, set.creatorUid, set.creatorGid).map((value) => [value, 5] as const);
    const times = [set.operationTime, set.changeTime].map((value) => [value, 10] as const);
    return line([set.key, 10], [set.id, 10], [perms(set), 5], [set.values.length, 11], ...owners, ...times);
  });
  return SEM_HEAD + rows.join('');
}

function segmentTable(): string {
  const rows = objects().segments.objects.map((segment) => {
    if (segment === null) return '';
    const { key, id, size, creator, lastUser, uid, gid, creatorUid, creatorGid } = segment;
    const pids = [number(creator), number(lastUser), segment.countAttached()].map(
      (value, i) => [value, i < 2 ? 5 : 6] as const,
    );
    const owners = seen(uid, gid, creatorUid, creatorGid).map((value) => [value, 5] as const);
    const times = [segment.attachTime, segment.detachTime, segment.changeTime].map((value) => [value, 10] as const);
    const memory = [[segment.resident() * PAGE, 21] as const, [0, 21] as const] as const;
    return line([key, 10], [id, 10], [perms(segment), 5], [size, 21], ...pids, ...owners, ...times, ...memory);
  });
  return SHM_HEAD + rows.join('');
}

export const SYSVIPC: Tree = {
  msg: text(messageTable),
  sem: text(semaphoreTable),
  shm: text(segmentTable),
};
