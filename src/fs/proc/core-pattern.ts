// /proc/sys/kernel/core_pattern: what core files are called (core(5)). A program to pipe them to would have to run
// outside of everything: such a pattern is refused.

import { CAP_SYS_ADMIN } from '../../abi/capability.ts';
import { EINVAL, EPERM } from '../../abi/errno.ts';
import { capable } from '../../base/credentials.ts';
import { kernel } from '../../kernel/kernel.ts';
import type { TextSource } from '../virtual/inode.ts';

const PATTERN_MAX = 127;
let pattern = 'core';

export function corePattern(): string {
  return pattern;
}

/** As the spec has it (OCI's linux.sysctl). */
export function setCorePattern(value: string): void {
  pattern = value.trim();
}

export const CORE_PATTERN: TextSource<null> = {
  mode: 0o644,
  read: () => `${pattern}\n`,
  write: (_subject, given) => {
    const caller = kernel.current;
    if (caller && !capable(caller.credentials, CAP_SYS_ADMIN)) return -EPERM;
    const text = given.split('\n', 1)[0];
    if (text.length > PATTERN_MAX || text.startsWith('|') || text.startsWith('@') || text.includes('\0'))
      return -EINVAL;
    pattern = text;
    return 0;
  },
};
