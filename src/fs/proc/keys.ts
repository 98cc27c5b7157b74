// /proc/keys, /proc/key-users and /proc/sys/kernel/keys: the keys that the reader may see, and what users have.

import { CAP_SYS_ADMIN } from '../../abi/capability.ts';
import { EINVAL, EPERM } from '../../abi/errno.ts';
import { KEY_VIEW } from '../../abi/keys.ts';
import { monotonicNow } from '../../base/clock.ts';
import { capable } from '../../base/credentials.ts';
import { OVERFLOW_ID, shownId } from '../../base/user-namespace.ts';
import { kernel } from '../../kernel/kernel.ts';
import {
  allKeys,
  hastenSweep,
  type Key,
  keyCollection,
  keyLimits,
  keyUsers,
  mayUse,
  NO_GROUP,
} from '../../kernel/keys/key.ts';
import { possessedKeys } from '../../kernel/keys/keyrings.ts';
import type { Tree } from '../virtual/directory.ts';
import type { TextSource } from '../virtual/inode.ts';

const UNITS: readonly (readonly [number, string])[] = [
  [60, 's'],
  [60 * 60, 'm'],
  [24 * 60 * 60, 'h'],
  [7 * 24 * 60 * 60, 'd'],
  [Number.POSITIVE_INFINITY, 'w'],
];

function timeLeft(key: Key): string {
  if (key.expiry === Number.POSITIVE_INFINITY) return 'perm';
  const seconds = Math.floor((key.expiry - monotonicNow()) / 1e9);
  if (seconds < 0) return 'expd';
  let size = 1;
  for (const [limit, unit] of UNITS) {
    if (seconds < limit) return `${Math.floor(seconds / size)}${unit}`;
    size = limit;
  }
  return '';
}

/** What stands behind the description. */
function contents(key: Key): string {
  if (key.rejects !== 0) return key.description;
  if (key.links) return `${key.description}: ${key.links.size === 0 ? 'empty' : key.links.size}`;
  const where = key.type.name === 'big_key' ? ` [${key.payload.length > 1024 ? 'file' : 'buff'}]` : '';
  return `${key.description}: ${key.payload.length}${where}`;
}

function line(key: Key): string {
  const user = kernel.current?.credentials.user ?? null;
  const flag = (on: boolean, letter: string): string => (on ? letter : '-');
  const dead = flag(key.revoked, 'R');
  const rest = `${flag(key.rejects !== 0, 'N')}${flag(key.invalidated, 'i')}`;
  const uid = shownId(user?.uidMap ?? null, key.uid);
  const gid = key.gid === NO_GROUP ? OVERFLOW_ID : shownId(user?.gidMap ?? null, key.gid);
  const hex = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');
  return [
    hex(key.serial),
    `I${dead}-Q-${rest}`,
    String(key.uses).padStart(5),
    timeLeft(key).padStart(4),
    hex(key.permissions),
    String(uid).padStart(5),
    String(gid).padStart(5),
    key.type.name.slice(0, 9).padEnd(9),
    `${contents(key)}\n`,
  ].join(' ');
}

function keysText(): string {
  const task = kernel.current;
  if (!task) return '';
  const possessed = possessedKeys(task);
  return [...allKeys.values()]
    .filter((key) => mayUse(key, task.credentials, possessed.has(key), KEY_VIEW) === 0)
    .sort((a, b) => a.serial - b.serial)
    .map(line)
    .join('');
}

function usersText(): string {
  return [...keyUsers.values()]
    .sort((a, b) => a.uid - b.uid)
    .map(({ uid, keys, bytes, maxKeys, maxBytes }) => {
      const counts = `${keys}/${keys} ${keys}/${maxKeys} ${bytes}/${maxBytes}`;
      return `${String(uid).padStart(5)}: ${String(keys + 1).padStart(5)} ${counts}\n`;
    })
    .join('');
}

export const KEY_FILES: Tree = {
  keys: { mode: 0o444, read: keysText },
  'key-users': { mode: 0o444, read: usersText },
};

/** More than the defaults would be more than the sentry has room for. */
function limit(name: keyof typeof keyLimits): TextSource<null> {
  const most = keyLimits[name];
  return {
    mode: 0o644,
    read: () => `${keyLimits[name]}\n`,
    write: (_subject, given) => {
      const caller = kernel.current;
      if (caller && !capable(caller.credentials, CAP_SYS_ADMIN)) return -EPERM;
      const value = Number(given.trim());
      if (!/^\s*\d+\s*$/.test(given) || value > most) return -EINVAL;
      keyLimits[name] = value;
      return 0;
    },
  };
}

export const KEY_SETTINGS: Tree = {
  gc_delay: {
    mode: 0o644,
    read: () => `${keyCollection.delay}\n`,
    write: (_subject, given) => {
      const caller = kernel.current;
      if (caller && !capable(caller.credentials, CAP_SYS_ADMIN)) return -EPERM;
      if (!/^\s*\d{1,9}\s*$/.test(given)) return -EINVAL;
      keyCollection.delay = Number(given.trim());
      hastenSweep();
      return 0;
    },
  },
  maxbytes: limit('maxbytes'),
  maxkeys: limit('maxkeys'),
  persistent_keyring_expiry: { mode: 0o444, read: () => '259200\n' },
  root_maxbytes: limit('root_maxbytes'),
  root_maxkeys: limit('root_maxkeys'),
};
