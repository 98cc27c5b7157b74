// What files do must not depend on where they lie: the same calls on the host, and in a sandbox on an overlay, on tmpfs and
// on a bind.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cloister } from '../cli/cloister.ts';

const SCRIPT = join(import.meta.dirname, 'places.py');
const isRoot = process.getuid?.() === 0;

describe('files', { skip: !isRoot && 'compares what root may do' }, () => {
  let directory = '';
  let native: string[] = [];
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'places-'));
    mkdirSync(join(directory, 'native'));
    mkdirSync(join(directory, 'bound'));
    native = execFileSync('python3', [SCRIPT, join(directory, 'native')], { encoding: 'utf8' }).split('\n');
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  const run = (place: string): void => {
    const bind = ['--bind', `${directory}/bound:/mnt`];
    const { status, stdout, stderr } = cloister(['do', ...bind, '--', 'python3', SCRIPT, place]);
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
    assert.deepEqual(stdout.split('\n'), native);
  };
  test('on an overlay', () => run('/var/tmp/places'));
  test('on tmpfs', () => run('/dev/shm'));
  test('on a bind', () => run('/mnt'));
});
