// The egress policy: which destinations outside a sandbox may reach. Asked before a connection is begun or a datagram
// sent, so what it refuses never becomes a packet; the caller is told EPERM, as by a packet filter.
//
// Where rules have names, the sandbox's name resolution is watched: queries go to the configured resolvers only, those
// for names that no rule would let anybody reach are answered in the resolver's stead (a name is data, too), and
// what the resolver answers is remembered: for as long as it holds, a rule with that name is one for those addresses.

import { EPERM } from '../../abi/errno.ts';
import { monotonicNow } from '../../base/clock.ts';
import type { EgressRule, EgressSpec } from '../../base/spec.ts';
import { type Endpoint, textOfHost } from '../inet/address.ts';
import { parseAnswer, parseQuery, type Query } from './dns.ts';

export const DNS_PORT = 53;
const SECOND = 1e9;
/** A name holds for at least this long: programs keep addresses longer than they should. In seconds. */
const SHORTEST_MEMORY = 300;
const LONGEST_MEMORY = 86400;
/** Addresses remembered, and names of one. */
const MOST_ADDRESSES = 16384;
const MOST_NAMES = 64;
/** Queries of one socket that are not answered yet. */
const MOST_PENDING = 64;
/** Lines of log in a minute: a guest in a loop is told of once. */
const MOST_LINES = 60;

/** Echo requests are icmp; groups are joined by igmp: by what multicast routers are told, which leaves the sandbox too. */
export type Protocol = 'tcp' | 'udp' | 'icmp' | 'igmp';

/** Who wants out, for the log. */
export interface Asker {
  readonly group: { readonly pid: number };
  readonly name: string;
}

/** Queries that a socket has sent and that may be answered: by number and name. */
export type Pending = Set<string>;

export class Egress {
  /** All of them have to allow it. */
  private readonly policies: readonly EgressSpec[];
  private readonly resolvers: ReadonlySet<string>;
  private readonly log: (line: string) => void;
  /** Names that an address is known by, each until when (ns). */
  private readonly known = new Map<string, Map<string, number>>();
  /** Rules have names, so resolution is watched. */
  readonly watchesNames: boolean;
  private lines = 0;
  private minute = 0;

  constructor(policies: readonly EgressSpec[], resolvers: readonly string[], log: (line: string) => void) {
    this.policies = policies;
    this.resolvers = new Set(resolvers);
    this.log = log;
    this.watchesNames = policies.some(hasNames);
  }

  /**
   * 0, or -EPERM if the policy is against it. What is `near`, in the own namespace, is no egress, and only refused by a
   * rule that names it.
   */
  check(asker: Asker, protocol: Protocol, to: Endpoint, near = false): number {
    if (this.watchesNames && to.port === DNS_PORT) {
      if (this.resolvers.has(to.host)) return 0;
      return this.refuse(asker, protocol, to, 'names are resolved by the configured servers only');
    }
    for (const { rules, otherwise } of this.policies) {
      const rule = rules.find((candidate) => this.matches(candidate, protocol, to));
      if (near && (rule?.networks ?? null) === null) continue;
      if ((rule?.action ?? otherwise) === 'deny') return this.refuse(asker, protocol, to, rule?.text ?? 'default=deny');
    }
    return 0;
  }

  /** Whether what is said to this destination is DNS that has to be looked at. */
  watches(to: Endpoint): boolean {
    return this.watchesNames && to.port === DNS_PORT;
  }

  /** Whether the query in a message may be sent: then it is pending. Else that is logged. */
  admitQuery(asker: Asker, protocol: Protocol, to: Endpoint, bytes: Buffer, pending: Pending): boolean {
    const query = parseQuery(bytes);
    if (!query) {
      this.refuse(asker, protocol, to, 'not a plain DNS query');
      return false;
    }
    for (const { rules, otherwise } of this.policies.filter(hasNames)) {
      const rule = rules.find(({ names }) => names?.some((name) => isBelow(query.name, name)));
      if ((rule?.action ?? otherwise) === 'allow') continue;
      this.refuse(asker, protocol, to, `${rule?.text ?? 'default=deny'}, asked for ${printable(query.name)}`);
      return false;
    }
    if (pending.size >= MOST_PENDING) pending.delete([...pending][0]);
    pending.add(keyOf(query));
    return true;
  }

  /** Remembers what a resolver says, if it was asked. */
  takeAnswer(bytes: Buffer, pending: Pending): void {
    const answer = parseAnswer(bytes);
    if (!answer || !pending.delete(keyOf(answer))) return;
    for (const { address, seconds } of answer.addresses) this.remember(address, answer.name, seconds);
  }

