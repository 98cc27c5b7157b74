// A C program that reads much at once, which the stub does by itself from a descriptor that it is given.

import { describe } from 'node:test';
import { sameInPlaces } from './places.ts';

describe('reads of much at once', () => {
  sameInPlaces('big-reads', ['whole', 'faults', 'changes', 'shared', 'storm', 'devices']);
});
