// `cloister install` and `uninstall`: Cloister among the runtimes of docker, and what containerd, CRI-O, podman and
// Kubernetes have to be told.

import { posix } from 'node:path';
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { bytesOfText, textOfBytes } from '../oci/bytes.ts';
import { LaunchError } from '../oci/launch-error.ts';
import { callerDirectory, print } from './caller.ts';

const DAEMON_JSON = '/etc/docker/daemon.json';

interface InstallOptions {
  readonly name: string;
  readonly dockerConfig: string;
  readonly path?: string;
}

function parseName(text: string): string {
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text)) throw new InvalidArgumentError('Expected a lower-case name.');
  return text;
}

function addOptions(command: Command): Command {
  return command
    .option('--name <name>', 'what the runtime is to be called', parseName, 'cloister')
    .option('--docker-config <file>', 'configuration of the docker daemon', DAEMON_JSON);
}

function absolute(text: string): string {
  const path = textOfBytes(posix.resolve(callerDirectory(), text));
  if (path === null) throw new LaunchError(`${text}: paths in configurations must be UTF-8`);
  return path;
}

export function addInstallCommands(program: Command, dist: () => string): void {
  addOptions(program.command('install'))
    .summary('make Cloister a runtime of docker, and say what others need')
    .description(
      'Enters Cloister into the configuration of docker. What containerd, crio, podman or kubernetes have to be told is ' +
        'printed, when it is asked for.',
    )
    .argument('[for]', 'docker (default), containerd, crio, podman or kubernetes', 'docker')
    .option('--path <file>', 'where the program is or will be (default: this one)')
    .action(async (wanted: string, options: InstallOptions) => {
      const { addToDocker, SNIPPETS } = await import('../oci/install.ts');
      const path = absolute(options.path ?? posix.join(bytesOfText(dist()), '../bin/cloister'));
      const installation = { name: options.name, program: path, args: [] };
      const snippet = Object.hasOwn(SNIPPETS, wanted) ? SNIPPETS[wanted] : undefined;
      if (snippet !== undefined) return print(1, bytesOfText(snippet(installation)));
      if (wanted !== 'docker') throw new LaunchError(`install: ${wanted} is not known`);
      const file = absolute(options.dockerConfig);
      const changed = addToDocker(file, installation);
      const news = changed
        ? `${file} names it now; restart docker: systemctl restart docker (or: kill -HUP of dockerd)`
        : `${file} names it already`;
      print(1, bytesOfText(`${news}\n`));
    });

  addOptions(program.command('uninstall'))
    .summary('take Cloister out of the runtimes of docker')
    .action(async (options: InstallOptions) => {
      const { removeFromDocker } = await import('../oci/install.ts');
      const file = absolute(options.dockerConfig);
      const removed = removeFromDocker(file, options.name);
      print(1, bytesOfText(`${file} ${removed ? 'names it no more; restart docker' : 'does not name it'}\n`));
    });
}
