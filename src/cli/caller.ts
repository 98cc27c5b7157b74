// The caller's own command line, environment and directory as bytes: Node decodes them as UTF-8 and so loses what is
// not. Inside the CLI all text from the user is a byte string, and it goes out again as it came in.

import { fstatSync, readFileSync, writeSync } from 'node:fs';
import { bytesOfText } from '../oci/bytes.ts';
import { FRONT_VARIABLE } from '../oci/front.ts';

/** The arguments after the script's name. */
export function callerArguments(): string[] {
  const count = process.argv.length - 2;
  const all = zeroTerminated('/proc/self/cmdline') ?? process.argv.map(bytesOfText);
  return count === 0 ? [] : all.slice(-count);
}

/** `NAME=value` strings, with what bin/cloister put aside for Node's sake restored. */
export function callerEnvironment(): string[] {
  const all =
    zeroTerminated('/proc/self/environ') ??
    Object.entries(process.env).map(([name, value]) => bytesOfText(`${name}=${value}`));
  const own = all.filter((entry) => !entry.startsWith(FRONT_VARIABLE));
  return own.map((entry) => (entry.startsWith(SAVED_NODE_OPTIONS) ? entry.slice('CLOISTER_'.length) : entry));
}

const SAVED_NODE_OPTIONS = 'CLOISTER_NODE_OPTIONS=';

export function callerDirectory(): string {
  return bytesOfText(process.cwd());
}

const MEMORY_DEVICES = 1;

/** Whether a descriptor is a terminal. Node's module for it takes 3 ms to load, so files, pipes and /dev/null do without. */
export function isTerminal(fd: number): boolean {
  const status = fstatSync(fd);
  const major = (status.rdev >>> 8) & 0xfff;
  if (!status.isCharacterDevice() || major === MEMORY_DEVICES) return false;
  return process.getBuiltinModule('node:tty').isatty(fd);
}

/**
 * Prints a byte string. Not through process.stdout: opening that changes the terminal's descriptor under the launcher
 * that may take our place.
 */
export function print(fd: 1 | 2, bytes: string): void {
  const buffer = Buffer.from(bytes, 'latin1');
  for (let done = 0; done < buffer.length; ) done += writeSync(fd, buffer, done);
}

function zeroTerminated(path: string): string[] | null {
  try {
    return readFileSync(path, 'latin1').split('\0').slice(0, -1);
  } catch {
    return null;
  }
}
