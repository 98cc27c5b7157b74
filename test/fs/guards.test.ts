// Access control lists, leases, directory notification and inode flags: programs that use them, natively (on a tmpfs of
// the host) and in a sandbox, must print the same.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cloister } from '../cli/cloister.ts';
import { needPackages } from '../programs/packages.ts';

const isRoot = process.getuid?.() === 0;

describe('what keeps others from a file', { skip: !isRoot && 'compares with what root may do' }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'guards-'));
  const program = join(directory, 'guards');
  const made: string[] = [directory];
  before(() => {
    chmodSync(directory, 0o755);
    execFileSync('cc', ['-O1', '-o', program, join(import.meta.dirname, 'guards.c')]);
  });
  after(() => {
    for (const path of made) rmSync(path, { recursive: true, force: true });
  });

  function fresh(base: string): string {
    const path = mkdtempSync(join(base, 'guards-'));
    chmodSync(path, 0o755);
    made.push(path);
    return path;
  }

  function compare(command: readonly string[], places: readonly (readonly string[])[]): void {
    const native = execFileSync(command[0], command.slice(1), { encoding: 'utf8', cwd: fresh('/dev/shm') });
    for (const place of places) {
      const inside = cloister(['do', ...place, '--', ...command]);
      assert.deepEqual(inside.stdout.split('\n'), native.split('\n'), `${place.join(' ')}: ${inside.stderr}`);
    }
  }

  const onTmpfs = ['--cwd', '/dev/shm'];
  const onOverlay = (): string[] => ['--cwd', fresh(tmpdir())];
  const onHost = (): string[] => ['--bind', `${fresh(tmpdir())}:/mnt`, '--cwd', '/mnt'];

  test('access control lists', (t) => {
    const reason = needPackages('acl', 'attr');
    if (reason) return t.skip(reason);
    compare(['sh', join(import.meta.dirname, 'acl.sh')], [onTmpfs, onOverlay(), onHost()]);
  });
  test('leases', () => compare([program, 'leases'], [onTmpfs, onOverlay(), onHost()]));
  test('directory notification', () => compare([program, 'notices'], [onTmpfs, onOverlay()]));
  test('newer calls', () => compare([program, 'newer'], [onTmpfs]));
  test('inode flags', () => compare([program, 'flags'], [onTmpfs, onOverlay()]));
});
