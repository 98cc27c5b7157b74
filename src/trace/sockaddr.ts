// Socket addresses and messages in strace's words.

import { AF_INET, AF_INET6, AF_NETLINK, AF_UNIX } from '../abi/socket.ts';
import { formatValue } from './flags.ts';
import { Fields, hex, quoteBytes } from './text.ts';

/** A socket address of this many bytes; short and unknown ones as raw bytes. */
export function formatSockaddr(bytes: Uint8Array): string {
  if (bytes.length < 2) return bytes.length === 0 ? '""' : quoteBytes(bytes);
  const f = new Fields(bytes);
  const family = f.u16(0);
  const head = `sa_family=${formatValue('family', family)}`;
  if (family === AF_UNIX)
    return bytes.length === 2 ? `{${head}}` : `{${head}, sun_path=${formatUnixPath(bytes.subarray(2))}}`;
  if (family === AF_INET && bytes.length >= 8) {
    return `{${head}, sin_port=htons(${f.u16be(2)}), sin_addr=inet_addr("${bytes.subarray(4, 8).join('.')}")}`;
  }
  if (family === AF_INET6 && bytes.length >= 24) {
    const address = `inet_pton(AF_INET6, "${formatIpv6(f)}", &sin6_addr)`;
    const scope = bytes.length >= 28 ? `, sin6_scope_id=${f.u32(24)}` : '';
    return `{${head}, sin6_port=htons(${f.u16be(2)}), sin6_flowinfo=htonl(${f.u16be(4) * 65536 + f.u16be(6)}), ${address}${scope}}`;
  }
  if (family === AF_NETLINK && bytes.length >= 12) return `{${head}, nl_pid=${f.u32(4)}, nl_groups=${hex(f.u32(8))}}`;
  return `{${head}, sa_data=${quoteBytes(bytes.subarray(2))}}`;
}

function formatUnixPath(path: Uint8Array): string {
  if (path[0] === 0) return `@${quoteBytes(path.subarray(1), path.length)}`;
  const end = path.indexOf(0);
  return quoteBytes(end < 0 ? path : path.subarray(0, end), path.length);
}

/** An IPv6 address at offset 8 as RFC 5952 writes it: the longest run of zero groups is '::'. */
function formatIpv6(f: Fields): string {
  const groups = Array.from({ length: 8 }, (_, index) => f.u16be(8 + 2 * index));
  let start = -1;
  let length = 1;
  for (let from = 0; from < 8; from++) {
    let to = from;
    while (to < 8 && groups[to] === 0) to++;
    if (to - from > length) {
      start = from;
      length = to - from;
    }
  }
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  if (start < 0) return text(groups);
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}
