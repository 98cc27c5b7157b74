// What every process of a running sandbox is on the host: ids, capabilities, filters, namespaces, root, open files. The
// test prints it, and fails when one of them has more than it is to have.

import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CLOISTER } from '../cli/cloister.ts';
import { makeBusyboxRoot } from '../cli/rootfs.ts';
import { needsRoot, Pod } from './pod.ts';
import { sharedDirectory } from './programs.ts';
import { descendants, type HostProcess, Sandbox } from './sandbox.ts';

const NAMESPACES = ['user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup'];
/** CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETFCAP: for files of many owners. */
const FILE_CAPABILITIES = 0x8000001bn;
const CAPABILITIES = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'];

interface View {
  readonly pid: number;
  readonly role: string;
  readonly status: ReadonlyMap<string, string>;
  readonly namespaces: ReadonlyMap<string, string>;
  /** Names in the root directory. */
  readonly root: readonly string[];
  readonly mounts: readonly string[];
  readonly descriptors: ReadonlyMap<number, string>;
}

function view({ pid, name }: HostProcess, role = name): View {
  const lines = readFileSync(`/proc/${pid}/status`, 'latin1').split('\n');
  return {
    pid,
    role,
    status: new Map(lines.map((line) => line.split(':\t', 2) as [string, string])),
    namespaces: new Map(NAMESPACES.map((kind) => [kind, readlinkSync(`/proc/${pid}/ns/${kind}`)])),
    root: readdirSync(`/proc/${pid}/root`),
    mounts: readFileSync(`/proc/${pid}/mountinfo`, 'latin1').trimEnd().split('\n'),
    descriptors: new Map(
      readdirSync(`/proc/${pid}/fd`).map((fd) => [Number(fd), readlinkSync(`/proc/${pid}/fd/${fd}`)]),
    ),
  };
}

function text({ pid, role, status, namespaces, root, mounts, descriptors }: View): string {
  const fields = ['Uid', 'NoNewPrivs', 'Seccomp', 'Seccomp_filters', ...CAPABILITIES, 'Threads'];
  return [
    `${role} (${pid})`,
    ...fields.map((field) => `  ${field.padEnd(16)}${status.get(field)?.replaceAll('\t', ' ')}`),
    `  namespaces      ${[...namespaces].map(([kind, id]) => `${kind} ${/\d+/.exec(id)}`).join(', ')}`,
    `  root            ${root.length === 0 ? 'empty' : root.join(' ')}; ${mounts.length} mounts`,
    ...[...descriptors].map(([fd, target]) => `  ${String(fd).padStart(4)} -> ${target}`),
  ].join('\n');
}

/** By which transport the tests are run (npm run test:ptrace). */
const traced = process.env.CLOISTER_PLATFORM === 'ptrace';

const capability = (process: View, set: string): bigint => BigInt(`0x${process.status.get(set)}`);

/** Numbers of the mounts that our own namespace, the host's, has. */
function hostMounts(): Set<string> {
  const lines = readFileSync('/proc/self/mountinfo', 'latin1').trimEnd().split('\n');
  return new Set(lines.map((line) => line.split(' ')[0] as string));
}

/** Number of the mount that a descriptor lies on. */
const mountOf = ({ pid }: View, fd: number): string =>
  /^mnt_id:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'))?.[1] ?? assert.fail('no mnt_id');

interface Processes {
  /** Those of the sandbox: init, the sentry, and whatever runs the stub. */
  readonly init: View;
  readonly sentry: View;
  readonly guests: readonly View[];
}

function insiders(launcher: number): Processes {
  const all = descendants(launcher);
  const node = all.find(({ name }) => name.startsWith('node')) ?? assert.fail('no sentry');
  const guests = all.filter(({ pid }) => readlinkSync(`/proc/${pid}/exe`).startsWith('/memfd:stub'));
  assert.equal(all.length, guests.length + 2, 'there is none besides init, the sentry and guests');
  return {
    init: view({ pid: node.parent, parent: 0, name: 'init' }),
    sentry: view(node, 'sentry'),
    guests: guests.map((process) => view(process, 'guest')),
  };
}

/** What may come from outside: standard streams and logs. */
function checkInsiders(
  { init, sentry, guests }: Processes,
  sentryCapabilities: bigint,
  given: readonly string[],
): void {
  const all = [init, sentry, ...guests];
  for (const process of all) {
    const { role, status, namespaces, root } = process;
    assert.equal(status.get('NoNewPrivs'), '1', role);
    assert.deepEqual(root, [], `the root of ${role}`);
    for (const [kind, id] of namespaces)
      assert.notEqual(id, readlinkSync(`/proc/self/ns/${kind}`), `${role} is in the host's ${kind} namespace`);
    for (const set of CAPABILITIES) {
      const most = role === 'sentry' ? sentryCapabilities : 0n;
      assert.equal(capability(process, set) & ~most, 0n, `${set} of ${role}`);
    }
  }
  for (const process of [sentry, ...guests]) assert.equal(process.status.get('Seccomp'), '2', process.role);
  assert.equal(sentry.status.get('Seccomp_filters'), '2');
  for (const kind of ['user', 'mnt', 'pid', 'net', 'ipc', 'uts']) {
    for (const guest of guests)
      assert.notEqual(guest.namespaces.get(kind), sentry.namespaces.get(kind), `a guest shares ${kind}`);
  }

  // What has no name in any file system, or lies on a mount that is none of the host's: '..' ends at its root.
  const nameless = /^(anon_inode:|pipe:|socket:|\/memfd:)/;
  for (const process of all) {
    for (const [fd, target] of process.descriptors) {
      if (nameless.test(target) || (process.role !== 'guest' && given.includes(target))) continue;
      assert.ok(!hostMounts().has(mountOf(process, fd)), `${process.role} has ${target} of the host as ${fd}`);
    }
  }
  for (const guest of guests) {
    // Under ptrace, the socket by which descriptors come to it.
    const known = traced ? /^(\/memfd|socket):/ : /^\/memfd:/;
    const others = [...guest.descriptors.values()].filter((target) => !known.test(target));
    // The last file of which it mapped pages: the filter lets it do nothing with that.
    assert.ok(others.length <= 1, `a guest has ${others.join(', ')}`);
  }
}

