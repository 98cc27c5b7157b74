// From a configuration to the sandbox spec and the launcher's command line.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseConfig } from '../../src/oci/config.ts';
import { sandboxOfConfig } from '../../src/oci/convert.ts';
import type { Sandbox } from '../../src/oci/launch.ts';

const bundle = mkdtempSync(join(tmpdir(), 'cloister-bundle-'));
mkdirSync(join(bundle, 'rootfs'));
writeFileSync(join(bundle, 'resolv.conf'), '');
after(() => rmSync(bundle, { recursive: true }));

const NAMESPACES = ['mount', 'pid', 'network', 'uts', 'ipc'].map((type) => ({ type }));
const PROCESS = { cwd: '/', args: ['true'] };

interface Changes {
  readonly [field: string]: unknown;
  readonly linux?: object;
}

function convert(changes: Changes): { sandbox: Sandbox; warnings: string[] } {
  const warnings: string[] = [];
  const config = parseConfig(
    JSON.stringify({
      ociVersion: '1.3.0',
      process: PROCESS,
      root: { path: 'rootfs' },
      ...changes,
      linux: { namespaces: NAMESPACES, ...changes.linux },
    }),
  );
  const sandbox = sandboxOfConfig(config, {
    id: 'box',
    bundle,
    strace: null,
    stats: false,
    debug: false,
    joins: false,
    notifies: false,
    patch: true,
    spin: true,
    network: null,
    platform: 'notify',
    egress: [],
    warn: (message) => warnings.push(message),
  });
  return { sandbox, warnings };
}

function refuses(changes: Changes, message: RegExp): void {
  assert.throws(() => convert(changes), { name: 'LaunchError', message });
}

test('defaults of a minimal configuration', () => {
  const { sandbox, warnings } = convert({});
  assert.deepEqual(warnings, []);
  assert.deepEqual(sandbox.spec.root, { path: join(bundle, 'rootfs'), readonly: false, overlay: 'none' });
  assert.equal(sandbox.spec.hostname, 'box');
  assert.equal(sandbox.spec.process.umask, 0o22);
  assert.equal(sandbox.spec.process.capabilities.effective, '0000000000000000');
  assert.equal(sandbox.networkNamespace, null);
});

test('the process: user, capabilities, limits, bytes', () => {
  const { sandbox, warnings } = convert({
    process: {
      ...PROCESS,
      args: ['echo', 'é'],
      env: ['A=1'],
      user: { uid: 7, gid: 8, umask: 0o77, additionalGids: [9] },
      capabilities: {
        bounding: ['CAP_CHOWN', 'CAP_CHOWN', 'CAP_CHECKPOINT_RESTORE'],
        effective: ['CAP_KILL', 'CAP_FUTURE'],
      },
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: 10, hard: 20 }],
      noNewPrivileges: true,
      oomScoreAdj: -5,
    },
  });
  const { process } = sandbox.spec;
  assert.deepEqual(process.args, ['echo', '\xc3\xa9']);
  assert.deepEqual([process.uid, process.gid, process.umask, process.additionalGids], [7, 8, 0o77, [9]]);
  assert.equal(process.capabilities.bounding, '0000010000000001');
  assert.equal(process.capabilities.effective, '0000000000000020');
  assert.deepEqual(warnings, ['config.json: process.capabilities.effective: CAP_FUTURE is not known']);
  assert.deepEqual(process.rlimits, [{ resource: 7, soft: 10, hard: 20 }]);
  assert.equal(process.noNewPrivileges, true);
  assert.equal(process.oomScoreAdj, -5);
});

test('mounts: kernel file systems, binds by name, a tmpfs on /dev with devices', () => {
  const { sandbox } = convert({
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', options: ['nosuid', 'size=65536k'] },
      { destination: '/etc/resolv.conf', source: 'resolv.conf', options: ['rbind', 'ro'] },
      { destination: 'data', type: 'bind', source: bundle, options: ['ro', 'rw'] },
      { destination: '/sys/fs/cgroup', type: 'cgroup2', source: 'cgroup' },
    ],
  });
  assert.deepEqual(sandbox.spec.mounts, [
    { destination: '/proc', type: 'proc', source: null, device: 'proc', options: [], copyUp: false },
    { destination: '/dev', type: 'dev', source: null, device: null, options: ['nosuid', 'size=65536k'], copyUp: false },
    {
      destination: '/etc/resolv.conf',
      type: 'bind',
      source: 'bind0',
      device: join(bundle, 'resolv.conf'),
      options: ['ro'],
      copyUp: false,
    },
    { destination: '/data', type: 'bind', source: 'bind1', device: bundle, options: [], copyUp: false },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: null, device: 'cgroup', options: [], copyUp: false },
  ]);
  assert.deepEqual(sandbox.binds, [
    { name: 'bind0', source: join(bundle, 'resolv.conf'), readonly: true },
    { name: 'bind1', source: bundle, readonly: false },
  ]);
});

test('cgroups of the host, bound over those of the container, are the sandbox’s own', () => {
  const own = { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'ro'] };
  const part = { destination: '/sys/fs/cgroup/systemd', type: 'bind', source: '/sys/fs/cgroup' };
  const whole = { ...part, destination: '/sys/fs/cgroup' };
  const made = (...mounts: object[]): (readonly string[])[] => {
    const { sandbox } = convert({ mounts });
    assert.deepEqual(sandbox.binds, []);
    for (const { destination, type } of sandbox.spec.mounts) {
      assert.equal(destination, '/sys/fs/cgroup');
      assert.equal(type, 'cgroup');
    }
    return sandbox.spec.mounts.map(({ options }) => options);
  };
  assert.deepEqual(made(own, part), [['rw', 'nosuid']]);
  assert.deepEqual(made(own, whole), [['rw', 'nosuid']]);
  assert.deepEqual(made(whole), [['rw', 'nosuid', 'nodev', 'noexec']]);
  assert.equal(convert({ mounts: [own, { ...part, destination: '/host' }] }).sandbox.binds.length, 1);
});

