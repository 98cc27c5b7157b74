// The `security.capability` attribute as programs in other user namespaces than the first write and read it: what root
// of a namespace gives a file counts for that namespace and those below, and names its root (capabilities(7),
// "Namespaced file capabilities").

import { EINVAL, ENODATA, EOVERFLOW } from '../abi/errno.ts';
import { idFrom, idInto, NO_ID, type UserNamespace } from '../base/user-namespace.ts';

const REVISION_2 = 0x02000000;
const REVISION_3 = 0x03000000;
const REVISION_MASK = 0xff000000;
const SIZE_2 = 20;
const SIZE_3 = 24;

function revisionOf(value: Buffer): number {
  const revision = value.length >= 4 ? (value.readUInt32LE(0) & REVISION_MASK) >>> 0 : 0;
  const good =
    (revision === REVISION_2 && value.length === SIZE_2) || (revision === REVISION_3 && value.length === SIZE_3);
  return good ? revision : 0;
}

/** The attribute with another revision, and for revision 3 another root. */
function rewritten(value: Buffer, revision: number, root: number): string {
  const bytes = Buffer.alloc(revision === REVISION_3 ? SIZE_3 : SIZE_2);
  value.copy(bytes, 0, 0, SIZE_2);
  bytes.writeUInt32LE(((value.readUInt32LE(0) & ~REVISION_MASK) | revision) >>> 0, 0);
  if (revision === REVISION_3) bytes.writeUInt32LE(root, SIZE_2);
  return bytes.toString('latin1');
}

/** What is kept of an attribute that a program gives; -EINVAL. Its root is the sandbox's id. */
export function keptCapabilities(text: string, user: UserNamespace): string | number {
  const value = Buffer.from(text, 'latin1');
  const revision = revisionOf(value);
  if (revision === 0) return -EINVAL;
  if (user.parent === null && revision === REVISION_2) return text;
  const root = idFrom(user.uidMap, revision === REVISION_3 ? value.readUInt32LE(SIZE_2) : 0);
  return root === NO_ID ? -EINVAL : rewritten(value, REVISION_3, root);
}

/** What a program sees of an attribute: plain if it is its own root's; -EOVERFLOW for another's that it cannot name. */
export function shownCapabilities(text: string, user: UserNamespace): string | number {
  const value = Buffer.from(text, 'latin1');
  const revision = revisionOf(value);
  if (revision === 0) return -ENODATA;
  const root = revision === REVISION_3 ? value.readUInt32LE(SIZE_2) : 0;
  const seen = idInto(user.uidMap, root);
  if (seen !== NO_ID && seen !== 0) return rewritten(value, REVISION_3, seen);
  for (let at: UserNamespace | null = user; at !== null; at = at.parent) {
    if (idInto(at.uidMap, root) === 0) return rewritten(value, REVISION_2, 0);
  }
  return -EOVERFLOW;
}
