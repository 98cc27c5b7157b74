// What lies behind a network's own loopback: the network namespace of the host that the sentry lives in (the
// container's, made by podman, docker or CNI, or an empty one). Only the sandbox's first network has it.
//
// Two ways to share it. Normally the loopback is the sandbox's own, in TypeScript, and with it whatever a program sends
// to an address of its own machine; all other destinations are reached, and all other sources heard, by sockets of the
// host. A socket that is bound to a wildcard has both. In the other way (`whole`, --network host) every address
// is the host's, the loopback included.

import type { HostFd } from '../../base/brands.ts';
import { type Endpoint, isAny, isLoopback, LOOPBACK4, LOOPBACK6 } from '../inet/address.ts';
import { isMulticast } from '../inet/multicast.ts';
import { type Asker, DNS_PORT, type Egress, type Protocol } from './egress.ts';
import type { HostInterfaces } from './host-interfaces.ts';

export class Outside {
  /** Everything is the host's, the loopback too. */
  readonly whole: boolean;
  /** What may be reached; null: everything. */
  readonly egress: Egress | null;
  readonly interfaces: HostInterfaces;
  /** Where low ports are asked for that the sentry may not bind itself, or -1. */
  readonly ports: HostFd;
  /** Name servers with an address of the loopback, as docker has one in the networks that users make. */
  private readonly nearResolvers: ReadonlySet<string>;

  constructor(
    whole: boolean,
    egress: Egress | null,
    interfaces: HostInterfaces,
    resolvers: readonly string[],
    ports: HostFd,
  ) {
    this.whole = whole;
    this.egress = egress;
    this.interfaces = interfaces;
    this.ports = ports;
    this.nearResolvers = new Set(
      resolvers.filter((host) => isLoopback(host) && host !== LOOPBACK4 && host !== LOOPBACK6),
    );
  }

  /** Whether a socket of the host is needed to reach this destination. */
  reaches({ host, port }: Endpoint): boolean {
    if (this.whole) return true;
    if (isLoopback(host)) return port === DNS_PORT && this.nearResolvers.has(host);
    return !isAny(host) && !this.interfaces.owns(host);
  }

  /** Whether who is bound to this address is to be heard from outside. */
  hears(host: string): boolean {
    return this.whole || !isLoopback(host);
  }

  /** Whether sockets may be bound to it: to an address of this machine's, or a group. */
  admitsBind(host: string): boolean {
    return this.whole || isMulticast(host) || this.interfaces.owns(host);
  }

  /** 0, or -EPERM if the egress policy is against it. */
  check(asker: Asker, protocol: Protocol, to: Endpoint): number {
    return this.egress === null ? 0 : this.egress.check(asker, protocol, to, !this.reaches(to));
  }
}
