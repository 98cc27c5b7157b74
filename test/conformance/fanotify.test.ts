// fanotify(7) and file handles: a C program that marks files, does everything to them and reads the events.

import { describe } from 'node:test';
import { sameInPlaces } from './places.ts';

const PARTS = ['descriptors', 'names', 'permission', 'ignoring', 'flags', 'handles'];

const isRoot = process.getuid?.() === 0;

describe('fanotify', { skip: !isRoot && 'compares with what root may do' }, () => {
  sameInPlaces('fanotify', PARTS);
});
