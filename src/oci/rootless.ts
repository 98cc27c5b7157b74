// Whether we have root's power over the machine, or only its id: an ordinary user's podman starts us as root of a user
// namespace that it has made.

import { readFileSync } from 'node:fs';

/** The ordinary user that we work for: the id outside our user namespace; null when we are the machine's root. */
export function ordinaryUser(): number | null {
  const euid = process.geteuid?.() ?? 0;
  if (euid !== 0) return euid;
  const [inside = 0, outside = 0] = rootMapping();
  if (inside === 0 && outside === 0) return null;
  // A container's root, as of docker with remapped ids, is the root of what it sees.
  return process.env.USER === 'root' ? null : outside;
}

function rootMapping(): number[] {
  try {
    return readFileSync('/proc/self/uid_map', 'latin1').trim().split(/\s+/).map(Number);
  } catch {
    return [];
  }
}
