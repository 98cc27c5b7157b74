// memfd_create(2).

import { EINVAL, ENAMETOOLONG } from '../abi/errno.ts';
import { MFD_ALLOW_SEALING, MFD_CLOEXEC, MFD_EXEC, MFD_NOEXEC_SEAL } from '../abi/mman.ts';
import type { UserAddress } from '../base/brands.ts';
import { createMemfd } from '../fs/tmpfs/memfd.ts';
import { installFile } from '../kernel/descriptors.ts';
import type { Task } from '../kernel/task.ts';

const NAME_MAX = 249;

/** memfd_create(2); huge pages are not to be had */
export function memfd_create(task: Task, name: UserAddress, flags: number): number {
  if (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC | MFD_NOEXEC_SEAL)) return -EINVAL;
  if (flags & MFD_EXEC && flags & MFD_NOEXEC_SEAL) return -EINVAL;
  const text = task.memory.string(name, NAME_MAX + 1);
  if (typeof text === 'number') return text === -ENAMETOOLONG ? -EINVAL : text;
  const sealable = (flags & (MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL)) !== 0;
  const file = createMemfd(text, task.credentials, sealable, (flags & MFD_NOEXEC_SEAL) === 0);
  return installFile(task, file, (flags & MFD_CLOEXEC) !== 0);
}
