// Runs bin/cloister for the tests.

import type { SpawnSyncReturns } from 'node:child_process';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

export const TOP = join(import.meta.dirname, '../..');
export const CLOISTER = join(TOP, 'bin/cloister');

export interface RunOptions {
  readonly input?: string | Buffer;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
}

/** Runs the command line to its end; a sandbox that hangs is killed after a minute. */
export function cloister(args: readonly string[], options: RunOptions = {}): SpawnSyncReturns<string> {
  return spawnSync(CLOISTER, args, {
    encoding: 'utf8',
    timeout: 60_000,
    killSignal: 'SIGKILL',
    maxBuffer: 64 << 20,
    ...options,
  });
}
