// /proc/sys/net/ipv4: the settings that each network has for itself and that its sockets obey (ip(7), icmp(7)).

import { CAP_NET_ADMIN } from '../../abi/capability.ts';
import { EINVAL, EPERM } from '../../abi/errno.ts';
import { capableIn } from '../../base/credentials.ts';
import { kernel } from '../../kernel/kernel.ts';
import { initialNetwork, type Network, networkOf } from '../../net/network.ts';
import type { Tree } from '../virtual/directory.ts';
import type { TextSource } from '../virtual/inode.ts';

const LAST_PORT = 65535;
const LAST_GROUP = 0x7fffffff;

interface Setting {
  readonly read: (network: Network) => string;
  /** 0, or -EINVAL. */
  readonly write: (network: Network, numbers: number[]) => number;
}

const SETTINGS: Readonly<Record<string, Setting>> = {
  ip_local_port_range: {
    read: ({ portRange: { first, last } }) => `${first}\t${last}`,
    write: ({ portRange }, [first, last, ...more]) => {
      if (more.length > 0 || !(first >= 1 && first <= last && last <= LAST_PORT)) return -EINVAL;
      portRange.first = first;
      portRange.last = last;
      return 0;
    },
  },
  ip_unprivileged_port_start: {
    read: (network) => String(network.unprivilegedPortStart),
    write: (network, [first, ...more]) => {
      if (more.length > 0 || !(first >= 0 && first <= LAST_PORT)) return -EINVAL;
      network.unprivilegedPortStart = first;
      return 0;
    },
  },
  ping_group_range: {
    read: ({ pingGroups }) => pingGroups.join('\t'),
    write: (network, [first, last, ...more]) => {
      if (more.length > 0 || !(first >= 0 && first <= LAST_GROUP && last >= 0 && last <= LAST_GROUP)) return -EINVAL;
      // An empty range is kept as Linux has it from the start.
      network.pingGroups = first <= last ? [first, last] : [1, 0];
      return 0;
    },
  },
};

function numbersOf(text: string): number[] {
  return text
    .trim()
    .split(/\s+/)
    .map((word) => (/^\d{1,10}$/.test(word) ? Number(word) : Number.NaN));
}

function reader(): Network {
  return kernel.current ? networkOf(kernel.current) : initialNetwork();
}

function administers(): boolean {
  const caller = kernel.current;
  return !caller || capableIn(reader().namespace.owner, caller.credentials, CAP_NET_ADMIN);
}

function file({ read, write }: Setting): TextSource<null> {
  return {
    mode: 0o644,
    // The settings of a network are for those to change who administer it.
    admits: administers,
    read: () => `${read(reader())}\n`,
    write: (_subject, text) => {
      const network = reader();
      if (!administers()) return -EPERM;
      return write(network, numbersOf(text));
    },
  };
}

function tag(name: string): Tree {
  return {
    tag: file({
      read: ({ tags }) => String(tags.get(name) ?? 0),
      write: ({ tags }, [value, ...more]) => {
        if (more.length > 0 || !(value >= 0 && value < 2 ** 31)) return -EINVAL;
        tags.set(name, value);
        return 0;
      },
    }),
  };
}

/** The files, by name. */
export const NETWORK_SETTINGS: Tree = {
  ...Object.fromEntries(Object.entries(SETTINGS).map(([name, setting]) => [name, file(setting)])),
  conf: { all: tag('all'), default: tag('default'), lo: tag('lo') },
};

const PREFIX = 'net.ipv4.';

/** Sets one of the sandbox's own network by its dotted name; null if it is none of these, else whether it was good. */
export function presetNetworkSetting(name: string, value: string): boolean | null {
  const setting = name.startsWith(PREFIX) ? SETTINGS[name.slice(PREFIX.length)] : undefined;
  return setting ? setting.write(initialNetwork(), numbersOf(value)) === 0 : null;
}
