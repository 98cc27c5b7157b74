// Scattered buffers and messages (struct iovec, struct msghdr) in strace's words.

import { MSGHDR_SIZE } from '../abi/socket.ts';
import { FLAGS, formatFlags } from './flags.ts';
import type { GuestMemory } from './guest-memory.ts';
import { formatSockaddr } from './sockaddr.ts';
import { Fields, pointer, quoteBytes, STRING_MAX } from './text.ts';

export const IOVEC_SIZE = 16;

/** More elements of an array than this are not printed. */
export const ELEMENTS_MAX = 32;

/** A buffer of `length` bytes, of which at most STRING_MAX are read and shown; its address if it cannot be read. */
export function formatBuffer(address: number, length: number, memory: GuestMemory): string {
  if (address === 0) return 'NULL';
  if (length <= 0) return '""';
  const shown = Math.min(length, STRING_MAX);
  const bytes = memory.readMemory(address, shown);
  return bytes === null ? pointer(address) : quoteBytes(bytes, STRING_MAX, length > shown);
}

/** An array of struct iovec. `filled` bytes in all hold data; Infinity if every buffer is full. */
export function formatIovecs(address: number, count: number, filled: number, memory: GuestMemory): string {
  if (address === 0) return 'NULL';
  if (count <= 0) return '[]';
  const shown = Math.min(count, ELEMENTS_MAX);
  const bytes = memory.readMemory(address, shown * IOVEC_SIZE);
  if (bytes === null) return pointer(address);
  const f = new Fields(bytes);
  const parts: string[] = [];
  let rest = filled;
  for (let index = 0; index < shown; index++) {
    const base = f.u64(index * IOVEC_SIZE);
    const length = f.u64(index * IOVEC_SIZE + 8);
    const used = Math.min(length, rest);
    rest -= used;
    parts.push(`{iov_base=${formatBuffer(base, used, memory)}, iov_len=${length}}`);
  }
  return `[${parts.join(', ')}${count > shown ? ', ...' : ''}]`;
}

/** A struct msghdr whose buffers hold `filled` bytes in all. */
export function formatMsghdr(address: number, filled: number, memory: GuestMemory): string {
  const bytes = memory.readMemory(address, MSGHDR_SIZE);
  if (bytes === null) return pointer(address);
  const f = new Fields(bytes);
  const nameLength = f.u32(8);
  const name = f.u64(0) === 0 || nameLength > 128 ? null : memory.readMemory(f.u64(0), nameLength);
  const parts = [
    `msg_name=${name === null ? f.pointer(0) : formatSockaddr(name)}`,
    `msg_namelen=${nameLength}`,
    `msg_iov=${formatIovecs(f.u64(16), f.u64(24), filled, memory)}`,
    `msg_iovlen=${f.u64(24)}`,
  ];
  if (f.u64(40) !== 0) parts.push(`msg_control=${f.pointer(32)}`);
  parts.push(`msg_controllen=${f.u64(40)}`, `msg_flags=${formatFlags(FLAGS.msg, f.u32(48))}`);
  return `{${parts.join(', ')}}`;
}
