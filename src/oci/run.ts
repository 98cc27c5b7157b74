// Running a bundle in the foreground: read its config.json, convert it, start it.

import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { isatty } from 'node:tty';
import { pathOf } from './bytes.ts';
import { parseConfig } from './config.ts';
import type { ConversionOptions } from './convert.ts';
import { sandboxOfConfig } from './convert.ts';
import { LaunchError, launch } from './launch.ts';

export interface RunOptions extends ConversionOptions {
  /** What a relative `bundle` starts from. */
  readonly directory: string;
}

/** Becomes the launcher of the bundle's sandbox. Throws a LaunchError. */
export function runBundle(dist: string, options: RunOptions): never {
  if (!/^[\w+.-]+$/.test(options.id)) {
    throw new LaunchError(`${options.id}: a container's id is made of letters, digits and _+-.`);
  }
  const bundle = posix.resolve(options.directory, options.bundle);
  const config = parseConfig(readConfig(bundle));
  const sandbox = sandboxOfConfig(config, { ...options, bundle });
  if (sandbox.spec.process.terminal && !isatty(0)) {
    throw new LaunchError('config.json: process.terminal: standard input is not a terminal');
  }
  launch(dist, sandbox);
}

function readConfig(bundle: string): string {
  const path = posix.join(bundle, 'config.json');
  try {
    return readFileSync(pathOf(path), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new LaunchError(`${path} does not exist: ${bundle} is not a bundle`);
    }
    throw new LaunchError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