test('id mappings become the maps of the user namespace', () => {
  const { sandbox } = convert({
    linux: {
      uidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
      gidMappings: [{ containerID: 0, hostID: 200000, size: 65536 }],
    },
  });
  assert.deepEqual(sandbox.identity.uidMappings, [{ inside: 0, outside: 100000, count: 65536 }]);
  assert.deepEqual(sandbox.spec.idMappings.gid, [{ inside: 0, outside: 200000, count: 65536 }]);
  refuses(
    { linux: { uidMappings: [{ containerID: 0, hostID: 1, size: 1 }] } },
    /^config.json: linux.gidMappings: required/,
  );
});

test('a network namespace is joined by path; none is named twice', () => {
  const joined = convert({ linux: { namespaces: [{ type: 'network', path: '/run/netns/a' }] } });
  assert.equal(joined.sandbox.networkNamespace, '/run/netns/a');
  refuses({ linux: { namespaces: [{ type: 'pid' }, { type: 'pid' }] } }, /namespaces\[1\].type: pid is named twice/);
});

test('what is missing from the configuration or from the disk is named', () => {
  refuses({ root: undefined }, /^config.json: root: required/);
  refuses({ process: undefined }, /^config.json: process: required/);
  refuses({ process: { cwd: '/' } }, /^config.json: process.args: names no program/);
  refuses({ process: { cwd: '/', args: [] } }, /^config.json: process.args: names no program/);
  refuses({ process: { cwd: 'tmp', args: ['true'] } }, /^config.json: process.cwd: must be an absolute path/);
  refuses({ root: { path: 'nowhere' } }, /^config.json: root.path: .*nowhere does not exist/);
  refuses({ root: { path: 'resolv.conf' } }, /^config.json: root.path: .*resolv.conf is not a directory/);
  refuses({ mounts: [{ destination: '/a', type: 'bind' }] }, /^config.json: mounts\[0\].source: required/);
  refuses(
    { mounts: [{ destination: '/a', type: 'bind', source: 'nowhere' }] },
    /mounts\[0\].source: .* does not exist/,
  );
});

test('what is not supported is refused where it matters, and warned about where it does not', () => {
  refuses(
    { mounts: [{ destination: '/a', type: 'ext4', source: '/dev/vda' }] },
    /^config.json: mounts\[0\].type: ext4/,
  );
  refuses(
    { mounts: [{ destination: '/a', type: 'bind', source: '.', options: ['idmap'] }] },
    /mounts\[0\].uidMappings: required/,
  );
  const ids = [{ containerID: 0, hostID: 5, size: 1 }];
  refuses(
    { mounts: [{ destination: '/a', type: 'tmpfs', uidMappings: ids, gidMappings: ids }] },
    /mounts\[0\]: id map/,
  );
  refuses(
    { mounts: [{ destination: '/a', type: 'bind', source: '.', uidMappings: ids }] },
    /mounts\[0\].gidMappings: required/,
  );
  refuses({ linux: { timeOffsets: { boottime: { secs: 1 } } } }, /^config.json: linux.timeOffsets: /);
  refuses(
    { linux: { personality: { domain: 'LINUX', flags: ['X'] } } },
    /^config.json: linux.personality.flags\[0\]: /,
  );
  refuses({ linux: { intelRdt: { closID: 'x' } } }, /^config.json: linux.intelRdt: /);
  const { warnings } = convert({
    process: { ...PROCESS, apparmorProfile: 'x' },
    linux: { namespaces: [{ type: 'pid' }], mountLabel: 'a', resources: { devices: [] } },
  });
  assert.deepEqual(warnings.slice(0, 2), [
    'config.json: linux.mountLabel has no effect',
    'config.json: process.apparmorProfile has no effect',
  ]);
  assert.match(warnings[2] ?? '', /the host's mount namespace cannot be shared/);
});

test('a policy in the annotations', () => {
  const { sandbox } = convert({ annotations: { 'dev.cloister.egress': 'allow=10.0.0.0/8;default=deny' } });
  assert.deepEqual(
    [sandbox.spec.network.egress[0]?.otherwise, sandbox.spec.network.egress[0]?.rules.length],
    ['deny', 1],
  );
  const cut = { 'dev.cloister.egress': 'allow=10.0.0.0/8', default: 'deny' };
  refuses({ annotations: cut }, /was cut before "default="/);
  refuses({ annotations: { 'dev.cloister.egress': '@/etc/passwd' } }, /must be the policy itself/);
});

test('limits are checked', () => {
  const limit = (type: string, soft: number, hard: number) => ({ type, soft, hard });
  const withLimits = (...rlimits: object[]) => ({ process: { ...PROCESS, rlimits } });
  refuses(withLimits(limit('RLIMIT_TEA', 1, 1)), /process.rlimits\[0\].type: RLIMIT_TEA is not known/);
  refuses(withLimits(limit('RLIMIT_CPU', 2, 1)), /process.rlimits\[0\].soft: is above/);
  refuses(withLimits(limit('RLIMIT_CPU', 1, 1), limit('RLIMIT_CPU', 1, 1)), /process.rlimits\[1\].type: .* twice/);
});
