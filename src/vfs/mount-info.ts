// What is told of mounts: the lines of /proc/PID/mounts and mountinfo as data, and their options as text.

import {
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_RDONLY,
  MS_RELATIME,
  MS_SYNCHRONOUS,
} from '../abi/mount.ts';
import type { Mount, Path } from './dentry.ts';
import { isReachable } from './mount.ts';
import { dentryName, pathName } from './path-name.ts';
import type { PeerGroup } from './propagation.ts';

export interface MountInfo {
  readonly mount: Mount;
  readonly id: number;
  readonly parentId: number;
  readonly device: number;
  /** Subtree of the superblock that is mounted, `/` for all of it. */
  readonly root: string;
  /** Where it is mounted, seen from the given root. */
  readonly mountpoint: string;
  /** Who it shares with: `shared:1 master:2`. */
  readonly propagation: string;
  /** Per-mount options: `rw,nosuid,relatime`. */
  readonly options: string;
  readonly type: string;
  readonly source: string;
  /** Options of the superblock: `rw,size=65536k`. */
  readonly superOptions: string;
}

/** The mounts that can be reached from `root` (a task's root directory), in the order they were made. */
export function listMounts(root: Path): MountInfo[] {
  const found: MountInfo[] = [];
  collect(root.mount, root, found);
  return found.sort((a, b) => a.id - b.id);
}

function collect(mount: Mount, root: Path, into: MountInfo[]): void {
  const here = { mount, dentry: mount.root };
  const name = mount === root.mount ? '/' : pathName(here, root);
  if (!name.startsWith('(')) into.push(describe(mount, name, root));
  for (const child of mount.children) collect(child, root, into);
}

function describe(mount: Mount, mountpoint: string, seenFrom: Path): MountInfo {
  const block = mount.superblock;
  return {
    mount,
    id: mount.id,
    parentId: mount.parent ? mount.parent.id : mount.id,
    device: block.device,
    root: rootName(block.origin, dentryName(mount.root)),
    mountpoint,
    propagation: propagationText(mount, seenFrom),
    options: mountOptions(mount.flags),
    type: block.typeName,
    source: block.source,
    superOptions: (block.readonly ? 'ro' : 'rw') + (block.options ? `,${block.options}` : ''),
  };
}

function propagationText(mount: Mount, root: Path): string {
  const parts: string[] = [];
  if (mount.peers) parts.push(`shared:${mount.peers.id}`);
  if (mount.master) {
    parts.push(`master:${mount.master.id}`);
    const from = dominating(mount, root);
    if (from && from !== mount.master) parts.push(`propagate_from:${from.id}`);
  }
  if (mount.unbindable) parts.push('unbindable');
  return parts.join(' ');
}

/** The nearest group up the chain of masters that has a member in the same tree below `root`; null if there is none. */
export function dominating(mount: Mount, root: Path): PeerGroup | null {
  let group = mount.master;
  while (group) {
    for (const member of group.members) {
      if (member.namespace === mount.namespace && isReachable({ mount: member, dentry: member.root }, root))
        return group;
    }
    const [first] = group.members;
    group = first?.master ?? null;
  }
  return null;
}

function rootName(origin: string, name: string): string {
  return origin !== '' && name === '/' ? origin : `${origin}${name}`;
}

/** Mount flags as /proc/mounts spells them. */
export function mountOptions(flags: number): string {
  let text = flags & MS_RDONLY ? 'ro' : 'rw';
  if (flags & MS_NOSUID) text += ',nosuid';
  if (flags & MS_NODEV) text += ',nodev';
  if (flags & MS_NOEXEC) text += ',noexec';
  if (flags & MS_SYNCHRONOUS) text += ',sync';
  if (flags & MS_NOATIME) text += ',noatime';
  if (flags & MS_NODIRATIME) text += ',nodiratime';
  if (flags & MS_RELATIME) text += ',relatime';
  if (flags & MS_NOSYMFOLLOW) text += ',nosymfollow';
  return text;
}
