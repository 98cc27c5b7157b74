// The guest's file tree, from the spec.

import type { SandboxSpec } from '../base/spec.ts';
import { HostSuperblock } from '../fs/host/superblock.ts';
import type { Path } from '../vfs/dentry.ts';
import { MountNamespace } from '../vfs/mount.ts';
import type { SentryArguments } from './arguments.ts';

export function buildRoot(args: SentryArguments, spec: SandboxSpec): Path {
  const tree = { directory: args.rootfs, name: '.', exclusive: true, readonly: true };
  const superblock = HostSuperblock.open(tree);
  if (typeof superblock === 'number') throw new Error(`root ${spec.root.path}: errno ${-superblock}`);
  const namespace = new MountNamespace(superblock, 1);
  return namespace.root.root.on(namespace.root);
}
