// `cloister run` from end to end: what config.json asks for is what the process finds.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { cloister } from './cloister.ts';
import { makeBusyboxRoot } from './rootfs.ts';

const bundle = mkdtempSync(join(tmpdir(), 'cloister-run-'));
before(() => {
  mkdirSync(join(bundle, 'rootfs'));
  makeBusyboxRoot(join(bundle, 'rootfs'));
});
after(() => rmSync(bundle, { recursive: true }));

/** Cgroups are named after containers: two runs of these tests at once must not meet in one. */
const id = `test-container-${process.pid}`;

interface Changes {
  readonly process?: object;
  readonly root?: object;
  readonly linux?: object;
  readonly mounts?: readonly object[];
  readonly hostname?: string;
}

const ALL_NAMESPACES = ['mount', 'pid', 'network', 'uts', 'ipc'].map((type) => ({ type }));
const PROC = { destination: '/proc', type: 'proc', source: 'proc' };

function run(script: string, changes: Changes = {}) {
  const config = {
    ociVersion: '1.3.0',
    hostname: changes.hostname ?? 'cell',
    root: { path: 'rootfs', ...changes.root },
    process: { args: ['sh', '-c', script], cwd: '/', env: ['PATH=/bin'], ...changes.process },
    mounts: [PROC, ...(changes.mounts ?? [])],
    linux: { namespaces: ALL_NAMESPACES, ...changes.linux },
  };
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
  return cloister(['run', '--bundle', bundle, id]);
}

function output(script: string, changes: Changes = {}): string {
  const { status, stdout, stderr } = run(script, changes);
  assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
  return stdout;
}

test('process: arguments, environment, directory, exit status, host name', () => {
  assert.equal(
    output('echo $PATH $A; pwd; hostname', {
      process: { env: ['PATH=/bin', 'A=ü'], cwd: '/etc' },
    }),
    '/bin ü\n/etc\ncell\n',
  );
  assert.equal(run('exit 9').status, 9);
  assert.equal(run('', { process: { args: ['missing'] } }).status, 127);
});

test('process.user: ids, groups, umask', () => {
  const user = { uid: 1000, gid: 1000, additionalGids: [5, 6], umask: 0o77 };
  const script = 'id -u; id -g; id -G; umask';
  assert.equal(output(script, { process: { user } }), '1000\n1000\n1000 5 6\n0077\n');
});

test('a user namespace: uid_map and gid_map are those asked for', () => {
  const map = { containerID: 0, hostID: process.geteuid?.() ?? 0, size: 1 };
  const group = { containerID: 0, hostID: process.getegid?.() ?? 0, size: 1 };
  const namespaces = [...ALL_NAMESPACES, { type: 'user' }];
  const text = output('cat /proc/self/uid_map /proc/self/gid_map', {
    linux: { namespaces, uidMappings: [map], gidMappings: [group] },
  });
  const cells = [map, group].map(({ hostID }) => `0 ${hostID} 1`);
  assert.deepEqual(
    text
      .trimEnd()
      .split('\n')
      .map((line) => line.trim().replace(/ +/g, ' ')),
    cells,
  );
});

test('process.capabilities, noNewPrivileges and rlimits', () => {
  const names = ['CAP_CHOWN', 'CAP_KILL'];
  const script = 'grep -E "^(Cap|NoNew)" /proc/self/status; ulimit -Sn; ulimit -Hn';
  const text = output(script, {
    process: {
      capabilities: { bounding: names, effective: names, permitted: names, inheritable: [], ambient: [] },
      noNewPrivileges: true,
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: 100, hard: 200 }],
    },
  });
  const held = '0000000000000021';
  const none = '0000000000000000';
  const sets = `CapInh:\t${none}\nCapPrm:\t${held}\nCapEff:\t${held}\nCapBnd:\t${held}\nCapAmb:\t${none}\n`;
  assert.equal(text, `${sets}NoNewPrivs:\t1\n100\n200\n`);
});

test('the root is written through, or read-only', () => {
  output('echo written >/tmp/through');
  assert.equal(readFileSync(join(bundle, 'rootfs/tmp/through'), 'utf8'), 'written\n');
  const { stderr } = run('echo x >/tmp/never', { root: { readonly: true } });
  assert.match(stderr, /Read-only file system/);
  assert.equal(existsSync(join(bundle, 'rootfs/tmp/never')), false);
});

test('mounts: tmpfs, dev, devpts, sysfs, bind', () => {
  writeFileSync(join(bundle, 'note'), 'bound\n');
  const mounts = [
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
    { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['newinstance', 'ptmxmode=0666'] },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['ro'] },
    { destination: '/scratch', type: 'tmpfs', source: 'tmpfs', options: ['size=64k'] },
    { destination: '/etc/note', type: 'bind', source: 'note', options: ['bind', 'ro'] },
  ];
  const script = [
    'echo x >/dev/null && head -c 3 /dev/zero | od -An -tx1',
    'test -c /dev/ptmx -o -L /dev/ptmx && echo ptmx',
    'test -d /sys/devices/system/cpu && echo cpus',
    'head -c 1000000 /dev/zero >/scratch/big; stat -c %s /scratch/big',
    'cat /etc/note; echo x >/etc/note',
    'grep -c " /scratch tmpfs " /proc/mounts',
  ].join('\n');
  const { stdout, stderr } = run(script, { mounts });
  assert.match(stderr, /I\/O error[\s\S]*Read-only file system/);
  assert.equal(stdout, ' 00 00 00\nptmx\ncpus\n65536\nbound\n1\n');
});

test('masked and read-only paths', () => {
  const linux = { namespaces: ALL_NAMESPACES, maskedPaths: ['/proc/meminfo', '/root'], readonlyPaths: ['/etc'] };
  writeFileSync(join(bundle, 'rootfs/root/secret'), '');
  const mounts = [{ destination: '/dev', type: 'tmpfs', source: 'tmpfs' }];
  const { stdout, stderr } = run('wc -c </proc/meminfo; ls /root; echo x >/etc/y', { linux, mounts });
  assert.equal(stdout, '0\n');
  assert.match(stderr, /Read-only file system/);
});

test('rules for devices: the last that matches decides, and what everybody needs is allowed', () => {
  const devices = [
    { allow: false, access: 'rwm' },
    { allow: true, type: 'c', major: 1, access: 'rw' },
    { allow: false, type: 'c', major: 1, minor: 11, access: 'r' },
  ];
  const nodes = [
    { path: '/dev/kmsg', type: 'c', major: 1, minor: 11 },
    { path: '/dev/loop-control', type: 'c', major: 10, minor: 237 },
  ];
  const mounts = [{ destination: '/dev', type: 'tmpfs', source: 'tmpfs' }];
  const linux = { namespaces: ALL_NAMESPACES, devices: nodes, resources: { devices } };
  const script = 'echo a >/dev/null && echo b >/dev/kmsg && echo ok; cat /dev/kmsg; cat /dev/loop-control';
  const { stdout, stderr } = run(script, { linux, mounts });
  assert.equal(stdout, 'ok\n');
  assert.match(stderr, /\/dev\/kmsg'?: Operation not permitted\n.*\/dev\/loop-control'?: Operation not permitted\n$/);
});

test('what has no effect is said', () => {
  const linux = { namespaces: ALL_NAMESPACES, mountLabel: 'label' };
  const { status, stderr } = run('true', { linux });
  assert.equal(status, 0);
  assert.equal(stderr, 'cloister: warning: config.json: linux.mountLabel has no effect\n');
});
