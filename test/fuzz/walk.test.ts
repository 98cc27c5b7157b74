// Random paths in a random tree full of links: the walk ends at the file, or with the error, that the host's kernel finds
// when it is kept in that root.

import assert from 'node:assert/strict';
import { chmodSync, linkSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { EAGAIN } from '../../src/abi/errno.ts';
import type { HostFd } from '../../src/base/brands.ts';
import { host } from '../../src/host/calls.ts';
import { allocateScratch, readU64, resetScratch } from '../../src/platform/arena.ts';
import { Guest, hostTree, setUpHost, temporaryDirectory } from '../support/file-tree.ts';
import { below, pick, repeatedly, seed } from './random.ts';

const O_PATH = 0o10000000;
const O_NOFOLLOW = 0o400000;
const O_DIRECTORY = 0o200000;
const RESOLVE_IN_ROOT = 0x10;
const NAMES = ['a', 'b', 'c', 'd', '.', '..', '...', ' ', 'x'.repeat(255), 'x'.repeat(256)];

function randomPath(): string {
  const parts = Array.from({ length: 1 + below(8) }, () =>
    below(3) === 0 ? pick(NAMES) : pick(['a', 'b', 'c', 'd', '..']),
  );
  const path = parts.join(pick(['/', '/', '/', '//', '/./']));
  return (below(3) === 0 ? '/' : '') + path + (below(5) === 0 ? '/' : '');
}

/** A directory with files, directories, hard links and links to anywhere. */
function grow(directory: string, depth: number): void {
  for (const name of ['a', 'b', 'c', 'd']) {
    const path = join(directory, name);
    const kind = below(10);
    if (kind < 4 && depth > 0) {
      mkdirSync(path);
      grow(path, depth - 1);
    } else if (kind < 6) writeFileSync(path, name);
    else if (kind < 9) symlinkSync(randomPath(), path);
  }
}

test(`paths and links (seed ${seed})`, (context) => {
  setUpHost();
  let found = 0;
  repeatedly(5, () => {
    const top = temporaryDirectory(context);
    chmodSync(top, 0o755);
    grow(top, 4);
    writeFileSync(join(top, 'first'), '');
    linkSync(join(top, 'first'), join(top, 'second'));
    const dirfd = openSync(top, 'r') as HostFd;
    const guest = new Guest(hostTree(top));
    for (let i = 0; i < 400; i++) {
      const path = randomPath();
      const flags = O_PATH | pick([0, 0, O_NOFOLLOW, O_DIRECTORY, O_NOFOLLOW | O_DIRECTORY]);
      resetScratch();
      let fd: number;
      // EAGAIN: somebody renamed something somewhere while the host's kernel went up (openat2(2)).
      do fd = host.openat2(dirfd, path, flags, 0, RESOLVE_IN_ROOT);
      while (fd === -EAGAIN);
      let expected: number = fd;
      if (fd >= 0) {
        const at = allocateScratch(144);
        host.fstat(fd as HostFd, at);
        expected = readU64(at + 8);
        host.close(fd as HostFd);
        found++;
      }
      const own = guest.open(path, flags);
      const status = own < 0 ? own : guest.fstat(own);
      if (own >= 0) guest.call('close', own);
      const actual = typeof status === 'number' ? status : status.ino;
      assert.equal(actual, expected, `seed ${seed}: ${JSON.stringify(path)} with ${flags.toString(8)}`);
    }
    host.close(dirfd);
  });
  assert.ok(found > 100, `only ${found} paths led anywhere`);
});
