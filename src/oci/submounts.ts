// What is mounted below the source of a recursive bind. Only its top is meant by a plain `ro`, so with that the mounts below
// are binds of their own, as writable as they are on the host; `rro` means all of them.

import { readFileSync, realpathSync } from 'node:fs';
import { posix } from 'node:path';
import { bytesOfText } from './bytes.ts';

export interface Submount {
  /** Absolute host path, a byte string. */
  readonly source: string;
  /** Where it is below the bind. */
  readonly below: string;
  readonly readonly: boolean;
}

/** What of the host is not files is hidden in a sandbox (native/boot/trees.c), so it needs no place there. */
const FILE_SYSTEMS = new Set([
  'tmpfs',
  'overlay',
  'ext2',
  'ext3',
  'ext4',
  'xfs',
  'btrfs',
  'f2fs',
  'zfs',
  'nfs',
  'nfs4',
]);
/** More than these stay what the bind is. */
const MOST = 32;

/** Mounts of files strictly below a directory of the host. The root's are left alone: among them is what must stay hidden. */
export function submountsOf(source: string): Submount[] {
  const top = bytesOfText(realpathSync(Buffer.from(source, 'latin1'), 'utf8'));
  if (top === '/') return [];
  const found = new Map<string, Submount>();
  for (const line of readFileSync('/proc/self/mountinfo', 'latin1').split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const [, , , , point = '', options = ''] = left.split(' ');
    const path = unescapeOctal(point);
    if (!path.startsWith(`${top}/`)) continue;
    // A mount hides what was below its place before.
    for (const other of found.keys()) if (other === path || other.startsWith(`${path}/`)) found.delete(other);
    if (!FILE_SYSTEMS.has(right.split(' ')[0] ?? '')) continue;
    found.set(path, { source: path, below: posix.relative(top, path), readonly: options.split(',').includes('ro') });
  }
  return found.size > MOST ? [] : [...found.values()];
}

/** Blanks and the like are octal in mountinfo. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8)));
}
