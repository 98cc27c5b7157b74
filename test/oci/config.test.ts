// config.json as it comes from clients and as it must be refused: every message begins with the field at fault.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../../src/oci/config.ts';

const MINIMAL = { ociVersion: '1.0.2', process: { cwd: '/', args: ['true'] }, root: { path: 'rootfs' } };

function parse(changes: object): ReturnType<typeof parseConfig> {
  return parseConfig(JSON.stringify({ ...MINIMAL, ...changes }));
}

function rejects(changes: object, message: RegExp): void {
  assert.throws(() => parse(changes), { name: 'LaunchError', message });
}

test('a minimal configuration', () => {
  assert.deepEqual(parse({}), MINIMAL);
});

test('unknown fields are ignored, as the specification asks', () => {
  assert.deepEqual(parse({ solaris: { milestone: 'x' }, invented: 1 }), MINIMAL);
});

test('null counts as absent: Go writes it for empty slices', () => {
  const config = parse({ mounts: null, process: { cwd: '/', args: ['true'], rlimits: null } });
  assert.equal(config.mounts, undefined);
  assert.equal(config.process?.rlimits, undefined);
});

test('what podman and docker write', () => {
  const config = parse({
    ociVersion: '1.2.0',
    hostname: '3f2e',
    process: {
      terminal: true,
      consoleSize: { height: 24, width: 80 },
      user: { uid: 0, gid: 0, umask: 18, additionalGids: [0, 10] },
      args: ['sh'],
      env: ['PATH=/bin', 'TERM=xterm'],
      cwd: '/',
      capabilities: { bounding: ['CAP_CHOWN'], effective: ['CAP_CHOWN'], permitted: ['CAP_CHOWN'] },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 2 ** 64, soft: 1024 }],
      oomScoreAdj: 0,
    },
    mounts: [{ destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'size=65536k'] }],
    annotations: { 'io.podman.annotations.label': 'disable' },
    linux: {
      cgroupsPath: '/libpod_parent/libpod-3f2e',
      namespaces: [{ type: 'pid' }, { type: 'network', path: '/var/run/netns/x' }],
      resources: { devices: [{ allow: false, access: 'rwm' }], memory: { limit: -1, disableOOMKiller: false } },
      devices: [{ path: '/dev/fuse', type: 'c', major: 10, minor: 229, fileMode: 8630, uid: 0, gid: 0 }],
      seccomp: {
        defaultAction: 'SCMP_ACT_ERRNO',
        defaultErrnoRet: 38,
        architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
        syscalls: [
          {
            names: ['clone'],
            action: 'SCMP_ACT_ALLOW',
            args: [{ index: 0, value: 2114060288, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
          },
        ],
      },
    },
  });
  assert.equal(config.process?.rlimits?.[0]?.hard, 2 ** 64);
});

test('what is not JSON', () => {
  assert.throws(() => parseConfig('{"ociVersion": "1.0.2",'), {
    name: 'LaunchError',
    message: /^config.json: not JSON: /,
  });
  assert.throws(() => parseConfig('[]'), { message: /^config.json: the document: / });
});

test('wrong types name the field, wherever it is', () => {
  rejects({ process: { cwd: '/', args: 'true' } }, /^config.json: process.args: .*expected array/);
  rejects({ process: { cwd: 7, args: ['true'] } }, /^config.json: process.cwd: .*expected string/);
  rejects({ process: { cwd: '/', args: ['true', 1] } }, /^config.json: process.args\[1\]: /);
  rejects({ root: { path: 'rootfs', readonly: 'yes' } }, /^config.json: root.readonly: .*expected boolean/);
  rejects({ mounts: [{ source: 'proc' }] }, /^config.json: mounts\[0\].destination: /);
  rejects({ process: { cwd: '/', user: { uid: -1 } } }, /^config.json: process.user.uid: /);
  rejects({ process: { cwd: '/', user: { uid: 1.5 } } }, /^config.json: process.user.uid: expected an integer/);
  rejects({ linux: { namespaces: [{ type: 'mnt' }] } }, /^config.json: linux.namespaces\[0\].type: /);
  rejects({ linux: { seccomp: { defaultAction: 'ALLOW' } } }, /^config.json: linux.seccomp.defaultAction: /);
  rejects({ annotations: { a: 1 } }, /^config.json: annotations.a: /);
  rejects({ hooks: { poststop: [{ args: [] }] } }, /^config.json: hooks.poststop\[0\].path: /);
});

test('each field at fault has its line', () => {
  rejects({ ociVersion: 2, root: {} }, /^config.json: ociVersion: .*\nconfig.json: root.path: .*$/);
});

test('a version from another world is refused', () => {
  rejects({ ociVersion: '2.0.0' }, /^config.json: ociVersion: only version 1/);
});

test('a zero byte in a name is refused: the kernel would cut the name there', () => {
  rejects({ process: { cwd: '/', args: ['a\0b'] } }, /^config.json: process.args\[0\]: .*zero byte/);
  rejects({ root: { path: 'rootfs\0' } }, /^config.json: root.path: /);
});
