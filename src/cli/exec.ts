// `cloister exec`: one more program in a running container.

import { posix } from 'node:path';
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { LaunchError } from '../oci/launch-error.ts';
import { debug, stateRoot } from './globals.ts';
import { parseCount, warn } from './lifecycle.ts';
import { appendTo, parseId } from './options.ts';

const CONTROLLERS = new Set(
  'blkio cpu cpuacct cpuset devices freezer hugetlb memory net_cls net_prio perf_event pids rdma misc'.split(' '),
);

interface ExecCommandOptions {
  readonly process?: string;
  readonly consoleSocket?: string;
  readonly cwd?: string;
  readonly env?: readonly string[];
  readonly tty?: true;
  readonly user?: { readonly uid: number; readonly gid: number | null };
  readonly additionalGids?: readonly number[];
  readonly detach?: true;
  readonly pidFile?: string;
  readonly newPrivs?: boolean;
  readonly cap?: readonly string[];
  readonly preserveFds: number;
  readonly ignorePaused?: true;
}

function parseUser(text: string): { uid: number; gid: number | null } {
  const [uid = '', gid, ...rest] = text.split(':');
  if (rest.length > 0) throw new InvalidArgumentError('Expected UID or UID:GID.');
  return { uid: parseId(uid), gid: gid === undefined ? null : parseId(gid) };
}

/** Below the container's own cgroup there are none that a program could be put in: they are the sandbox's. */
function parseCgroup(text: string): string {
  const colon = text.lastIndexOf(':');
  const path = posix.normalize(`./${text.slice(colon + 1)}`);
  if (path.startsWith('..')) throw new LaunchError(`--cgroup: ${text} is not a sub cgroup path`);
  for (const controller of colon < 0 ? [] : text.slice(0, colon).split(',')) {
    if (!CONTROLLERS.has(controller)) throw new LaunchError(`--cgroup: unknown controller ${controller}`);
  }
  if (path !== '.' && path !== './')
    throw new LaunchError(`--cgroup: adding pid to /${path}/cgroup.procs: no such file or directory`);
  return text;
}

function parseVariable(text: string): string {
  if (!(text.indexOf('=') > 0)) throw new InvalidArgumentError('Expected NAME=VALUE.');
  return text;
}

export function addExecCommand(program: Command, dist: () => string): void {
  program
    .command('exec')
    .summary('run one more program in a container')
    .argument('<id>', 'name of the container')
    .argument('[command...]', 'program and arguments')
    .passThroughOptions()
    .option('--console-socket <path>', 'socket that is sent the master of the terminal')
    .option('--cwd <dir>', 'directory to start in')
    .option('-e, --env <name=value>', 'environment variable to set (repeatable)', appendTo(parseVariable))
    .option('-t, --tty', 'at a terminal')
    .option('-u, --user <uid[:gid]>', 'user and group ids', parseUser)
    .option('-g, --additional-gids <gid>', 'supplementary group (repeatable)', appendTo(parseId))
    .option('-p, --process <file>', 'process of config.json, instead of all these')
    .option('-d, --detach', 'return when the program runs')
    .option('--pid-file <file>', 'file to write the pid to')
    .option('--process-label <label>', 'for compatibility: labels have no effect')
    .option('--apparmor <profile>', 'for compatibility: profiles have no effect')
    .option('--no-new-privs', 'no program gives new privileges')
    .option(
      '-c, --cap <name>',
      'capability to add (repeatable)',
      appendTo((text) => text),
    )
    .option('--preserve-fds <n>', 'pass n more descriptors, from 3 on', parseCount, 0)
    .option(
      '--cgroup <path>',
      "cgroup below the container's own (v1: controller[,controller...]:path)",
      appendTo(parseCgroup),
    )
    .option('--ignore-paused', 'also in a paused container')
    .action(async (id: string, args: string[], options: ExecCommandOptions) => {
      debug(`exec ${id}: ${options.process ?? args.join(' ')}`);
      const { execInContainer } = await import('../oci/exec.ts');
      await execInContainer(dist(), {
        root: stateRoot(),
        id,
        process: options.process ?? null,
        args,
        cwd: options.cwd ?? null,
        env: options.env ?? [],
        user: options.user ?? null,
        additionalGids: options.additionalGids ?? [],
        capabilities: options.cap ?? [],
        noNewPrivileges: options.newPrivs === false,
        terminal: options.tty ?? null,
        consoleSocket: options.consoleSocket ?? null,
        pidFile: options.pidFile ?? null,
        detach: options.detach ?? false,
        preserveFds: options.preserveFds,
        ignorePaused: options.ignorePaused ?? false,
        warn,
      });
    });
}
