// Shared, slave, private and unbindable mounts: a script that mounts and unmounts, in a mount namespace of the host and
// in a sandbox, must find the same mounts in the same peer groups.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { cloister } from '../cli/cloister.ts';

const SCRIPT = join(import.meta.dirname, 'propagation.sh');
const isRoot = process.getuid?.() === 0;

test('mounts propagate', { skip: !isRoot && 'mounts on the host, too' }, (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'propagation-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const native = execFileSync('unshare', ['-m', 'sh', SCRIPT], { cwd: directory, encoding: 'utf8' });
  rmSync(join(directory, 'work'), { recursive: true, force: true });
  const inside = cloister(['do', '--cwd', '/dev/shm', '--', 'sh', SCRIPT]);
  assert.deepEqual(inside.stdout.split('\n'), native.split('\n'), inside.stderr);
});
