// Who is inside a mount: what umount(2) and a remount read-only must ask. Mounts keep no count of their users, since
// every open would pay for a question that is asked next to never; all tasks are looked through instead.

import type { Mount } from '../vfs/dentry.ts';
import type { FdTable } from '../vfs/fd-table.ts';
import type { OpenFile } from '../vfs/open-file.ts';
import { kernel } from './kernel.ts';

/** Whether some open file, root or working directory lies on the mount. */
export function mountInUse(mount: Mount): boolean {
  for (const { fs } of kernel.tasks.values()) {
    if (fs.cwd.mount === mount || fs.root.mount === mount) return true;
  }
  return anyFile((file) => file.path.mount === mount);
}

/** Whether a file of the mount's filesystem is open for writing. */
export function writtenTo(mount: Mount): boolean {
  return anyFile((file) => file.writable && file.path.mount.superblock === mount.superblock);
}

function anyFile(matches: (file: OpenFile) => boolean): boolean {
  const seen = new Set<FdTable>();
  for (const { files } of kernel.tasks.values()) {
    if (seen.has(files)) continue;
    seen.add(files);
    if (files.files.some((file) => file !== null && matches(file))) return true;
  }
  return false;
}
