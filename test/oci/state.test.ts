// Where state is kept when nobody says where: not in a directory that somebody else has made there.

import assert from 'node:assert/strict';
import { chownSync, mkdirSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { defaultRoot, stateDirectory } from '../../src/oci/state.ts';

const USER = 47114711;

test('a default state directory of another user is refused', (t) => {
  if (process.geteuid?.() !== 0) return t.skip('needs root to make a directory of another user');
  const runtime = process.env.XDG_RUNTIME_DIR;
  delete process.env.XDG_RUNTIME_DIR;
  const { geteuid } = process;
  process.geteuid = () => USER;
  const root = defaultRoot();
  try {
    assert.equal(stateDirectory(root, 'one'), `${root}/one`);
    mkdirSync(root);
    chownSync(root, USER + 1, USER + 1);
    assert.throws(() => stateDirectory(root, 'one'), /belongs to another user/);
    chownSync(root, USER, USER);
    assert.equal(stateDirectory(root, 'one'), `${root}/one`);
  } finally {
    process.geteuid = geteuid;
    rmSync(root, { recursive: true, force: true });
    if (runtime !== undefined) process.env.XDG_RUNTIME_DIR = runtime;
  }
});
