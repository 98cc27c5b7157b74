// The sandbox's outside: made of the network namespace that the launcher has put us in.

import type { HostFd } from '../base/brands.ts';
import type { NetworkSpec } from '../base/spec.ts';
import { initialNetwork } from '../net/network.ts';
import { Egress } from '../net/outside/egress.ts';
import { HostInterfaces } from '../net/outside/host-interfaces.ts';
import { Outside } from '../net/outside/outside.ts';

/** Docker's own name server, which it puts into a container's namespace and resolv.conf after create. */
const DOCKER_RESOLVER = '\x7f\0\0\x0b';

/** After the native parts are there. Throws when the host will not tell of its interfaces. */
export function openOutside(spec: NetworkSpec, ports: HostFd, log: (line: string) => void): void {
  const { outside, egress } = spec;
  const resolvers = [...spec.resolvers, DOCKER_RESOLVER];
  if (outside === 'none') return;
  const interfaces = HostInterfaces.open();
  if (typeof interfaces === 'number')
    throw new Error(`the network namespace cannot be looked into: errno ${-interfaces}`);
  initialNetwork().outside = new Outside(
    outside === 'host',
    egress.length === 0 ? null : new Egress(egress, resolvers, log),
    interfaces,
    resolvers,
    ports,
  );
}
