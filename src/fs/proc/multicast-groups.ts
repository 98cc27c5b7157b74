// /proc/net/igmp and igmp6: the multicast groups of the loopback, which are those that every interface is in and those
// that sockets have joined (net/inet/multicast.ts).

import { LOOPBACK_INDEX } from '../../net/links.ts';
import type { Network } from '../../net/network.ts';

/** 224.0.0.1: all hosts. */
const ALL_HOSTS = '\xe0\0\0\x01';
/** ff02::1 and ff01::1: all nodes of the link, and of the interface. */
const ALL_NODES = [
  { group: `\xff\x02${'\0'.repeat(13)}\x01`, flags: 0xc },
  { group: `\xff\x01${'\0'.repeat(13)}\x01`, flags: 8 },
];
/** MAF_LOADED: the device was told. */
const LOADED = 4;

interface Joined {
  readonly group: string;
  readonly users: number;
}

/** Groups of a length (4 or 16 bytes) that sockets have joined, the newest first. */
function joined(network: Network, length: number): Joined[] {
  const all = [...network.groups].map(([group, users]) => ({ group, users }));
  return all.filter(({ group }) => group.length === length).reverse();
}

export function groupRows(network: Network): string {
  const all = [...joined(network, 4), { group: ALL_HOSTS, users: 1 }];
  const rows = all.map(({ group, users }) => {
    const number = Buffer.from(group, 'latin1').readUInt32LE(0).toString(16).toUpperCase().padStart(8, '0');
    return `\t\t\t\t${number} ${String(users).padStart(5)} 0:00000000\t\t0\n`;
  });
  return `${LOOPBACK_INDEX}\t${'lo'.padEnd(10)}: ${String(all.length).padStart(5)} ${'V3'.padStart(7)}\n${rows.join('')}`;
}

export function groupRows6(network: Network): string {
  const own = joined(network, 16).map((one) => ({ ...one, flags: LOADED }));
  const rows = [...own, ...ALL_NODES.map((one) => ({ ...one, users: 1 }))].map(({ group, users, flags }) => {
    const address = Buffer.from(group, 'latin1').toString('hex');
    const numbers = `${String(users).padStart(5)} ${flags.toString(16).toUpperCase().padStart(8, '0')} 0`;
    return `${String(LOOPBACK_INDEX).padEnd(4)} ${'lo'.padEnd(15)} ${address} ${numbers}\n`;
  });
  return rows.join('');
}
