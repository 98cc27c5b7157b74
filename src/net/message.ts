// One message on its way through a socket: where its bytes lie in the arena, and what goes with them.

import type { Numbered } from '../kernel/pid-namespaces.ts';
import type { OpenFile } from '../vfs/open-file.ts';

/** A control message that is neither rights nor credentials, its data as a byte string. */
export interface ControlItem {
  readonly level: number;
  readonly type: number;
  readonly data: string;
}

export class Message {
  /** Arena offset of the bytes, and how many: to send, or room for what is received. */
  at = 0;
  length = 0;
  /** MSG_* of the call. */
  flags = 0;
  /** A whole sockaddr as a byte string: where to (null: the peer), or where from ('' if the sender has no name). */
  address: string | null = null;
  /** Open files that go along (SCM_RIGHTS): each holds a reference. Whoever takes them sets this to null. */
  rights: OpenFile[] | null = null;
  /** SCM_CREDENTIALS, if `hasCredentials`. */
  hasCredentials = false;
  /** Null for nobody: from outside the sandbox. */
  pid: Numbered | null = null;
  uid = 0;
  gid = 0;
  /** Control messages for or from the protocol; null for none. */
  items: ControlItem[] | null = null;
  /** Received: bytes laid down at `at`; less than the call's result only with MSG_TRUNC. */
  copied = 0;
  /** Received: MSG_TRUNC, MSG_CTRUNC, …. */
  resultFlags = 0;

  /** Makes it a message of `length` bytes at `at` and nothing else. */
  set(at: number, length: number, flags: number): this {
    this.at = at;
    this.length = length;
    this.flags = flags;
    this.address = null;
    this.rights = null;
    this.hasCredentials = false;
    this.items = null;
    this.copied = 0;
    this.resultFlags = 0;
    return this;
  }
}
