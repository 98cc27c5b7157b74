// Names of paths, for getcwd(2), /proc/PID/fd and the mount tables: from a dentry up to a task's root directory.

import type { Dentry, Path } from './dentry.ts';

/**
 * Absolute name of a path as seen from `root`. A name that was unlinked gets " (deleted)" appended; a path that
 * cannot be reached from `root` gets "(unreachable)" in front, as getcwd(2) shows it.
 */
export function pathName(path: Path, root: Path): string {
  let { mount, dentry } = path;
  let name = '';
  let prefix = '';
  while (!(dentry === root.dentry && mount === root.mount)) {
    if (dentry === mount.root) {
      if (!mount.parent || !mount.mountpoint) {
        prefix = '(unreachable)';
        break;
      }
      dentry = mount.mountpoint;
      mount = mount.parent;
    } else if (!dentry.parent) {
      prefix = '(unreachable)';
      break;
    } else {
      name = `/${dentry.name}${name}`;
      dentry = dentry.parent;
    }
  }
  const deleted = path.dentry.unlinked ? ' (deleted)' : '';
  return `${prefix}${name === '' ? '/' : name}${deleted}`;
}

/** The name that links and mappings of /proc have: also for what cannot be reached a path, from its own top on. */
export function linkName(path: Path, root: Path): string {
  return pathName(path, root).replace(/^\(unreachable\)/, '');
}

/** Name of a dentry within its superblock, whatever is mounted where. */
export function dentryName(dentry: Dentry): string {
  // What is on its own has a name that is no path: a namespace's file.
  if (dentry.parent === null && dentry.name !== '') return dentry.name;
  let name = '';
  for (let at = dentry; at.parent; at = at.parent) name = `/${at.name}${name}`;
  return name === '' ? '/' : name;
}
