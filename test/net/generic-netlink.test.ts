// Netlink's other protocols: what generic-netlink.py prints in a sandbox is what it prints on the host.

import { join } from 'node:path';
import { sameAsNative } from '../programs/harness.ts';

const PROGRAM = join(import.meta.dirname, 'generic-netlink.py');

sameAsNative('the controller and events', `python3 ${PROGRAM}`, { packages: ['python3'] });
