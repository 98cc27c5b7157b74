// `npm run clients`: podman, docker and containerd, as users have them, with runc and with cloister: the same scripts,
// section by section, and their output compared. Differences that are meant are listed here with their reason; any other
// is a failure. Needs root, and the clients (Debian: podman catatonit containerd docker.io docker-compose runc busybox-static).
// Arguments: names of clients, and --core for the shortest part.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeBusyboxRoot } from '../cli/rootfs.ts';

const top = join(import.meta.dirname, '../..');
const CLOISTER = join(top, 'bin/cloister');

/** Sections whose output may differ, and why. */
const DIFFERENCES: Readonly<Record<string, string>> = {};

/** What `--core` runs of each script: with podman less than a minute, for every change. */
const CORE = new Set([
  'exit status',
  'missing program',
  'standard input',
  'terminal',
  'detached, logs, ps',
  'exec',
  'exec: user, directory, environment',
  'exec: terminal',
  'pause',
  'cp',
  'stop with grace',
  'restart, kill',
  'volumes',
  'user and groups',
  'memory limit',
  'joined network',
  'joined pid namespace',
  'several namespaces joined',
  'pod with shared pids',
]);

interface Client {
  readonly name: string;
  readonly programs: readonly string[];
  /** What the scripts call the runtime. */
  readonly runtimes: Readonly<Record<'runc' | 'cloister', string>>;
  start(scratch: string): Promise<ChildProcess[]>;
}

const processes = {
  async startDaemon(command: string, args: string[], log: string, socket: string): Promise<ChildProcess> {
    const fd = openSync(log, 'a');
    const daemon = spawn(command, args, { stdio: ['ignore', fd, fd], detached: true });
    for (let tries = 0; tries < 200 && !existsSync(socket); tries++) await sleep(100);
    if (!existsSync(socket)) throw new Error(`${command} does not come up: ${readFileSync(log, 'utf8').slice(-2000)}`);
    return daemon;
  },
};

/** A tar archive of a root file system with nothing but busybox. */
function makeRootArchive(scratch: string): string {
  const root = join(scratch, 'rootfs');
  const archive = join(scratch, 'rootfs.tar');
  mkdirSync(root);
  makeBusyboxRoot(root);
  execFileSync('tar', ['-C', root, '-cf', archive, '.']);
  return archive;
}

/** The same as an archive that containerd imports, under a name and with a program. */
function makeImageArchive(scratch: string, layer: string, name = 'box', program = ['sh']): string {
  const directory = join(scratch, `${name}-image`);
  mkdirSync(directory);
  copyFileSync(layer, join(directory, 'layer.tar'));
  const [digest] = execFileSync('sha256sum', [layer], { encoding: 'utf8' }).split(' ');
  const config = {
    architecture: 'amd64',
    os: 'linux',
    config: { Env: ['PATH=/bin'], Cmd: program },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
  };
  const tag = `docker.io/library/${name}:latest`;
  writeFileSync(join(directory, 'config.json'), JSON.stringify(config));
  const manifest = [{ Config: 'config.json', RepoTags: [tag], Layers: ['layer.tar'] }];
  writeFileSync(join(directory, 'manifest.json'), JSON.stringify(manifest));
  const archive = join(scratch, `${name}.tar`);
  execFileSync('tar', ['-C', directory, '-cf', archive, '.']);
  return archive;
}

const CNI_PLUGINS = '/usr/lib/cni';

/** What containerd is to know of the CRI: a handler for each runtime, and pods with a network of two ends. */
function criConfig(scratch: string): string {
  const networks = join(scratch, 'cni');
  mkdirSync(networks);
  const ipam = { type: 'host-local', dataDir: join(scratch, 'ipam'), ranges: [[{ subnet: '10.89.213.0/24' }]] };
  const network = { cniVersion: '0.4.0', name: 'cri', plugins: [{ type: 'ptp', ipMasq: false, ipam }] };
  writeFileSync(join(networks, '10-cri.conflist'), JSON.stringify(network));
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  const handlers = Object.entries({ runc: '/usr/sbin/runc', cloister: CLOISTER }).map(
    ([name, path]) => `[${cri}.containerd.runtimes.${name}]
runtime_type = "io.containerd.runc.v2"
[${cri}.containerd.runtimes.${name}.options]
BinaryName = "${path}"
Root = "${scratch}/${name}"
`,
  );
  return `[${cri}]
sandbox_image = "docker.io/library/pause:latest"
disable_apparmor = true
restrict_oom_score_adj = true
[${cri}.cni]
bin_dir = "${CNI_PLUGINS}"
conf_dir = "${networks}"
[${cri}.containerd]
snapshotter = "native"
${handlers.join('')}`;
}

