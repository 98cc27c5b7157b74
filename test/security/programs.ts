// The C programs of these tests, compiled static when a test file first asks for them.

import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

/** A directory that the tests of this file share with their sandboxes. It is gone when they are done. */
export function sharedDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'cloister-security-'));
  chmodSync(directory, 0o755);
  after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Compiles NAME.c beside this file into the directory, where headers may be; the program's path. */
export function compile(name: string, directory: string): string {
  const program = join(directory, name);
  const flags = ['-O1', '-static', '-pthread', '-Wall', '-Wextra', '-Werror', `-I${directory}`];
  execFileSync('cc', [...flags, join(import.meta.dirname, `${name}.c`), '-o', program]);
  return program;
}
