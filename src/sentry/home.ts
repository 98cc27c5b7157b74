// $HOME of programs that are started from outside and not told: as login(1) would have it, from the container's own
// user database.

import { S_IFMT, S_IFREG } from '../abi/stat.ts';
import type { Task } from '../kernel/task.ts';
import { allocateScratch, buffer, markScratch, releaseScratch } from '../platform/arena.ts';
import { openExisting } from '../vfs/open.ts';
import { drop } from '../vfs/open-file.ts';
import { resolvePath } from '../vfs/walk.ts';

const CHUNK = 1 << 16;
/** A longer database is read no further. */
const MAX_SIZE = 1 << 20;

/** The environment with HOME, if it was not set or empty. */
export function withHome(task: Task, environment: readonly string[]): string[] {
  if (environment.some((variable) => variable.startsWith('HOME=') && variable.length > 5)) return [...environment];
  const rest = environment.filter((variable) => !variable.startsWith('HOME='));
  return [...rest, `HOME=${homeOf(readWhole(task, '/etc/passwd'), task.credentials.uid)}`];
}

/** The home directory of a user in passwd(5), or the root directory. */
function homeOf(database: string, uid: number): string {
  for (const line of database.split('\n')) {
    const fields = line.split(':');
    if (fields.length >= 6 && fields[2] === String(uid)) return fields[5] || '/';
  }
  return '/';
}

/** The bytes of a regular file; none if it cannot be read. */
function readWhole(task: Task, name: string): string {
  const path = resolvePath(task, name);
  if (typeof path === 'number' || ((path.dentry.inode?.mode ?? 0) & S_IFMT) !== S_IFREG) return '';
  const file = openExisting(task, path, 0);
  if (typeof file === 'number') return '';
  const mark = markScratch();
  const at = allocateScratch(CHUNK);
  let text = '';
  while (text.length < MAX_SIZE) {
    const n = file.read(at, CHUNK, text.length);
    if (n <= 0) break;
    text += buffer.latin1Slice(at, at + n);
  }
  releaseScratch(mark);
  drop(file);
  return text;
}
