// The options of TCP (tcp(7)) that the loopback keeps as numbers, and struct tcp_info.

import {
  TCP_CORK,
  TCP_DEFER_ACCEPT,
  TCP_FASTOPEN,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_LINGER2,
  TCP_MAXSEG,
  TCP_NODELAY,
  TCP_NOTSENT_LOWAT,
  TCP_QUICKACK,
  TCP_SYNCNT,
  TCP_USER_TIMEOUT,
  TCP_WINDOW_CLAMP,
} from '../../abi/socket.ts';
import { i32, u8 } from '../../platform/arena.ts';

/** Largest segment of the loopback. */
export const LOOPBACK_SEGMENT = 65483;
/** Algorithms of congestion control, the default first. */
export const CONGESTIONS: readonly string[] = ['cubic', 'reno'];

/**
 * Numbers with their range and what they are until they are set: [lowest, highest, default]. But for TCP_CORK and
 * TCP_DEFER_ACCEPT they only shape segments and timers, of which the loopback has none.
 */
export const TCP_NUMBERS: ReadonlyMap<number, readonly [number, number, number]> = new Map([
  [TCP_NODELAY, [0, 1, 0]],
  [TCP_CORK, [0, 1, 0]],
  [TCP_QUICKACK, [0, 1, 1]],
  [TCP_MAXSEG, [88, 32767, LOOPBACK_SEGMENT]],
  [TCP_KEEPIDLE, [1, 32767, 7200]],
  [TCP_KEEPINTVL, [1, 32767, 75]],
  [TCP_KEEPCNT, [1, 127, 9]],
  [TCP_SYNCNT, [1, 127, 6]],
  [TCP_LINGER2, [-1, 120, 60]],
  [TCP_USER_TIMEOUT, [0, 0x7fffffff, 0]],
  [TCP_NOTSENT_LOWAT, [-1, 0x7fffffff, -1]],
  [TCP_WINDOW_CLAMP, [0, 0x7fffffff, 0]],
  [TCP_DEFER_ACCEPT, [0, 0x7fffffff, 0]],
  // Whoever may send data with its first packet need not: nothing here does.
  [TCP_FASTOPEN, [0, 0x7fffffff, 0]],
]);

/** Options of a listener that its connections do not have. */
export const LISTENERS: readonly number[] = [TCP_DEFER_ACCEPT, TCP_FASTOPEN];
const FIRST_RETRY = 1;
const LONGEST_RETRY = 120;
const MOST_RETRIES = 255;

/** Seconds of TCP_DEFER_ACCEPT as Linux keeps them: as many whole retransmissions as it takes, each twice as long. */
export function deferSeconds(wanted: number): number {
  let seconds = wanted > 0 ? FIRST_RETRY : 0;
  let retry = FIRST_RETRY;
  for (let retries = 1; seconds < wanted && retries < MOST_RETRIES; retries++) {
    retry = Math.min(2 * retry, LONGEST_RETRY);
    seconds += retry;
  }
  return seconds;
}

const LONGEST_LINGER = 120;

/** TCP_LINGER2 as Linux keeps it: -1 for any negative number, and no more than two minutes. */
export function lingerLimit(seconds: number): number {
  return Math.max(-1, Math.min(seconds, LONGEST_LINGER));
}

/** States of struct tcp_info. */
export const INFO_ESTABLISHED = 1;
export const INFO_SYN_SENT = 2;
export const INFO_CLOSE = 7;
export const INFO_CLOSE_WAIT = 8;
export const INFO_LISTEN = 10;
const INFO_SIZE = 104;
/** Least time for a retransmission, in microseconds, and how many segments a connection sends at first. */
const LEAST_RETRY = 200_000;
const FIRST_WINDOW = 10;

/** Lays down the part of struct tcp_info that every kernel has; there are no segments to be counted. Its size. */
export function putTcpInfo(at: number, state: number): number {
  u8.fill(0, at, at + INFO_SIZE);
  u8[at] = state;
  i32[(at + 16) >> 2] = LOOPBACK_SEGMENT; // tcpi_snd_mss
  i32[(at + 20) >> 2] = LOOPBACK_SEGMENT; // tcpi_rcv_mss
  // As of a connection that has not lost anything.
  i32[(at + 8) >> 2] = LEAST_RETRY; // tcpi_rto
  i32[(at + 76) >> 2] = 0x7fffffff; // tcpi_snd_ssthresh
  i32[(at + 80) >> 2] = FIRST_WINDOW; // tcpi_snd_cwnd
  return INFO_SIZE;
}
