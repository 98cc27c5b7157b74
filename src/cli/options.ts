// Options that several verbs share, and the parsers of their values.

import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import type { SandboxSpec } from '../base/spec.ts';
import { duplicateStderr, openTraceLog } from '../oci/launch.ts';
import { LaunchError } from '../oci/launch-error.ts';

export interface TraceOptions {
  readonly strace?: true;
  readonly straceLog?: string;
  readonly stats?: true;
  readonly debug?: true;
  readonly patch: boolean;
  readonly spin: 'auto' | 'off';
  readonly platform: SandboxSpec['platform'];
  readonly check: number;
}

/** What can be watched of a sandbox while it runs. */
export function addTraceOptions(command: Command): Command {
  return command
    .option('--strace', 'print each system call to standard error, as strace(1) does')
    .option('--strace-log <file>', 'print them to a file instead')
    .option('--stats', 'print at the end which system calls were answered, and which were made on this machine')
    .option('--debug', 'print what the sandbox itself does to standard error')
    .option('--no-patch', 'let every system call trap, instead of patching the call sites that are used often')
    .addOption(
      new Option('--spin <when>', 'wait for system calls in memory while they come fast and a CPU is to spare')
        .choices(['auto', 'off'])
        .default('auto'),
    )
    .addOption(
      new Option('--platform <name>', 'how system calls come to the sentry: seccomp notifications, or ptrace')
        .choices(['notify', 'ptrace'])
        .env('CLOISTER_PLATFORM')
        .default('notify'),
    )
    .addOption(
      new Option('--check <n>', 'for tests: look every n turns whether all that must hold holds')
        .env('CLOISTER_CHECK')
        .argParser(Number)
        .default(0)
        .hideHelp(),
    );
}

/** The spec's fields for these options; opens the log file. */
export function traceSpec(
  options: TraceOptions,
  dist: string,
): Pick<SandboxSpec, 'strace' | 'stats' | 'debug' | 'patch' | 'spin' | 'platform' | 'check'> {
  const { straceLog } = options;
  let strace: SandboxSpec['strace'] = null;
  if (straceLog !== undefined) strace = { fd: openLog(dist, straceLog) };
  else if (options.strace) strace = { fd: duplicateStderr(dist) };
  return {
    strace,
    stats: options.stats ?? false,
    debug: options.debug ?? false,
    patch: options.patch,
    spin: options.spin === 'auto',
    platform: options.platform,
    check: options.check,
  };
}

function openLog(dist: string, path: string): number {
  try {
    return openTraceLog(dist, path);
  } catch (error) {
    throw new LaunchError(`--strace-log: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** For commander: collects the values of a repeatable option. */
export function appendTo<T>(parse: (text: string) => T): (text: string, previous?: readonly T[]) => T[] {
  return (text, previous = []) => [...previous, parse(text)];
}

/** A user or group id; the largest number means "none" to the kernel. */
export function parseId(text: string): number {
  const id = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(id < 0xffffffff)) throw new InvalidArgumentError('Expected a number.');
  return id;
}
