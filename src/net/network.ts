// A network as network_namespaces(7) has it: everything that is found by address or name within one, and the state of
// its interfaces. There is one for the sandbox and one for each namespace that programs make; sockets belong to the one
// of the task that made them, for good.

import { initialNamespaces, type NetworkNamespace } from '../kernel/namespaces.ts';
import type { Task } from '../kernel/task.ts';
import { DEFAULT_RANGE, type PortRange, PortTable } from './inet/ports.ts';
import type { NetlinkSocket } from './netlink/socket.ts';
import { EchoRelay } from './outside/echo.ts';
import type { Outside } from './outside/outside.ts';
import type { UnixSocket } from './unix/socket.ts';

export class Network {
  readonly namespace: NetworkNamespace;
  /** Ports that sockets get who ask for any. */
  readonly portRange: PortRange = { ...DEFAULT_RANGE };
  readonly tcp = new PortTable(this.portRange);
  readonly udp = new PortTable(this.portRange);
  readonly udpLite = new PortTable(this.portRange);
  /** Raw sockets, by protocol. */
  readonly raw = new PortTable(DEFAULT_RANGE);
  /** Ping sockets, by the identifier of their echo requests. */
  readonly ping = new PortTable(DEFAULT_RANGE);
  readonly echoes = new EchoRelay(this);
  /** Multicast groups that sockets have joined on the loopback, and how many. */
  readonly groups = new Map<string, number>();
  /** net.ipv4.ip_unprivileged_port_start: lower ports take CAP_NET_BIND_SERVICE. */
  unprivilegedPortStart = 1024;
  /** net.ipv4.ping_group_range: groups, first and last, that may have ping sockets; nobody at the start. */
  pingGroups: readonly [number, number] = [1, 0];
  /** Sockets by abstract name. */
  readonly unixNames = new Map<string, UnixSocket>();
  /** The abstract name given out last to a socket that asked for any. */
  lastAutobind = 0;
  /** Tags of interfaces (/proc/sys/net/ipv4/conf/NAME/tag): kept for whoever set them. */
  readonly tags = new Map<string, number>();
  /** Netlink port ids in use: a process's first socket has its pid. */
  readonly netlinkPorts = new Map<number, NetlinkSocket>();
  /** The next port id for others. */
  nextNetlinkPort = 0xffffefff;
  /** What lies outside the sandbox; null: nothing does. */
  outside: Outside | null = null;
  /** The loopback interface is up (IFF_UP): the sandbox's own from the start, others when somebody brings them up. */
  loopbackUp: boolean;
  /** Only a number: what goes over the loopback is not cut into packets. */
  loopbackMtu = 65536;
  /** It has been up: from then on it has its IPv4 address. */
  loopbackHasAddress: boolean;

  constructor(namespace: NetworkNamespace) {
    this.namespace = namespace;
    this.loopbackUp = this.loopbackHasAddress = namespace.initial;
  }

  /** As "ip link set lo up" or "down" says. */
  setLoopback(up: boolean): void {
    this.loopbackUp = up;
    if (up) this.loopbackHasAddress = true;
  }
}

/** The network of a namespace. */
export function networkIn(namespace: NetworkNamespace): Network {
  namespace.network ??= new Network(namespace);
  return namespace.network as Network;
}

/** The network that the task's new sockets belong to. */
export function networkOf(task: Task): Network {
  return networkIn(task.namespaces.net);
}

/** The sandbox's own. */
export function initialNetwork(): Network {
  return networkIn(initialNamespaces.net);
}
