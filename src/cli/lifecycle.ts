// The life of a container: create, start, run, kill, delete. What reads a configuration is large, and loaded only when it
// is needed, or ahead, in a start-up snapshot of its own (containers.ts).

import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import type { CreateOptions } from '../oci/create.ts';
import { deleteContainer } from '../oci/delete.ts';
import { declineFront } from '../oci/front.ts';
import { parseSignal, signalContainer } from '../oci/processes.ts';
import { startContainer } from '../oci/start.ts';
import { requireState } from '../oci/state.ts';
import { callerDirectory, print } from './caller.ts';
import { containerDefaults, debug, hasLog, isDebug, log, networkDefaults, stateRoot, wantsSystemd } from './globals.ts';
import { addNetworkOptions, type NetworkOptions } from './network.ts';
import { addTraceOptions, type TraceOptions, traceSpec } from './options.ts';

interface BundleOptions extends NetworkOptions {
  readonly bundle: string;
  readonly consoleSocket?: string;
  readonly pidFile?: string;
  readonly preserveFds: number;
  readonly detach?: true;
}

/** A container that goes on without us has nobody to show its calls to. */
const UNTRACED = { strace: null, stats: false };

function addBundleOptions(command: Command): Command {
  return addNetworkOptions(command, "the configuration's")
    .argument('<id>', 'name of the container')
    .option('-b, --bundle <dir>', 'directory with config.json', '.')
    .option('--console-socket <path>', 'socket that is sent the master of the terminal')
    .option('--pid-file <file>', 'file to write the pid to')
    .option('--preserve-fds <n>', 'pass n more descriptors, from 3 on', parseCount, 0)
    .option('--no-pivot', 'for compatibility: the root is never shared with the host')
    .option('--no-new-keyring', 'for compatibility: keys of the host are never shared');
}

export function parseCount(value: string): number {
  if (!/^\d{1,4}$/.test(value)) throw new InvalidArgumentError('Expected a number.');
  return Number(value);
}

function createOptions(id: string, options: BundleOptions, warn: (message: string) => void): CreateOptions {
  debug(`container ${id}: bundle ${options.bundle}, state in ${stateRoot()}`);
  return {
    root: stateRoot(),
    id,
    systemd: wantsSystemd(),
    bundle: options.bundle,
    directory: callerDirectory(),
    consoleSocket: options.consoleSocket ?? null,
    pidFile: options.pidFile ?? null,
    preserveFds: options.preserveFds,
    ...UNTRACED,
    egress: [...(networkDefaults().egress ?? []), ...(options.egress ?? [])],
    network: options.network ?? networkDefaults().network ?? null,
    ...containerDefaults(),
    debug: isDebug(),
    warn,
  };
}

/** To the log, or else to standard error. */
export function warn(message: string): void {
  if (hasLog()) log('warning', message);
  else print(2, `cloister: warning: ${message}\n`);
}

/** Without a log, into the sandbox's own: standard error is the container's. */
async function create(dist: string, id: string, options: BundleOptions): Promise<void> {
  const warnings: string[] = [];
  const { createContainer } = await import('../oci/create.ts');
  const keep = (message: string): void => {
    if (hasLog()) log('warning', message);
    else warnings.push(`cloister: warning: ${message}\n`);
  };
  const { launcher } = await createContainer(dist, createOptions(id, options, keep));
  launcher.unref();
  appendFileSync(join(stateRoot(), id, 'sandbox.log'), warnings.join(''));
}

export function addLifecycleCommands(program: Command, dist: () => string): void {
  addBundleOptions(program.command('create'))
    .summary('make a container, without starting its program')
    .action((id: string, options: BundleOptions) => create(dist(), id, options));

  program
    .command('start')
    .summary('start the program of a created container')
    .argument('<id>', 'name of the container')
    .action(async (id: string) => {
      await startContainer(dist(), stateRoot(), id, warn);
    });

  addTraceOptions(addBundleOptions(program.command('run')))
    .summary('make a container and start it')
    .description(
      'Runs the process of an OCI bundle and exits with its status (1 when the bundle is not in order, 125 when the sandbox failed).',
    )
    .option('-d, --detach', 'return when the program runs')
    .option('--keep', 'keep the state when the program has ended')
    .action(async (id: string, options: BundleOptions & TraceOptions & { readonly keep?: true }) => {
      if (options.detach) {
        declineFront();
        await create(dist(), id, options);
        await startContainer(dist(), stateRoot(), id, warn);
        return;
      }
      const { runContainer } = await import('../oci/run.ts');
      const trace = traceSpec(options, dist());
      const defaults = containerDefaults();
      process.exitCode = await runContainer(dist(), {
        ...createOptions(id, options, warn),
        strace: trace.strace,
        stats: trace.stats,
        patch: trace.patch && defaults.patch,
        spin: trace.spin && defaults.spin,
        check: trace.check,
        platform: trace.platform === 'notify' ? defaults.platform : trace.platform,
        debug: trace.debug || isDebug(),
        keep: options.keep ?? false,
      });
    });

  program
    .command('kill')
    .summary('send a signal to a container')
    .argument('<id>', 'name of the container')
    .argument('[signal]', 'name or number', 'TERM')
    .option('-a, --all', 'to all its processes')
    .action(async (id: string, signal: string, options: { readonly all?: true }) => {
      const root = stateRoot();
      await signalContainer(root, requireState(root, id), parseSignal(signal), options.all ?? false);
    });

  program
    .command('delete')
    .summary('remove what is left of a container')
    .argument('<id>', 'name of the container')
    .option('-f, --force', 'kill it if it runs; no error if there is none')
    .action(async (id: string, options: { readonly force?: true }) => {
      const state = deleteContainer(stateRoot(), id, options.force ?? false);
      if (state?.hooks.poststop === undefined) return;
      const { runLateHooks } = await import('../oci/hooks.ts');
      runLateHooks(stateRoot(), state, 'poststop', warn);
    });
}
