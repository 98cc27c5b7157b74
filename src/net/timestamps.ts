// Times of arrival for those who ask for them (SO_TIMESTAMP, SO_TIMESTAMPNS of socket(7)).

import { SO_TIMESTAMP, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS, SO_TIMESTAMPNS_NEW, SOL_SOCKET } from '../abi/socket.ts';
import { stampNow, type Timestamp } from '../base/clock.ts';
import type { ControlItem } from './message.ts';

/** In microseconds and in nanoseconds; the younger numbers are the same on a machine of 64 bits. */
const STAMPS: readonly number[] = [SO_TIMESTAMP, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS, SO_TIMESTAMPNS_NEW];
const IN_NANOSECONDS: readonly number[] = [SO_TIMESTAMPNS, SO_TIMESTAMPNS_NEW];

const now: Timestamp = { seconds: 0, nanoseconds: 0 };

/** Whether an option of SOL_SOCKET asks for times of arrival. */
export function isStamp(name: number): boolean {
  return STAMPS.includes(name);
}

/** The time now as the control message that an option asks for: a timeval or a timespec. */
export function stampItem(option: number): ControlItem {
  stampNow(now);
  const { seconds, nanoseconds } = now;
  const fraction = Math.floor(IN_NANOSECONDS.includes(option) ? nanoseconds : nanoseconds / 1000);
  const bytes = Buffer.alloc(16);
  bytes.writeUIntLE(seconds, 0, 6);
  bytes.writeUInt32LE(fraction, 8);
  return { level: SOL_SOCKET, type: option, data: bytes.toString('latin1') };
}
