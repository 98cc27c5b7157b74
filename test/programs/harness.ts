// Runs one script natively and in the sandbox (`cloister do`, over the machine's own root) and expects the same standard
// output, standard error and exit status. Both runs start in the same fresh directory: what the sandbox writes there
// stays in its memory overlay, so the native run, which comes second, finds the directory empty again.

import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CLOISTER } from '../cli/cloister.ts';
import { needPackages } from './packages.ts';

export interface ProgramOptions {
  /** Debian packages without which the test is skipped. */
  readonly packages?: readonly string[];
  /** Who reads the script: a program and its arguments before the script. Default: sh -c. */
  readonly interpreter?: readonly string[];
  readonly input?: string;
  /** Takes out of an output what may differ between two runs. */
  readonly mask?: (output: string) => string;
  /** Compare standard output and status only. */
  readonly ignoreErrors?: boolean;
  /** The exit status that natively is expected, so that a test does not compare two failures. Default: 0. */
  readonly status?: number;
  /** ms for each of the runs. */
  readonly patience?: number;
}

interface Outcome {
  readonly status: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

const SHELL = ['sh', '-c'];
const PATIENCE = 120_000;
/** Same language and time zone for both; whatever else the caller has set is no business of the programs. */
const ENVIRONMENT = { PATH: process.env.PATH, HOME: '/root', LC_ALL: 'C', TZ: 'UTC', TERM: 'dumb' };

const scratch = mkdtempSync(join(tmpdir(), 'cloister-programs-'));
after(() => rmSync(scratch, { recursive: true }));

function run(command: readonly string[], cwd: string, options: ProgramOptions): Outcome {
  const mask = options.mask ?? ((text) => text);
  const result = spawnSync(command[0], command.slice(1), {
    cwd,
    env: ENVIRONMENT,
    input: options.input ?? '',
    encoding: 'utf8',
    timeout: options.patience ?? PATIENCE,
    killSignal: 'SIGKILL',
    maxBuffer: 256 << 20,
  });
  const stderr = options.ignoreErrors ? '' : mask(result.stderr);
  return { status: statusOf(result), stdout: mask(result.stdout), stderr };
}

/** As a shell gives it: 128 + N for a signal. */
function statusOf({ status, signal, error }: SpawnSyncReturns<string>): number | string {
  if (error) return error.message;
  return status ?? 128 + constants.signals[signal ?? 'SIGKILL'];
}

/** Defines a test: `script` has the same outcome natively and in the sandbox. */
export function sameAsNative(name: string, script: string, options: ProgramOptions = {}): void {
  test(name, (context) => {
    const reason = needPackages(...(options.packages ?? []));
    if (reason) return context.skip(reason);
    const directory = mkdtempSync(join(scratch, 'd-'));
    const command = [...(options.interpreter ?? SHELL), script];
    const inside = run([CLOISTER, 'do', '--', ...command], directory, options);
    assert.deepEqual(readdirSync(directory), [], 'what the sandbox wrote is seen outside');
    const native = run(command, directory, options);
    assert.equal(native.status, options.status ?? 0, `the native run failed: ${native.stderr}`);
    assert.deepEqual(inside, native);
  });
}