/** Those that stand for a sandbox, a container or an exec outside: they have a socket to the sentry, and no files. */
function checkOutsider(process: View, given: readonly string[]): void {
  const harmless = /^(anon_inode:\[(signalfd|eventpoll|pidfd)\]|socket:.*|pipe:.*|\/dev\/null)$/;
  const files = [...process.descriptors.values()].filter((target) => !harmless.test(target) && !given.includes(target));
  assert.deepEqual(files, [], `${process.role} has files open`);
}

const ORDINARY = ['setpriv', '--reuid=1000', '--regid=1000', '--clear-groups', 'env', 'XDG_RUNTIME_DIR=/tmp'];
const SETFCAP = 1n << 31n;

for (const [who, prefix, most] of [
  ['root', [], FILE_CAPABILITIES],
  ['an ordinary user', ORDINARY, SETFCAP],
] as const) {
  test(`the processes of a sandbox of ${who}`, async (context) => {
    const sandbox = new Sandbox([], prefix);
    await sandbox.run('sleep 100 & ls / >/dev/null');
    // A process that is about to be used for the next program has things of the zygote's at hand for a moment.
    await sleep(200);
    const launcher = view({ pid: sandbox.launcher, parent: 0, name: 'launcher' });
    const inside = insiders(sandbox.launcher);
    for (const process of [launcher, inside.init, inside.sentry, ...inside.guests]) context.diagnostic(text(process));
    checkInsiders(inside, most, []);
    assert.equal(await sandbox.end(), 42);
  });
}

let pod: Pod | undefined;
after(() => pod?.end()); // before its directory goes
const directory = sharedDirectory();

test('the processes of a pod: created, started, joined, with a program that was executed', {
  skip: needsRoot,
}, async (context) => {
  pod = new Pod(directory, directory);
  pod.start('one', ['sleep', '100000']);
  pod.create('two', ['sleep', '100000']);
  const exec = pod.exec('one', ['sleep', '100000']);
  try {
    await sleep(1000);
    const inside = insiders(pod.state('pod').pid);
    const outside = [
      view({ pid: pod.state('pod').pid, parent: 0, name: 'launcher' }),
      view({ pid: pod.state('one').pid, parent: 0, name: 'container' }),
      view({ pid: pod.state('two').pid, parent: 0, name: 'created' }),
      view({ pid: exec.pid as number, parent: 0, name: 'exec' }),
    ];
    for (const process of [...outside, inside.init, inside.sentry, ...inside.guests]) context.diagnostic(text(process));
    const given = readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((name) => join(directory, name));
    checkInsiders(
      inside,
      FILE_CAPABILITIES,
      ['/dev/null', ...given].filter((name) => !name.includes('/rootfs/')),
    );
    const logs = given.filter((name) => /\.(said|log)$/.test(name));
    for (const process of outside) checkOutsider(process, logs);
  } finally {
    exec.kill('SIGKILL');
  }
});

test('the processes of a container of an ordinary user', async (context) => {
  const bundle = join(sharedDirectory(), 'bundle');
  mkdirSync(join(bundle, 'rootfs'), { recursive: true });
  makeBusyboxRoot(join(bundle, 'rootfs'));
  chmodSync(bundle, 0o755);
  const namespaces = ['mount', 'pid', 'network', 'uts', 'ipc', 'user'].map((type) => ({ type }));
  const own = [{ containerID: 0, hostID: 1000, size: 1 }];
  const config = {
    ociVersion: '1.1.0',
    root: { path: 'rootfs' },
    process: { args: ['sh', '-c', 'echo up; sleep 1000'], cwd: '/', env: ['PATH=/bin'] },
    linux: { namespaces, uidMappings: own, gidMappings: own },
  };
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
  const states = join(bundle, 'states');
  mkdirSync(states);
  execFileSync('chown', ['-R', '1000:1000', bundle]);
  const [command, ...args] = process.geteuid?.() === 0 ? ORDINARY : ['env'];
  const id = `rootless-${process.pid}`;
  const verb = [CLOISTER, '--root', states];
  const launcher = spawn(command as string, [...args, ...verb, 'run', '-b', bundle, id]);
  try {
    await new Promise((resolve) => launcher.stdout.once('data', resolve));
    await sleep(300);
    const state = execFileSync(command as string, [...args, ...verb, 'state', id], { encoding: 'utf8' });
    const { pid } = JSON.parse(state) as { pid: number };
    const inside = insiders(pid);
    for (const process of [inside.init, inside.sentry, ...inside.guests]) context.diagnostic(text(process));
    // In a namespace whose ids the configuration maps: they are the user's own.
    checkInsiders(inside, FILE_CAPABILITIES, []);
  } finally {
    spawnSync(command as string, [...args, ...verb, 'delete', '--force', id]);
    launcher.kill('SIGKILL');
  }
});
