// What there is to see of containers: state, list, ps, events, features.

import { writeFileSync } from 'node:fs';
import { posix } from 'node:path';
import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import { bytesOfText, pathOf } from '../oci/bytes.ts';
import { LaunchError } from '../oci/launch-error.ts';
import { type ContainerState, listIds, loadState, publicState, requireState, statusOf } from '../oci/state.ts';
import { callerDirectory, print } from './caller.ts';
import { stateRoot } from './globals.ts';

function printText(text: string): void {
  print(1, bytesOfText(text));
}

function addFormat(command: Command, ...names: string[]): Command {
  return command.addOption(
    new Option('-f, --format <format>', 'output format').choices(['table', 'json', ...names]).default('table'),
  );
}

interface Entry {
  readonly ociVersion: string;
  readonly id: string;
  readonly pid: number;
  readonly status: string;
  readonly bundle: string;
  readonly created: string;
  readonly owner: string;
}

function listContainers(): Entry[] {
  const root = stateRoot();
  return listIds(root).flatMap((id) => {
    const state = loadState(root, id);
    return state === null ? [] : [publicState(root, state) as Entry];
  });
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('   ')
          .trimEnd()}\n`,
    )
    .join('');
}

async function printStatistics({ id, cgroups }: ContainerState): Promise<void> {
  const { cgroupStatistics } = await import('../oci/statistics.ts');
  printText(`${JSON.stringify({ type: 'stats', id, data: cgroupStatistics(cgroups) })}\n`);
}

/** How often we look whether memory has run out, seconds. */
const OOM_INTERVAL = 0.1;

/** Until the container is gone. */
async function printEvents(state: ContainerState, interval: number): Promise<void> {
  const { oomKills } = await import('../oci/statistics.ts');
  let kills = oomKills(state.cgroups);
  for (let left = 0; statusOf(stateRoot(), state) !== 'stopped'; left -= OOM_INTERVAL) {
    if (left <= 0) {
      await printStatistics(state);
      left = interval;
    }
    const pause = Math.min(OOM_INTERVAL, interval) * 1000;
    await new Promise((resolve) => setTimeout(resolve, pause));
    const now = oomKills(state.cgroups);
    if (now > kills) printText(`${JSON.stringify({ type: 'oom', id: state.id })}\n`);
    kills = now;
  }
}

export function addInspectCommands(program: Command): void {
  program
    .command('state')
    .summary('print the state of a container as JSON')
    .argument('<id>', 'name of the container')
    .action((id: string) => {
      const root = stateRoot();
      printText(`${JSON.stringify(publicState(root, requireState(root, id)), null, 2)}\n`);
    });

  addFormat(program.command('list'))
    .summary('list containers')
    .option('-q, --quiet', 'only their names')
    .action((options: { readonly format: string; readonly quiet?: true }) => {
      const entries = listContainers();
      if (options.quiet) return printText(entries.map(({ id }) => `${id}\n`).join(''));
      if (options.format === 'json') return printText(`${JSON.stringify(entries)}\n`);
      const rows = entries.map(({ id, pid, status, bundle, created, owner }) => [
        id,
        String(pid),
        status,
        bundle,
        created,
        owner,
      ]);
      printText(table([['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED', 'OWNER'], ...rows]));
    });

  addFormat(program.command('ps'), 'container')
    .summary('list the processes of a container')
    .description(
      'What ps(1) says of them, as JSON their pids alone; with the format container, how they are seen inside.',
    )
    .argument('<id>', 'name of the container')
    .argument('[options...]', 'of ps(1) (default: -ef)')
    .passThroughOptions()
    .allowUnknownOption()
    .action(async (id: string, options: string[], { format }: { readonly format: string }) => {
      const { containerProcesses, formatProcesses } = await import('../oci/processes.ts');
      const root = stateRoot();
      const processes = await containerProcesses(root, requireState(root, id));
      if (format === 'json') return printText(`${JSON.stringify(processes.map(({ ownPid }) => ownPid))}\n`);
      if (format === 'table') return print(1, formatProcesses(processes, options));
      const rows = processes.map(({ uid, pid, parent, ownPid, name }) => [uid, pid, parent, ownPid, name].map(String));
      print(1, table([['UID', 'PID', 'PPID', 'HOST PID', 'CMD'], ...rows]));
    });

  program
    .command('events')
    .summary('print events and statistics of a container as JSON')
    .argument('<id>', 'name of the container')
    .option('--interval <seconds>', 'between statistics', parseInterval, 5)
    .option('--stats', 'print statistics once')
    .action(async (id: string, options: { readonly interval: number; readonly stats?: true }) => {
      const state = requireState(stateRoot(), id);
      if (statusOf(stateRoot(), state) === 'stopped') throw new LaunchError('container is not running');
      if (options.stats) return printStatistics(state);
      await printEvents(state, options.interval);
    });

  program
    .command('features')
    .summary('print what this runtime supports as JSON')
    .action(async () => {
      const { features } = await import('../oci/features.ts');
      printText(`${JSON.stringify(features(), null, 2)}\n`);
    });

  program
    .command('spec')
    .summary('write a config.json to start from')
    .option('-b, --bundle <dir>', 'directory to write it to', '.')
    .option('--rootless', 'for an ordinary user')
    .action(async (options: { readonly bundle: string; readonly rootless?: true }) => {
      const { configTemplate } = await import('../oci/template.ts');
      const path = posix.join(posix.resolve(callerDirectory(), options.bundle), 'config.json');
      const text = `${JSON.stringify(configTemplate(options.rootless ?? false), null, 2)}\n`;
      try {
        writeFileSync(pathOf(path), text, { flag: 'wx' });
      } catch (error) {
        const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
        throw new LaunchError(`${path}: ${exists ? 'exists already' : (error as Error).message}`);
      }
    });

  program
    .command('wait')
    .summary('wait until a container has ended')
    .argument('<id>', 'name of the container')
    .action(async (id: string) => {
      const root = stateRoot();
      requireState(root, id);
      for (let state = loadState(root, id); state !== null; state = loadState(root, id)) {
        if (statusOf(root, state) === 'stopped') return;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    });
}

function parseInterval(value: string): number {
  const seconds = Number.parseFloat(value) * (value.endsWith('ms') ? 0.001 : value.endsWith('m') ? 60 : 1);
  if (!(seconds > 0)) throw new InvalidArgumentError('Expected a positive time.');
  return seconds;
}
