// The host's cgroups bound over the container's own, as podman does for systemd (--systemd) where the host has version 1,
// and people who run systemd under docker: what they are to give the container, a tree of cgroups that it may change, it has
// in the sandbox's own. The host's is not shown to it.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { MountSpec } from '../base/spec.ts';

const PLACE = '/sys/fs/cgroup';

const isWithin = (path: string): boolean => path === PLACE || path.startsWith(`${PLACE}/`);

/** Whether a bind brings the host's cgroups to where the container's are. */
export function bindsHostCgroups(source: string, destination: string): boolean {
  return isWithin(source) && isWithin(destination);
}

/**
 * Puts the sandbox's cgroups in the place of such a bind. Bound read-only as a whole, a host of version 1 leaves the
 * hierarchies below as they are; so only a part or a tree of version 2 is read-only.
 */
export function mountOwnCgroups(mounts: MountSpec[], source: string, readonly: boolean): void {
  const writable = !readonly || (source === PLACE && !existsSync(join(PLACE, 'cgroup.controllers')));
  const at = mounts.findIndex(({ destination, type }) => destination === PLACE && type === 'cgroup');
  const options = (at < 0 ? ['nosuid', 'nodev', 'noexec'] : mounts[at].options).filter(
    (option) => option !== 'ro' && option !== 'rw',
  );
  const mount: MountSpec = {
    destination: PLACE,
    type: 'cgroup',
    source: null,
    device: 'cgroup',
    options: [writable ? 'rw' : 'ro', ...options],
    copyUp: false,
  };
  if (at < 0) mounts.push(mount);
  else if (writable) mounts[at] = mount;
}
