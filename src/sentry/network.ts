// The sandbox's outside: made of the network namespace that the launcher has put us in.

import type { NetworkSpec } from '../base/spec.ts';
import { initialNetwork } from '../net/network.ts';
import { Egress } from '../net/outside/egress.ts';
import { HostInterfaces } from '../net/outside/host-interfaces.ts';
import { Outside } from '../net/outside/outside.ts';

/** After the native parts are there. Throws when the host will not tell of its interfaces. */
export function openOutside({ outside, egress, resolvers }: NetworkSpec, log: (line: string) => void): void {
  if (outside === 'none') return;
  const interfaces = HostInterfaces.open();
  if (typeof interfaces === 'number')
    throw new Error(`the network namespace cannot be looked into: errno ${-interfaces}`);
  initialNetwork().outside = new Outside(
    outside === 'host',
    egress.length === 0 ? null : new Egress(egress, resolvers, log),
    interfaces,
    resolvers,
  );
}
