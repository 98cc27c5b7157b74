// What programs mount: scripts that mount and unmount, in a mount namespace of the host and in a sandbox, must find the
// same mounts in the same peer groups, and the same files in the overlays they have put together.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { cloister } from '../cli/cloister.ts';

const isRoot = process.getuid?.() === 0;

for (const name of ['propagation', 'overlay-mount']) {
  test(name, { skip: !isRoot && 'mounts on the host, too' }, (t) => {
    const script = join(import.meta.dirname, `${name}.sh`);
    const directory = mkdtempSync(join(tmpdir(), 'mounts-'));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const native = execFileSync('unshare', ['-m', 'sh', script], { cwd: directory, encoding: 'utf8' });
    const inside = cloister(['do', '--cwd', '/dev/shm', '--', 'sh', script]);
    assert.deepEqual(inside.stdout.split('\n'), native.split('\n'), inside.stderr);
  });
}
