// Permission events of fanotify(7): a task that opens, reads or executes a marked file waits until every group that was
// to be asked has answered. Groups are asked one after the other, those of the highest class first; the first refusal is
// the last word.

import { EPERM, ERESTARTNOINTR } from '../../abi/errno.ts';
import { POLLIN } from '../../abi/poll.ts';
import { WaitQueue } from '../../base/wait-queue.ts';
import { block } from '../../kernel/block.ts';
import type { Task } from '../../kernel/task.ts';
import type { Inode } from '../../vfs/inode.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import type { FanotifyGroup } from './group.ts';

/** One group asked about one use of a file. */
export class Request {
  readonly inode: Inode;
  readonly mask: number;
  /** 0 allowed, -errno refused, null not answered yet. */
  answer: number | null = null;
  readonly queue = new WaitQueue();

  constructor(inode: Inode, mask: number) {
    this.inode = inode;
    this.mask = mask;
  }

  /** The group has answered, or is gone, which allows everything. */
  settle(answer: number): void {
    if (this.answer !== null) return;
    this.answer = answer;
    this.queue.wake(POLLIN);
  }
}

/** By task, what the call it makes has asked so far: group by group. */
const asked = new WeakMap<Task, Map<FanotifyGroup, Request[]>>();

/** Asks these groups, in order, whether a task may use a file. 0, -errno or WAIT; called again when an answer is there. */
export function askGroups(task: Task, file: OpenFile, mask: number, groups: readonly FanotifyGroup[]): number {
  let requests = asked.get(task);
  if (!requests || !task.resumed) {
    requests = new Map();
    asked.set(task, requests);
  }
  for (const group of groups) {
    const known = requests.get(group) ?? [];
    let request = known.find((one) => one.inode === file.inode && one.mask === mask);
    if (!request) {
      request = new Request(file.inode, mask);
      requests.set(group, [...known, request]);
      group.ask(file, mask, request);
    }
    if (request.answer === null) {
      const r = block(task, request.queue, POLLIN, ERESTARTNOINTR);
      // A signal ends the wait; the call that is made again after it asks again.
      if (r === -ERESTARTNOINTR) request.settle(-EPERM);
      return r;
    }
    if (request.answer < 0) return request.answer;
  }
  return 0;
}
