// Capability sets as the sandbox spec carries them: 16 hexadecimal digits, as /proc/PID/status prints them.

import { CAP_LAST_CAP, CAPABILITY_NAMES } from '../abi/capability.ts';
import type { CapabilitySets } from '../base/spec.ts';

const ALL = hex(2 ** (CAP_LAST_CAP + 1) - 1);
const NONE = hex(0);

function hex(mask: number): string {
  return mask.toString(16).padStart(16, '0');
}

/** What a program has that a login of this user would start: root everything, others nothing. */
export function loginCapabilities(uid: number): CapabilitySets {
  const held = uid === 0 ? ALL : NONE;
  return { bounding: ALL, effective: held, inheritable: NONE, permitted: held, ambient: NONE };
}

/** The set of these names, `CAP_CHOWN` or `chown`; names that no kernel of ours knows go to `unknown`. */
export function capabilitySet(names: readonly string[], unknown: (name: string) => void): string {
  const numbers = new Set<number>();
  for (const name of names) {
    const upper = name.toUpperCase();
    const number = CAPABILITY_NAMES.indexOf(upper.startsWith('CAP_') ? upper : `CAP_${upper}`);
    if (number < 0) unknown(name);
    else numbers.add(number);
  }
  let mask = 0;
  for (const number of numbers) mask += 2 ** number;
  return hex(mask);
}
