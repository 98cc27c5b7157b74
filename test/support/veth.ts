// A network namespace made by hand, joined to this machine's network by a veth pair: what a container's client would
// have set up. Needs root.

import { execFileSync } from 'node:child_process';

export interface Veth {
  /** Path of the namespace, for --network. */
  readonly path: string;
  /** Addresses of the namespace's end, and of this machine's. */
  readonly inside: string;
  readonly inside6: string;
  readonly outside: string;
  readonly outside6: string;
  /** Command to run something natively in the namespace. */
  readonly enter: readonly string[];
  remove(): void;
}

/** Root, or on CI, where its lack is an error. */
export const skipsVeth =
  process.getuid?.() === 0 || process.env.CI !== undefined ? false : 'NOT TESTED: a veth pair needs root';

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** A network of its own for each process, so that test runs on one machine do not meet, and each `net` below 8. */
export function makeVeth(net: number): Veth {
  const prefix = `${64 + (((process.pid >> 8) + 16 * net) % 128)}.${process.pid % 256}`;
  const name = `cloister-test-${process.pid}-${net}`;
  const device = `clt${process.pid % 100000}x${net}`;
  const veth: Veth = {
    path: `/run/netns/${name}`,
    inside: `10.${prefix}.2`,
    inside6: `fd78:${prefix.replace('.', ':')}::2`,
    outside: `10.${prefix}.1`,
    outside6: `fd78:${prefix.replace('.', ':')}::1`,
    enter: ['ip', 'netns', 'exec', name],
    remove: () => {
      // The pair goes with the namespace, once nobody is in it any more: not at once.
      execFileSync('sh', ['-c', `ip link del ${device}; ip netns del ${name}; true`], { stdio: 'ignore' });
    },
  };
  try {
    ip('netns', 'add', name);
    ip('link', 'add', device, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    ip('addr', 'add', `${veth.outside}/24`, 'dev', device);
    ip('-6', 'addr', 'add', `${veth.outside6}/64`, 'dev', device, 'nodad');
    ip('link', 'set', device, 'up');
    ip('-n', name, 'addr', 'add', `${veth.inside}/24`, 'dev', 'eth0');
    ip('-n', name, '-6', 'addr', 'add', `${veth.inside6}/64`, 'dev', 'eth0', 'nodad');
    ip('-n', name, 'link', 'set', 'lo', 'up');
    ip('-n', name, 'link', 'set', 'eth0', 'up');
    ip('-n', name, 'route', 'add', 'default', 'via', veth.outside);
  } catch (error) {
    veth.remove();
    throw error;
  }
  return veth;
}
