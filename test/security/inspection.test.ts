// What every process of a running sandbox is on the host: ids, capabilities, filters, namespaces, root, open files. The
// test prints it, and fails when one of them has more than it is to have.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type HostProcess, Sandbox } from './sandbox.ts';

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

for (const [who, prefix] of [
  ['root', []],
  ['an ordinary user', ['setpriv', '--reuid=1000', '--regid=1000', '--clear-groups', 'env', 'XDG_RUNTIME_DIR=/tmp']],
] as const) {
  test(`the processes of a sandbox of ${who}`, async (context) => {
    const sandbox = new Sandbox([], prefix);
    await sandbox.run('sleep 100 & ls / >/dev/null');
    // A process that is about to be used for the next program has things of the zygote's at hand for a moment.
    await sleep(200);
    const launcher = view({ pid: sandbox.launcher, parent: 0, name: 'launcher' });
    const sentry = view(sandbox.sentry(), 'sentry');
    const init = view({ pid: sandbox.sentry().parent, parent: 0, name: 'init' });
    const guests = sandbox.guests().map((process) => view(process, 'guest'));
    const all = [init, sentry, ...guests];
    assert.equal(sandbox.processes().length, all.length, 'there is none besides these');
    for (const process of [launcher, ...all]) context.diagnostic(text(process));

    for (const process of all) {
      const { role, status, namespaces, root } = process;
      assert.equal(status.get('NoNewPrivs'), '1', role);
      assert.deepEqual(root, [], `the root of ${role}`);
      for (const [kind, id] of namespaces)
        assert.notEqual(id, readlinkSync(`/proc/self/ns/${kind}`), `${role} is in the host's ${kind} namespace`);
      for (const set of CAPABILITIES) {
        const most = role === 'sentry' && who === 'root' ? FILE_CAPABILITIES : role === 'sentry' ? 1n << 31n : 0n;
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
        if (nameless.test(target)) continue;
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
    assert.equal(await sandbox.end(), 42);
  });
}
