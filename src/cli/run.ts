// `cloister run`: an OCI bundle's process in the foreground. The configuration's schema is loaded here only, because
// loading zod costs as much as starting Node.

import type { Command } from 'commander';
import { callerDirectory, print } from './caller.ts';
import type { TraceOptions } from './options.ts';
import { addTraceOptions, traceSpec } from './options.ts';

interface RunOptions extends TraceOptions {
  readonly bundle: string;
}

export function addRunCommand(program: Command, dist: string): void {
  const command = program
    .command('run')
    .summary('run an OCI bundle in the foreground')
    .description('Runs the process of an OCI bundle and exits with its status (125 when the sandbox itself failed).')
    .argument('<id>', 'name of the container')
    .option('-b, --bundle <dir>', 'directory with config.json', '.');
  addTraceOptions(command).action(async (id: string, options: RunOptions) => {
    const { runBundle } = await import('../oci/run.ts');
    runBundle(dist, {
      id,
      bundle: options.bundle,
      directory: callerDirectory(),
      ...traceSpec(options, dist),
      warn: (message) => print(2, `cloister: warning: ${message}\n`),
    });
  });
}
