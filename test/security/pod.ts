// A pod: containers that share a sandbox and, unless told otherwise, nothing else. Its first one does nothing.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { CLOISTER } from '../cli/cloister.ts';
import { makeBusyboxRoot } from '../cli/rootfs.ts';
import { descendants, type HostProcess } from './sandbox.ts';

/** Containers of a pod need root. */
export const needsRoot = process.geteuid?.() !== 0 && 'containers of a pod need root';
const OWN = ['mount', 'pid', 'network', 'uts', 'ipc'].map((type) => ({ type }));
const SETS = ['bounding', 'effective', 'permitted'];
const CAPABILITIES =
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_ADMIN SYS_CHROOT SYS_PTRACE SYS_RESOURCE MKNOD'
    .split(' ')
    .map((name) => `CAP_${name}`);

export interface Ended {
  readonly status: number | null;
  readonly text: string;
}

export class Pod {
  private readonly directory: string;
  private readonly states: string;
  /** Programs, by their names in /programs of each container. */
  private readonly programs: string;

  /** `directory` is the test's; `programs` are what containers find as /programs. */
  constructor(directory: string, programs: string) {
    this.directory = directory;
    this.programs = programs;
    this.states = join(directory, 'states');
    mkdirSync(this.states);
    this.start('pod', ['sleep', '100000']);
  }

  /** Runs a verb of the command line. */
  run(...args: string[]): Ended {
    const output = join(this.directory, 'output');
    const fd = openSync(output, 'w');
    const { status } = spawnSync(CLOISTER, ['--root', this.states, ...args], {
      stdio: ['ignore', fd, fd],
      timeout: 60_000,
    });
    closeSync(fd);
    return { status, text: readFileSync(output, 'utf8').replaceAll(/^cloister: warning.*\n/gm, '') };
  }

  /** The same beside other things. */
  async ask(...args: string[]): Promise<Ended> {
    const child = spawn(CLOISTER, ['--root', this.states, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('latin1').on('data', (data: string) => {
        text += data;
      });
    }
    const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
    return { status, text };
  }

  succeed(...args: string[]): string {
    const { status, text } = this.run(...args);
    assert.equal(status, 0, `${args.join(' ')}: ${text}`);
    return text;
  }

  private bundle(name: string, args: readonly string[]): string {
    const bundle = join(this.directory, name);
    rmSync(bundle, { recursive: true, force: true });
    mkdirSync(join(bundle, 'rootfs'), { recursive: true });
    makeBusyboxRoot(join(bundle, 'rootfs'));
    mkdirSync(join(bundle, 'rootfs/programs'));
    writeFileSync(join(bundle, 'rootfs/etc/name'), `${name}\n`);
    const config = {
      ociVersion: '1.1.0',
      hostname: name === 'pod' ? 'pod-host' : undefined,
      root: { path: 'rootfs' },
      process: {
        args,
        cwd: '/',
        env: ['PATH=/bin'],
        capabilities: Object.fromEntries(SETS.map((set) => [set, CAPABILITIES])),
        rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1024, hard: 1 << 20 }],
      },
      annotations: {
        'io.kubernetes.cri.container-type': name === 'pod' ? 'sandbox' : 'container',
        'io.kubernetes.cri.sandbox-id': 'pod',
      },
      mounts: [
        { destination: '/proc', type: 'proc' },
        { destination: '/dev', type: 'tmpfs', options: ['mode=755'] },
        { destination: '/tmp', type: 'tmpfs', options: ['mode=1777'] },
        { destination: '/programs', source: this.programs, options: ['bind', 'ro'] },
      ],
      linux: { cgroupsPath: `cloister-${process.pid}-${name}`, namespaces: OWN },
    };
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
    return bundle;
  }

  /** Makes and starts a container; what it prints is read with `said`. */
  start(name: string, args: readonly string[]): void {
    this.create(name, args);
    this.succeed('start', name);
  }

  create(name: string, args: readonly string[]): void {
    const fd = openSync(join(this.directory, `${name}.said`), 'w');
    const create = ['--root', this.states, 'create', '-b', this.bundle(name, args), name];
    const { status } = spawnSync(CLOISTER, create, { stdio: ['ignore', fd, fd], timeout: 60_000 });
    closeSync(fd);
    assert.equal(status, 0, this.said(name));
  }

  /** Executes a program in a container, for the caller to wait for or end. */
  exec(name: string, args: readonly string[]): ChildProcess {
    return spawn(CLOISTER, ['--root', this.states, 'exec', name, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  }

  said(name: string): string {
    return readFileSync(join(this.directory, `${name}.said`), 'utf8').replaceAll(/^cloister: warning.*\n/gm, '');
  }

  state(name: string): { readonly pid: number; readonly status: string } {
    return JSON.parse(this.succeed('state', name));
  }

  /** Whether a container's program has ended: the process that stands for it is gone. */
  hasEnded(name: string): boolean {
    const { pid } = JSON.parse(readFileSync(join(this.states, name, 'state.json'), 'utf8')) as { pid: number };
    return !existsSync(`/proc/${pid}`) || /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  }

  processes(): HostProcess[] {
    return descendants(this.state('pod').pid);
  }

  sentry(): HostProcess {
    const sentry = this.processes().find((process) => process.name.startsWith('node'));
    return sentry ?? assert.fail('no sentry');
  }

  /** How long the sentry takes to answer a request, in ms. */
  async answer(): Promise<number> {
    const begin = performance.now();
    await new Promise<void>((resolve, reject) => {
      const socket = connect(join(this.states, 'pod/control.sock'));
      socket.on('error', reject).on('data', () => {
        socket.destroy();
        resolve();
      });
      socket.write('{"verb":"ps"}\n');
    });
    return performance.now() - begin;
  }

  end(): void {
    for (const name of readdirSync(this.states).sort()) this.run('delete', '--force', name);
  }
}
