// The options of a TCP socket (tcp(7)), inside and of a connection that is the host's.

import { EINVAL, ENOENT, ENOPROTOOPT, EPROTO } from '../../abi/errno.ts';
import {
  MCAST_JOIN_GROUP,
  SOL_TCP,
  TCP_CONGESTION,
  TCP_CORK,
  TCP_DEFER_ACCEPT,
  TCP_INFO,
  TCP_LINGER2,
  TCP_NODELAY,
} from '../../abi/socket.ts';
import type { Task } from '../../kernel/task.ts';
import { allocateScratch, i32, markScratch, readBytes, releaseScratch, u8, writeBytes } from '../../platform/arena.ts';
import { isMembership } from './multicast.ts';
import {
  CONGESTIONS,
  deferSeconds,
  INFO_CLOSE,
  INFO_CLOSE_WAIT,
  INFO_ESTABLISHED,
  INFO_LISTEN,
  INFO_SYN_SENT,
  LISTENERS,
  lingerLimit,
  putTcpInfo,
  TCP_NUMBERS,
} from './tcp-options.ts';
import { CONNECTED, OUTSIDE, TcpStream } from './tcp-stream.ts';

/** As much of struct tcp_info as Linux 5.10 has. */
const TCP_INFO_SIZE = 232;

export abstract class TcpSettings extends TcpStream {
  private chosenCongestion = CONGESTIONS[0];

  /** Has the options of the listener that it comes from. */
  protected inherit(listener: TcpSettings): void {
    this.sendBuffer = listener.sendBuffer;
    this.receiveBuffer = listener.receiveBuffer;
    this.lingers = listener.lingers;
    this.lingerSeconds = listener.lingerSeconds;
    this.copySwitches(listener);
    if (listener.hasDefaults) return;
    for (const [name, [, , otherwise]] of TCP_NUMBERS) {
      if (LISTENERS.includes(name)) continue;
      const value = listener.numberOf(SOL_TCP, name, otherwise);
      if (value !== otherwise) this.setNumber(SOL_TCP, name, value);
    }
  }

  /** The algorithm of congestion control: of a connection that is the host's, what the host has. */
  private get congestion(): string {
    const mark = markScratch();
    const at = this.state === OUTSIDE ? allocateScratch(16) : -1;
    const size = at < 0 ? 0 : (this.outer?.getOption(SOL_TCP, TCP_CONGESTION, at, 16) ?? 0);
    const name = size > 0 ? readBytes(at, size).replace(/\0.*$/s, '') : this.chosenCongestion;
    releaseScratch(mark);
    return name;
  }

  /** On the loopback there is no congestion: any algorithm will do. Elsewhere there is no choice. */
  private chooseCongestion(name: string): number {
    if (name === this.congestion) return 0;
    const inside = this.state === CONNECTED || (this.state !== OUTSIDE && this.outside === null);
    if (!inside || !CONGESTIONS.includes(name)) return -ENOENT;
    this.chosenCongestion = name;
    return 0;
  }

  override setProtocolOption(task: Task, level: number, name: number, at: number, length: number): number {
    // The older options for groups are for datagrams only.
    if (isMembership(level, name) && name < MCAST_JOIN_GROUP) return -EPROTO;
    if (level !== SOL_TCP) return super.setProtocolOption(task, level, name, at, length);
    if (name === TCP_CONGESTION) return this.chooseCongestion(readBytes(at, length).replace(/\0.*$/s, ''));
    const range = TCP_NUMBERS.get(name);
    if (!range) return -ENOPROTOOPT;
    if (length < 4) return -EINVAL;
    const given = range[0] === 0 && range[1] === 1 ? Number(i32[at >> 2] !== 0) : i32[at >> 2];
    const value = name === TCP_DEFER_ACCEPT ? deferSeconds(given) : name === TCP_LINGER2 ? lingerLimit(given) : given;
    if (value < range[0] || value > range[1]) return -EINVAL;
    this.setNumber(level, name, value);
    const pushes = (name === TCP_CORK && value === 0) || (name === TCP_NODELAY && value !== 0);
    if (pushes) this.peer?.showAll();
    return 0;
  }

  override getProtocolOption(level: number, name: number, at: number, length: number): number {
    if (level !== SOL_TCP) return super.getProtocolOption(level, name, at, length);
    if (name === TCP_CONGESTION) {
      u8.fill(0, at, at + 16);
      writeBytes(at, this.congestion);
      return 16;
    }
    if (name === TCP_INFO && this.state === OUTSIDE) return this.outer?.getOption(level, name, at, TCP_INFO_SIZE) ?? 0;
    if (name === TCP_INFO) {
      const states = [INFO_CLOSE, INFO_LISTEN, INFO_SYN_SENT, this.ended ? INFO_CLOSE_WAIT : INFO_ESTABLISHED];
      return putTcpInfo(at, states[this.state]);
    }
    const range = TCP_NUMBERS.get(name);
    if (!range) return -ENOPROTOOPT;
    const value = this.numberOf(level, name, range[2]);
    // None set is the system's.
    i32[at >> 2] = name === TCP_LINGER2 && value === 0 ? range[2] : value;
    return 4;
  }
}
