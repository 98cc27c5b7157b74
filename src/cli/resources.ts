// Verbs about what a container may use: pause, resume, update. And checkpoints, which there are none of yet.

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { pathOf } from '../oci/bytes.ts';
import type { Resources } from '../oci/cgroup-resources.ts';
import { LaunchError } from '../oci/launch-error.ts';
import { requireState, statusOf } from '../oci/state.ts';
import { stateRoot } from './globals.ts';

async function freeze(id: string, frozen: boolean): Promise<void> {
  const root = stateRoot();
  const state = requireState(root, id);
  const status = statusOf(root, state);
  if (frozen ? status !== 'running' && status !== 'created' : status !== 'paused') {
    throw new LaunchError(`cannot ${frozen ? 'pause' : 'resume'} a ${status} container`);
  }
  const { setFrozen } = await import('../oci/cgroups.ts');
  if (!setFrozen(state.cgroups, frozen)) throw new LaunchError('the container has no cgroup that can be frozen');
}

interface UpdateOptions {
  readonly resources?: string;
  readonly blkioWeight?: number;
  readonly cpuPeriod?: number;
  readonly cpuQuota?: number;
  readonly cpuBurst?: number;
  readonly cpuShare?: number;
  readonly cpuRtPeriod?: number;
  readonly cpuRtRuntime?: number;
  readonly cpuIdle?: number;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  readonly memory?: number;
  readonly memoryReservation?: number;
  readonly memorySwap?: number;
  readonly pidsLimit?: number;
}

/** Bytes, or with a suffix as docker's users write them. */
function parseSize(text: string): number {
  const match = /^(-?\d+)([bkmgt]?)$/i.exec(text);
  if (!match) throw new InvalidArgumentError('Expected a size.');
  return Number(match[1]) * 1024 ** 'bkmgt'.indexOf((match[2] || 'b').toLowerCase());
}

function parseNumber(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new InvalidArgumentError('Expected a number.');
  return Number(text);
}

async function resourcesOf(options: UpdateOptions): Promise<Resources> {
  if (options.resources !== undefined) {
    const { parseResources } = await import('../oci/config.ts');
    return parseResources(readFileSync(options.resources === '-' ? 0 : pathOf(options.resources), 'utf8'));
  }
  return {
    cpu: {
      period: options.cpuPeriod,
      quota: options.cpuQuota,
      burst: options.cpuBurst,
      shares: options.cpuShare,
      realtimePeriod: options.cpuRtPeriod,
      realtimeRuntime: options.cpuRtRuntime,
      idle: options.cpuIdle,
      cpus: options.cpusetCpus,
      mems: options.cpusetMems,
    },
    memory: { limit: options.memory, reservation: options.memoryReservation, swap: options.memorySwap },
    pids: { limit: options.pidsLimit },
    blockIO: { weight: options.blkioWeight },
  };
}

export function addResourceCommands(program: Command): void {
  program
    .command('pause')
    .summary('freeze a container')
    .argument('<id>', 'name of the container')
    .action((id: string) => freeze(id, true));
  program
    .command('resume')
    .summary('let a frozen container go on')
    .argument('<id>', 'name of the container')
    .action((id: string) => freeze(id, false));
  program
    .command('update')
    .summary('change the limits of a container')
    .argument('<id>', 'name of the container')
    .option('-r, --resources <file>', 'linux.resources as JSON; - is standard input')
    .option('--blkio-weight <n>', 'weight of block I/O, 10 to 1000', parseNumber)
    .option('--cpu-period <us>', 'period of the CPU quota', parseNumber)
    .option('--cpu-quota <us>', 'CPU time per period', parseNumber)
    .option('--cpu-burst <us>', 'CPU time that may be saved up', parseNumber)
    .option('--cpu-share <n>', 'share of CPU time', parseNumber)
    .option('--cpu-rt-period <us>', 'period of real-time scheduling', parseNumber)
    .option('--cpu-rt-runtime <us>', 'time of real-time scheduling per period', parseNumber)
    .option('--cpu-idle <n>', '1: only when nothing else runs', parseNumber)
    .option('--cpuset-cpus <list>', 'CPUs to use')
    .option('--cpuset-mems <list>', 'memory nodes to use')
    .option('--memory <size>', 'limit of memory', parseSize)
    .option('--memory-reservation <size>', 'memory that is kept under pressure', parseSize)
    .option('--memory-swap <size>', 'limit of memory and swap together', parseSize)
    .option('--pids-limit <n>', 'number of processes', parseNumber)
    .action(async (id: string, options: UpdateOptions) => {
      const root = stateRoot();
      const state = requireState(root, id);
      if (statusOf(root, state) === 'stopped') throw new LaunchError('container not running');
      const { updateContainer } = await import('../oci/update.ts');
      await updateContainer(root, state, await resourcesOf(options));
    });

  for (const name of ['checkpoint', 'restore']) {
    program
      .command(name)
      .summary('not supported yet')
      .argument('<id>', 'name of the container')
      .argument('[rest...]')
      .allowUnknownOption()
      .action(() => {
        throw new LaunchError(`${name}: checkpoints are not supported yet`);
      });
  }
}
