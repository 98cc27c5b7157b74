// A C program that writes to what runs and runs what is written to, and looks at its locks.

import { describe } from 'node:test';
import { sameInPlaces } from './places.ts';

describe('text that runs, and locks', () => {
  sameInPlaces('busy', ['running', 'executing', 'locks']);
});
