// inotify(7): a C program that watches files while it does everything to them.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cloister } from '../cli/cloister.ts';
import { sameInPlaces } from './places.ts';

const PARTS = ['files', 'directories', 'moves', 'masks', 'reading', 'copies'];

const isRoot = process.getuid?.() === 0;

describe('inotify', { skip: !isRoot && 'compares with what root may do' }, () => {
  const { program, fresh } = sameInPlaces('inotify', PARTS);

  test('a file system goes', () => {
    const { stdout } = cloister(['do', '--cwd', fresh(), '--', program, 'unmounts']);
    const events = stdout.split('unmounted, ')[1].split('\n').slice(1, -1);
    assert.deepEqual(events.slice(-4), ['  2 UNMOUNT', '  2 IGNORED', '  1 UNMOUNT ISDIR', '  1 IGNORED']);
  });
});
