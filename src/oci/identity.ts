// Who the sentry is on the host: the id maps of its user namespace and the capabilities it keeps. Root keeps those that
// a file system with many owners needs; an ordinary user has one id, or the ranges of subuid(5), and no power at all.

import { accessSync, constants, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import type { IdMapping } from '../base/spec.ts';

export interface Identity {
  readonly uidMappings: readonly IdMapping[];
  readonly gidMappings: readonly IdMapping[];
  /** Bit mask of the capabilities (capabilities(7), by number) that the sentry keeps in its namespace. */
  readonly capabilities: number;
}

/** CAP_CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETFCAP. */
const ROOT_CAPABILITIES = 0x8000001b;
/** CAP_SETFCAP: with one mapped id the others would change nothing. */
const USER_CAPABILITIES = 0x80000000;

/** The maps of a sandbox that asked for none: as root every id stands for itself. */
export function defaultIdentity(): Identity {
  const uid = process.geteuid?.() ?? 0;
  const gid = process.getegid?.() ?? 0;
  if (uid === 0) {
    return {
      uidMappings: ownRanges('/proc/self/uid_map'),
      gidMappings: ownRanges('/proc/self/gid_map'),
      capabilities: ROOT_CAPABILITIES,
    };
  }
  const subordinate = subordinateIds();
  return {
    uidMappings: [{ inside: 0, outside: uid, count: 1 }, ...subordinate.uid],
    gidMappings: [{ inside: 0, outside: gid, count: 1 }, ...subordinate.gid],
    capabilities: subordinate.uid.length > 0 ? ROOT_CAPABILITIES : USER_CAPABILITIES,
  };
}

/** The maps that a config.json names. */
export function mappedIdentity(uidMappings: readonly IdMapping[], gidMappings: readonly IdMapping[]): Identity {
  return { uidMappings, gidMappings, capabilities: ROOT_CAPABILITIES };
}

/** Every id that exists in our own user namespace, mapped to itself. */
function ownRanges(path: string): IdMapping[] {
  return readFileSync(path, 'latin1')
    .trim()
    .split('\n')
    .map((line) => {
      const [inside = 0, , count = 0] = line.trim().split(/\s+/).map(Number);
      return { inside, outside: inside, count };
    });
}

/** The user's ranges of /etc/subuid and /etc/subgid, from inside id 1 on; none unless newuidmap(1) can set them. */
function subordinateIds(): { uid: IdMapping[]; gid: IdMapping[] } {
  const none = { uid: [], gid: [] };
  if (!isExecutable('/usr/bin/newuidmap') || !isExecutable('/usr/bin/newgidmap')) return none;
  const id = process.getuid?.() ?? 0;
  const name = userName();
  const uid = subordinateRanges('/etc/subuid', name, id);
  const gid = subordinateRanges('/etc/subgid', name, id);
  return uid.length > 0 && gid.length > 0 ? { uid, gid } : none;
}

/** Our login name, or null for an id without a line in passwd(5). */
function userName(): string | null {
  try {
    return userInfo().username;
  } catch {
    return null;
  }
}

function subordinateRanges(path: string, name: string | null, uid: number): IdMapping[] {
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch {
    return [];
  }
  const ranges: IdMapping[] = [];
  let inside = 1;
  for (const line of text.split('\n')) {
    const [owner, first, size] = line.split(':');
    const outside = Number(first);
    const count = Number(size);
    if ((owner !== name && owner !== String(uid)) || !(outside > 0) || !(count > 0)) continue;
    ranges.push({ inside, outside, count });
    inside += count;
  }
  return ranges;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
