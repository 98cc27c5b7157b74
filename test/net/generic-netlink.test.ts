// Netlink's other protocols: what generic-netlink.py and socket-lists.py print in a sandbox is what they print on the host.

import { join } from 'node:path';
import { sameAsNative } from '../programs/harness.ts';

const PROGRAM = join(import.meta.dirname, 'generic-netlink.py');

sameAsNative('the controller and events', `python3 ${PROGRAM}`, { packages: ['python3'] });
sameAsNative('lists of sockets', `python3 ${join(import.meta.dirname, 'socket-lists.py')}`, {
  packages: ['python3', 'iproute2'],
});
