// Egress policy: which destinations outside a sandbox may reach.

import type { Endpoint } from '../inet/address.ts';

export interface Egress {
  /** 0 or -EPERM. */
  check(pid: number, command: string, protocol: 'tcp' | 'udp', to: Endpoint): number;
}
