// Descriptors that a sandbox was given (standard streams, --preserve-fds) do not become more than they are, whoever has
// them inside: nobody can change the attributes of the files behind them, write to what is open for reading only, read
// what is open for writing only, or get from a directory to what is in it (inherited.c). A device is among them: for
// /dev/null is what a sandbox is given most often.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, lstatSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CLOISTER } from '../cli/cloister.ts';
import { makeBusyboxRoot } from '../cli/rootfs.ts';
import { compile, sharedDirectory } from './programs.ts';

const directory = sharedDirectory();
const program = compile('inherited', directory);
const host = join(directory, 'host');
const states = join(directory, 'states');
const bundle = join(directory, 'bundle');
const FILES = ['null', 'read', 'write', 'both', 'directory', 'directory/secret'];

before(() => {
  for (const path of [host, join(host, 'directory'), states, join(bundle, 'rootfs')])
    mkdirSync(path, { recursive: true });
  execFileSync('mknod', ['-m', '666', join(host, 'null'), 'c', '1', '3']);
  for (const name of ['read', 'write', 'both', 'directory/secret']) {
    writeFileSync(join(host, name), `the host's ${name}\n`);
    execFileSync('setfattr', ['-n', 'user.host', '-v', 'x', join(host, name)]);
  }
  makeBusyboxRoot(join(bundle, 'rootfs'));
  execFileSync('cp', [program, join(bundle, 'rootfs/bin/inherited')]);
});

/** All of the files that could be changed. */
function fingerprint(): unknown {
  return FILES.map((name) => {
    const { mode, uid, gid, size, nlink, mtimeNs, ctimeNs } = lstatSync(join(host, name), { bigint: true });
    const content = mode & 0o100000n ? readFileSync(join(host, name), 'latin1') : '';
    // Using a device changes its times.
    return { name, mode, uid, gid, size, nlink, content, times: name === 'null' ? [] : [mtimeNs, ctimeNs] };
  });
}

/** Runs the command with descriptors of the host's files; the program reports to the pipe that is its descriptor 1. */
function attacked(command: readonly string[], descriptors: readonly (readonly [string, string])[]): string {
  const before = fingerprint();
  const opened = descriptors.map(([name, flags]) =>
    name === '' ? ('pipe' as const) : openSync(join(host, name), flags),
  );
  const { stdout, stderr, status } = spawnSync(CLOISTER, command, {
    encoding: 'utf8',
    timeout: 60_000,
    killSignal: 'SIGKILL',
    stdio: opened,
  });
  for (const fd of opened) if (typeof fd === 'number') closeSync(fd);
  assert.equal(status, 0, `${stdout}${stderr}`);
  assert.deepEqual(fingerprint(), before);
  return stdout;
}

const OUTPUT = ['', 'w'] as const;
const STREAMS = [
  [['null', 'r'], OUTPUT, ['null', 'r+']],
  [['null', 'r+'], OUTPUT, ['null', 'w']],
  [['read', 'r'], OUTPUT, ['write', 'a']],
  [['both', 'r+'], OUTPUT, ['directory', 'r']],
] as const;

describe('inherited descriptors', () => {
  for (const user of [0, 65534]) {
    test(`standard streams, user ${user}`, () => {
      for (const streams of STREAMS) {
        const command = ['do', '--bind', `${directory}:${directory}:ro`, '--', program, '1', `${user}`, '0', '2'];
        assert.equal(attacked(command, streams), 'done\n', JSON.stringify(streams));
      }
    });
  }

  const preserved = [
    ['null', 'r'],
    OUTPUT,
    ['null', 'w'],
    ['read', 'r'],
    ['directory', 'r'],
    ['write', 'a'],
    ['null', 'r+'],
    ['both', 'r+'],
  ] as const;
  const numbers = ['0', '2', '3', '4', '5', '6', '7'];

  function configure(args: readonly string[], uid: number): void {
    const config = {
      ociVersion: '1.2.0',
      root: { path: 'rootfs' },
      process: { args, cwd: '/', env: ['PATH=/bin'], user: { uid, gid: uid } },
      mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
      linux: { namespaces: ['mount', 'pid', 'network', 'uts', 'ipc'].map((type) => ({ type })) },
    };
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
  }

  for (const user of [0, 1000]) {
    test(`a container's with --preserve-fds, user ${user}`, () => {
      configure(['inherited', '1', '0', ...numbers], user);
      const name = `inherited-${process.pid}-${user}`;
      const command = ['--root', states, 'run', '--preserve-fds', '5', '--bundle', bundle, name];
      assert.equal(attacked(command, preserved), 'done\n');
    });
  }

  test('those of exec', () => {
    const name = `inherited-${process.pid}`;
    configure(['sleep', '1000'], 0);
    const create = spawnSync(CLOISTER, ['--root', states, 'run', '--detach', '--bundle', bundle, name], {
      stdio: 'ignore',
      timeout: 60_000,
    });
    assert.equal(create.status, 0);
    after(() => spawnSync(CLOISTER, ['--root', states, 'delete', '--force', name]));
    for (const user of ['0', '1000']) {
      const exec = ['--root', states, 'exec', '--preserve-fds', '5', '--user', user, name, 'inherited', '1', '0'];
      assert.equal(attacked([...exec, ...numbers], preserved), 'done\n', `user ${user}`);
    }
  });
});
