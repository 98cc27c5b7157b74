// The files of /proc/net that tell of interfaces, addresses, routes and neighbours.

import { AF_INET, AF_INET6 } from '../../abi/socket.ts';
import {
  addresses,
  counter,
  IFA_ADDRESS,
  interfaceOf,
  type Link,
  linkOf,
  links,
  neighbours,
  number,
  RTA_DST,
  RTA_GATEWAY,
  RTA_OIF,
  RTA_PRIORITY,
  RTA_TABLE,
  routes,
} from '../../net/links.ts';
import type { Network } from '../../net/network.ts';
import type { RouteObject } from '../../net/outside/host-interfaces.ts';

const RT_TABLE_MAIN = 254;
const RTF_UP = 1;
const RTF_GATEWAY = 2;
const RTF_HOST = 4;
const RTF_NONEXTHOP = 0x200000;
const RTF_LOCAL = 0x80000000;
const RTN_LOCAL = 2;
const ROUTE_WIDTH = 127;
const NUD_VALID = 0xde;
const ATF_COM = 2;
const NDA_DST = 1;
const NDA_LLADDR = 2;

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

function bytesHex(bytes: string, separator = ''): string {
  return [...bytes].map((byte) => hex(byte.charCodeAt(0), 2)).join(separator);
}

/** An IPv4 address or mask as the table shows it: a word in the machine's order. */
function word(address: string): string {
  return bytesHex([...address.padEnd(4, '\0')].reverse().join('')).toUpperCase();
}

function names(network: Network): Map<number, string> {
  return new Map(links(network).map((object) => [linkOf(object).index, linkOf(object).name]));
}

/** Places of the counters of struct rtnl_link_stats64 that add up to each column of /proc/net/dev, and its width. */
const COLUMNS: readonly (readonly [width: number, ...places: number[]])[] = [
  [7, 2],
  [7, 0],
  [4, 4],
  [4, 6, 15],
  [4, 14],
  [5, 10, 11, 12, 13],
  [10, 21],
  [9, 8],
  [8, 3],
  [7, 1],
  [4, 5],
  [4, 7],
  [4, 18],
  [5, 9],
  [7, 17, 16, 20, 19],
  [10, 22],
];

export function deviceRows(network: Network): string {
  const row = (link: Link): string => {
    const column = ([width, ...places]: readonly number[]): string =>
      String(places.reduce((sum, place) => sum + counter(link, place), 0)).padStart(width ?? 0);
    return `${link.name.padStart(6)}: ${COLUMNS.map(column).join(' ')}\n`;
  };
  return links(network).map(linkOf).map(row).join('');
}

export function addressRows6(network: Network): string {
  const byIndex = names(network);
  return addresses(network, AF_INET6)
    .map((object) => {
      const { head, attributes } = object;
      const index = interfaceOf(object);
      // RT_SCOPE_HOST, RT_SCOPE_LINK, and everywhere.
      const scope = { 254: 0x10, 253: 0x20 }[head.charCodeAt(3)] ?? 0;
      const numbers = [index, head.charCodeAt(1), scope, head.charCodeAt(2)].map((value) => hex(value, 2)).join(' ');
      return `${bytesHex(attributes.get(IFA_ADDRESS) ?? '')} ${numbers} ${(byIndex.get(index) ?? '').padStart(8)}\n`;
    })
    .join('');
}

/** RTF_* */
function routeFlags({ head, attributes }: RouteObject, hostBits: number): number {
  if (hostBits === 128 && head.charCodeAt(7) === RTN_LOCAL) return RTF_LOCAL + RTF_NONEXTHOP + RTF_UP;
  return RTF_UP | (attributes.has(RTA_GATEWAY) ? RTF_GATEWAY : 0) | (head.charCodeAt(1) === hostBits ? RTF_HOST : 0);
}

export function routeRows(network: Network): string {
  const byIndex = names(network);
  return routes(network, AF_INET)
    .filter(({ attributes }) => number(attributes, RTA_TABLE) === RT_TABLE_MAIN)
    .map((route) => {
      const { head, attributes } = route;
      const bits = head.charCodeAt(1);
      const mask = bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0;
      const maskBytes = String.fromCharCode(mask >>> 24, (mask >>> 16) & 255, (mask >>> 8) & 255, mask & 255);
      const fields = [
        byIndex.get(number(attributes, RTA_OIF)) ?? '*',
        word(attributes.get(RTA_DST) ?? ''),
        word(attributes.get(RTA_GATEWAY) ?? ''),
        hex(routeFlags(route, 32), 4).toUpperCase(),
        0,
        0,
        number(attributes, RTA_PRIORITY),
        word(maskBytes),
        0,
        0,
        0,
      ];
      return `${fields.join('\t').padEnd(ROUTE_WIDTH)}\n`;
    })
    .join('');
}

export function routeRows6(network: Network): string {
  const byIndex = names(network);
  const nowhere = '0'.repeat(32);
  return routes(network, AF_INET6)
    .map((route) => {
      const { head, attributes } = route;
      const destination = bytesHex(attributes.get(RTA_DST) ?? '').padEnd(32, '0');
      const gateway = bytesHex(attributes.get(RTA_GATEWAY) ?? '').padEnd(32, '0');
      const numbers = [number(attributes, RTA_PRIORITY), 0, 0, routeFlags(route, 128)];
      const words = numbers.map((value) => hex(value, 8)).join(' ');
      const name = (byIndex.get(number(attributes, RTA_OIF)) ?? '').padStart(8);
      return `${destination} ${hex(head.charCodeAt(1), 2)} ${nowhere} 00 ${gateway} ${words} ${name}\n`;
    })
    .join('');
}

export function neighbourRows(network: Network): string {
  const byIndex = names(network);
  return neighbours(network, AF_INET)
    .map((object) => {
      const { head, attributes } = object;
      const address = [...(attributes.get(NDA_DST) ?? '')].map((byte) => byte.charCodeAt(0)).join('.');
      const flags = head.charCodeAt(8) & NUD_VALID ? ATF_COM : 0;
      const hardware = bytesHex(attributes.get(NDA_LLADDR) ?? '\0'.repeat(6), ':');
      const device = byIndex.get(interfaceOf(object)) ?? '';
      return `${address.padEnd(16)} 0x${'1'.padEnd(10)}0x${hex(flags, 1).padEnd(10)}${hardware.padEnd(17)}     *        ${device}\n`;
    })
    .join('');
}
