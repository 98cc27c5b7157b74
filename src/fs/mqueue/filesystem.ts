// The mqueue filesystem (mq_overview(7)): the names of an ipc namespace's POSIX message queues as files, to be listed,
// read, made, changed and removed. Every mount of it shows the same.

import { ENOENT, ENOSPC } from '../../abi/errno.ts';
import { DT_REG } from '../../abi/fcntl.ts';
import { MQUEUE_MAGIC } from '../../abi/stat.ts';
import type { Credentials } from '../../base/credentials.ts';
import { objectsIn } from '../../kernel/ipc/objects.ts';
import type { IpcNamespace } from '../../kernel/namespaces.ts';
import type { AttributeChange, DirectorySink, Inode } from '../../vfs/inode.ts';
import { sysctlNumber } from '../proc/sysctl.ts';
import { VirtualDirectory } from '../virtual/directory.ts';
import { ROOT_INO, VirtualSuperblock } from '../virtual/superblock.ts';
import { MessageQueueInode, tooManyQueues } from './mqueue.ts';

export class MqueueSuperblock extends VirtualSuperblock {
  readonly typeName = 'mqueue';
  readonly root: QueueDirectory;

  constructor(namespace: IpcNamespace, mode = 0o1777, uid = 0, gid = 0) {
    super();
    this.magic = MQUEUE_MAGIC;
    this.root = new QueueDirectory(this, namespace, mode);
    this.root.uid = uid;
    this.root.gid = gid;
  }
}

class QueueDirectory extends VirtualDirectory {
  private readonly names: Map<string, MessageQueueInode>;

  constructor(superblock: MqueueSuperblock, namespace: IpcNamespace, mode: number) {
    super(superblock, ROOT_INO, mode);
    this.names = objectsIn(namespace).namedQueues as Map<string, MessageQueueInode>;
  }

  override get cacheable(): boolean {
    return false;
  }

  override setattr(change: AttributeChange): number {
    if (change.mode !== undefined) this.mode = (this.mode & ~0o7777) | (change.mode & 0o7777);
    if (change.uid !== undefined) this.uid = change.uid;
    if (change.gid !== undefined) this.gid = change.gid;
    return 0;
  }

  override lookup(name: string): Inode | number {
    return this.names.get(name) ?? -ENOENT;
  }

  override readdir(offset: number, sink: DirectorySink): number {
    let next = 0;
    for (const [name, { ino }] of this.names) if (next++ >= offset && !sink(name, ino, DT_REG, next)) break;
    return 0;
  }

  /** A queue with the usual bounds. */
  override create(name: string, mode: number, owner: Credentials): Inode | number {
    if (this.names.size >= sysctlNumber('fs.mqueue.queues_max', 256) || tooManyQueues()) return -ENOSPC;
    const messages = sysctlNumber('fs.mqueue.msg_default', 10);
    const size = sysctlNumber('fs.mqueue.msgsize_default', 8192);
    const made = new MessageQueueInode(this.names, name, mode, owner, messages, size);
    this.names.set(name, made);
    return made;
  }

  override unlink(name: string): number {
    this.names.delete(name);
    return 0;
  }
}
