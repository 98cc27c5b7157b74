// Raw and ping sockets, multicast groups and times of arrival: what packets.py prints in a sandbox is what it prints on
// the host.

import { join } from 'node:path';
import { describe } from 'node:test';
import { sameAsNative } from '../programs/harness.ts';

const PROGRAM = join(import.meta.dirname, 'packets.py');

describe('packets on the loopback', { skip: process.getuid?.() !== 0 && 'raw sockets are for root' }, () => {
  for (const part of ['raw', 'own_protocol', 'raw6', 'ping', 'groups', 'stamps', 'filters', 'listeners', 'forms']) {
    sameAsNative(part, `python3 ${PROGRAM} ${part}`, { packages: ['python3'] });
  }
  sameAsNative(
    'ping',
    `mask() { grep -o 'bytes from .* ttl=[0-9]*\\|[0-9]* packets transmitted, [0-9]* received'; }
     ping -c 2 -i 0.2 127.0.0.1 | mask; ping -c 1 ::1 | mask; ping -c 1 -s 1000 localhost | mask`,
    { packages: ['iputils-ping'] },
  );
});
