// The sandbox's outside: made of the network namespace that the launcher has put us in.

import type { NetworkSpec } from '../base/spec.ts';
import { initialNetwork } from '../net/network.ts';
import { HostInterfaces } from '../net/outside/host-interfaces.ts';
import { Outside } from '../net/outside/outside.ts';

/** After the native parts are there. Throws when the host will not tell of its interfaces. */
export function openOutside({ outside }: NetworkSpec): void {
  if (outside === 'none') return;
  const interfaces = HostInterfaces.open();
  if (typeof interfaces === 'number')
    throw new Error(`the network namespace cannot be looked into: errno ${-interfaces}`);
  initialNetwork().outside = new Outside(outside === 'host', null, interfaces);
}