const NO_CRI = 'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n';

/** `cri`: its part of the configuration; it then runs in a network namespace of its own, which stays at SCRATCH/network. */
async function startContainerd(scratch: string, cri: string | null = null): Promise<ChildProcess> {
  const directory = join(scratch, 'containerd');
  mkdirSync(directory);
  const config = `version = 2
root = "${directory}/root"
state = "${directory}/state"
${cri === null ? NO_CRI : ''}[grpc]
address = "${directory}/socket"
[plugins."io.containerd.internal.v1.opt"]
path = "${directory}/opt"
${cri ?? ''}`;
  writeFileSync(join(directory, 'config.toml'), config);
  const args = ['--config', join(directory, 'config.toml')];
  if (cri !== null) {
    const network = join(scratch, 'network');
    writeFileSync(network, '');
    execFileSync('unshare', [`--net=${network}`, 'ip', 'link', 'set', 'lo', 'up']);
    args.unshift(`--net=${network}`, 'containerd');
    return processes.startDaemon('nsenter', args, join(directory, 'log'), join(directory, 'socket'));
  }
  return processes.startDaemon('containerd', args, join(directory, 'log'), join(directory, 'socket'));
}

const CLIENTS: readonly Client[] = [
  {
    name: 'podman',
    programs: ['podman', 'conmon'],
    runtimes: { runc: 'runc', cloister: CLOISTER },
    async start(scratch) {
      script(scratch, 'runc', `p import ${join(scratch, 'rootfs.tar')} box`);
      return [];
    },
  },
  {
    name: 'containerd',
    programs: ['containerd', 'ctr'],
    runtimes: { runc: 'runc', cloister: CLOISTER },
    async start(scratch) {
      const daemon = await startContainerd(scratch);
      script(scratch, 'runc', `c images import ${join(scratch, 'box.tar')}`);
      return [daemon];
    },
  },
  {
    // Kubernetes' side of containerd. crictl is no package of Debian's: github.com/kubernetes-sigs/cri-tools, 1.26.
    name: 'cri',
    programs: ['containerd', 'crictl', `${CNI_PLUGINS}/ptp`],
    runtimes: { runc: 'runc', cloister: 'cloister' },
    async start(scratch) {
      const daemon = await startContainerd(scratch, criConfig(scratch));
      makeImageArchive(scratch, join(scratch, 'rootfs.tar'), 'pause', ['sleep', '1000000']);
      for (const name of ['box', 'pause'])
        script(scratch, 'runc', `c -n k8s.io images import ${join(scratch, name)}.tar`);
      return [daemon];
    },
  },
  {
    name: 'docker',
    programs: ['dockerd', 'docker', 'containerd'],
    runtimes: { runc: 'runc', cloister: 'cloister' },
    async start(scratch) {
      const directory = join(scratch, 'docker');
      mkdirSync(directory);
      const containerd = existsSync(join(scratch, 'containerd')) ? null : await startContainerd(scratch);
      const config = {
        iptables: false,
        ip6tables: false,
        bridge: 'none',
        'data-root': join(directory, 'root'),
        'exec-root': join(directory, 'exec'),
        pidfile: join(directory, 'pid'),
        hosts: [`unix://${directory}/socket`],
        'storage-driver': 'vfs',
        containerd: join(scratch, 'containerd/socket'),
        runtimes: { cloister: { path: CLOISTER } },
      };
      writeFileSync(join(directory, 'daemon.json'), JSON.stringify(config));
      const args = ['--config-file', join(directory, 'daemon.json')];
      const daemon = await processes.startDaemon('dockerd', args, join(directory, 'log'), join(directory, 'socket'));
      script(scratch, 'runc', `d import ${join(scratch, 'rootfs.tar')} box`);
      return containerd === null ? [daemon] : [daemon, containerd];
    },
  },
];