  /** Whether what comes from there is a resolver's word. */
  hearsResolver(from: Endpoint): boolean {
    return from.port === DNS_PORT && this.resolvers.has(from.host);
  }

  private remember(address: string, name: string, seconds: number): void {
    const host = address.startsWith(MAPPED) ? address.slice(MAPPED.length) : address;
    // No name of the world leads there, or it is up to no good.
    if (NEAR.some(({ network, bits }) => contains(network, bits, host))) return;
    const until = monotonicNow() + Math.min(Math.max(seconds, SHORTEST_MEMORY), LONGEST_MEMORY) * SECOND;
    const names = this.known.get(host) ?? new Map<string, number>();
    // Anew at the end: who was resolved longest ago is forgotten first.
    this.known.delete(host);
    this.known.set(host, names);
    names.delete(name);
    names.set(name, until);
    if (names.size > MOST_NAMES) names.delete([...names.keys()][0]);
    if (this.known.size > MOST_ADDRESSES) this.known.delete(this.known.keys().next().value as string);
  }

  private matches(rule: EgressRule, protocol: Protocol, { host, port }: Endpoint): boolean {
    if (rule.protocol !== null && rule.protocol !== protocol) return false;
    if (rule.ports?.every(([first, last]) => port < first || port > last)) return false;
    if (rule.networks === null && rule.names === null) return true;
    if (rule.networks?.some(({ address, bits }) => contains(address, bits, host))) return true;
    // A translator would make the IPv4 address of it.
    const beyond = rule.action === 'deny' && host.startsWith(NAT64) ? host.slice(NAT64.length) : null;
    if (beyond !== null && rule.networks?.some(({ address, bits }) => contains(address, bits, beyond))) return true;
    return rule.names !== null && rule.names.length > 0 && this.isNamed(host, rule.names);
  }

  private isNamed(host: string, wanted: readonly string[]): boolean {
    const now = monotonicNow();
    for (const [name, until] of this.known.get(host) ?? []) {
      if (until >= now && wanted.some((pattern) => isBelow(name, pattern))) return true;
    }
    return false;
  }

  private refuse(asker: Asker, protocol: string, to: Endpoint, why: string): number {
    const minute = Math.floor(monotonicNow() / (60 * SECOND));
    if (minute !== this.minute) {
      if (this.lines > MOST_LINES) this.log(`egress: ${this.lines - MOST_LINES} more refusals were not logged`);
      this.minute = minute;
      this.lines = 0;
    }
    if (++this.lines <= MOST_LINES) {
      const where = to.host.length === 4 ? textOfHost(to.host) : `[${textOfHost(to.host)}]`;
      this.log(
        `egress: refused ${protocol} ${where}:${to.port} to ${printable(asker.name)} (${asker.group.pid}): ${why}`,
      );
    }
    return -EPERM;
  }
}

/** 64:ff9b::/96 (RFC 6052) */
const NAT64 = `\0\x64\xff\x9b${'\0'.repeat(8)}`;
const MAPPED = `${'\0'.repeat(10)}\xff\xff`;

function hasNames({ rules }: EgressSpec): boolean {
  return rules.some(({ names }) => names !== null && names.length > 0);
}

/** Loopback, link-local (and there, where clouds hand out credentials), and the machine itself. */
const NEAR = [
  { network: '\0\0\0\0', bits: 8 },
  { network: '\x7f\0\0\0', bits: 8 },
  { network: '\xa9\xfe\0\0', bits: 16 },
  { network: '\0'.repeat(16), bits: 120 },
  { network: `\xfe\x80${'\0'.repeat(14)}`, bits: 10 },
];

function keyOf({ id, name }: Pick<Query, 'id' | 'name'>): string {
  return `${id} ${name}`;
}

/** Whether a name is meant by a pattern: the same, or below one that begins with a dot. */
function isBelow(name: string, pattern: string): boolean {
  return pattern.startsWith('.') ? name.endsWith(pattern) : name === pattern;
}

function contains(network: string, bits: number, host: string): boolean {
  if (network.length !== host.length) return false;
  const whole = bits >> 3;
  if (network.slice(0, whole) !== host.slice(0, whole)) return false;
  const rest = bits & 7;
  return rest === 0 || (network.charCodeAt(whole) ^ host.charCodeAt(whole)) >> (8 - rest) === 0;
}

/** What a guest has written, for the log. */
function printable(text: string): string {
  return text.replace(/[^ -~]/g, '?').slice(0, 255);
}
