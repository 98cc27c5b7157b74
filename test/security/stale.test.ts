// What travels to a guest's process with an answer that is held up is what was asked for (stale.c): by the number of a
// descriptor that was closed meanwhile it could be anybody's file.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cloister } from '../cli/cloister.ts';
import { compile, sharedDirectory } from './programs.ts';

const directory = sharedDirectory();
const program = compile('stale', directory);

test('a file that is closed while its mapping waits', () => {
  const { status, stdout, stderr } = cloister(['do', '--bind', `${directory}:${directory}:ro`, '--', program, '4']);
  assert.equal(stdout, 'stopped, mapped, 0 wrong\n', stderr);
  assert.equal(status, 0);
});