function script(scratch: string, runtime: string, text: string): string {
  const prelude = readFileSync(join(import.meta.dirname, 'prelude.sh'), 'utf8');
  const { stdout, stderr } = spawnSync('bash', ['-c', `${prelude}\nexec 2>&1\n${text}`], {
    encoding: 'utf8',
    env: {
      ...process.env,
      SCRATCH: scratch,
      RUNTIME: runtime,
      CONTAINERS_CONF: join(scratch, 'containers.conf'),
    },
    maxBuffer: 16 << 20,
  });
  return stdout + stderr;
}

/** A script without the sections that are not in CORE. */
function coreOf(text: string): string {
  const [head = '', ...parts] = text.split(/^(?=section ')/m);
  return [head, ...parts.filter((part) => CORE.has(part.split("'")[1] ?? ''))].join('');
}

/** Output by section. Times and identifiers are no differences. */
function sections(output: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const part of output.split(/^=== /m).slice(1)) {
    const end = part.indexOf('\n');
    found.set(part.slice(0, end), part.slice(end + 1).replace(/[0-9a-f]{64}/g, 'ID'));
  }
  return found;
}

/** Prints how a client's sections went. The number of differences that nobody meant. */
function compare(client: string, expected: Map<string, string>, actual: Map<string, string>): number {
  let unexpected = 0;
  for (const [name, want] of expected) {
    const have = actual.get(name) ?? '';
    const reason = DIFFERENCES[`${client}: ${name}`];
    if (have === want) console.log(`  same       ${name}`);
    else if (reason !== undefined) console.log(`  different  ${name}: ${reason}`);
    else {
      unexpected++;
      console.log(`  FAILED     ${name}\n--- runc\n${want}--- cloister\n${have}---`);
    }
  }
  return unexpected;
}

const isInstalled = (program: string): boolean => spawnSync('which', [program]).status === 0;

const core = process.argv.includes('--core');

async function runClient(client: Client): Promise<number> {
  const missing = [...client.programs, 'runc'].filter((program) => !isInstalled(program));
  if (missing.length > 0) {
    console.log(`${client.name}: not run, because there is no ${missing.join(', ')}`);
    return 0;
  }
  const scratch = mkdtempSync(join(tmpdir(), `cloister-${client.name}-`));
  makeImageArchive(scratch, makeRootArchive(scratch));
  // Hard limits above those of this machine are refused by runc.
  writeFileSync(
    join(scratch, 'containers.conf'),
    '[containers]\ndefault_ulimits = ["nofile=100:100","nproc=100:100"]\n',
  );
  let daemons: ChildProcess[] = [];
  try {
    daemons = await client.start(scratch);
    const whole = readFileSync(join(import.meta.dirname, `${client.name}.sh`), 'utf8');
    const text = core ? coreOf(whole) : whole;
    const expected = sections(script(scratch, client.runtimes.runc, text));
    const began = performance.now();
    const actual = sections(script(scratch, client.runtimes.cloister, text));
    console.log(`${client.name}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
    return compare(client.name, expected, actual);
  } finally {
    for (const daemon of daemons) {
      daemon.kill('SIGTERM');
      await new Promise((resolve) => (daemon.exitCode === null ? daemon.once('exit', resolve) : resolve(null)));
    }
    unmountBelow(scratch);
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Daemons that are stopped leave mounts behind. */
function unmountBelow(directory: string): void {
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '');
  for (const point of points.reverse()) if (point.startsWith(`${directory}/`)) spawnSync('umount', ['--lazy', point]);
}

const wanted = process.argv.slice(2).filter((argument) => argument !== '--core');
let failed = 0;
for (const client of CLIENTS)
  if (wanted.length === 0 || wanted.includes(client.name)) failed += await runClient(client);
if (failed > 0) {
  console.log(`${failed} differences`);
  process.exitCode = 1;
}
