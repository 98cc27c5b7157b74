// Control groups of version 2: what linux.resources becomes in their files, and their life where the machine has a
// hierarchy, whichever controllers are in it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { applyResources, type Resources, withMinimum } from '../../src/oci/cgroup-resources.ts';
import { cgroupProcesses, makeCgroups, removeCgroups, requireUnusedCgroups, setFrozen } from '../../src/oci/cgroups.ts';
import { type CgroupState, isFrozen } from '../../src/oci/state.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-cgroups-'));
after(() => rmSync(scratch, { recursive: true }));

const FILES =
  'memory.max memory.low memory.swap.max cpu.weight cpu.max cpu.max.burst cpu.idle cpuset.cpus cpuset.mems pids.max io.weight io.max hugetlb.2MB.max rdma.max memory.high'.split(
    ' ',
  );

/** Files of a cgroup after these resources were set: those that were written to. */
function written(resources: Resources): Record<string, string> {
  for (const name of FILES) writeFileSync(join(scratch, name), '');
  applyResources({ version: 2, directories: { '': scratch } }, resources);
  const contents = FILES.map((name) => [name, readFileSync(join(scratch, name), 'utf8')] as const);
  return Object.fromEntries(contents.filter(([, text]) => text !== ''));
}

test('resources in the files of version 2', () => {
  const MiB = 1 << 20;
  assert.deepEqual(written({ memory: { limit: 200 * MiB, reservation: 100 * MiB, swap: 300 * MiB } }), {
    'memory.max': String(200 * MiB),
    'memory.low': String(100 * MiB),
    'memory.swap.max': String(100 * MiB),
  });
  assert.deepEqual(written({ memory: { limit: -1 } }), { 'memory.max': 'max', 'memory.swap.max': 'max' });
  assert.deepEqual(written(withMinimum({ memory: { limit: 1 * MiB } })), { 'memory.max': String(64 * MiB) });
  assert.deepEqual(
    written({ cpu: { shares: 1024, quota: 50_000, period: 200_000, burst: 7, idle: 1, cpus: '0', mems: '0' } }),
    {
      'cpu.weight': '39',
      'cpu.max': '50000 200000',
      'cpu.max.burst': '7',
      'cpu.idle': '1',
      'cpuset.cpus': '0',
      'cpuset.mems': '0',
    },
  );
  assert.deepEqual(written({ cpu: { shares: 2, quota: -1 } }), { 'cpu.weight': '1', 'cpu.max': 'max' });
  assert.deepEqual(written({ cpu: { shares: 262_144 } }), { 'cpu.weight': '10000' });
  assert.deepEqual(written({ pids: { limit: 10 } }), { 'pids.max': '34' });
  assert.deepEqual(written({ pids: { limit: -1 } }), { 'pids.max': 'max' });
  assert.deepEqual(written({ blockIO: { weight: 500 } }), { 'io.weight': 'default 4950' });
  assert.deepEqual(written({ blockIO: { throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 9 }] } }), {
    'io.max': '8:0 rbps=9',
  });
  assert.deepEqual(written({ hugepageLimits: [{ pageSize: '2MB', limit: 4 * MiB }] }), {
    'hugetlb.2MB.max': String(4 * MiB),
  });
  assert.deepEqual(written({ rdma: { mlx5: { hcaHandles: 3 } } }), { 'rdma.max': 'mlx5 hca_handle=3' });
  assert.deepEqual(written({ unified: { 'memory.high': '5' } }), { 'memory.high': '5' });
});

test('what version 2 does not have is refused by its field', () => {
  const refused: readonly (readonly [resources: Resources, field: string])[] = [
    [{ cpu: { realtimeRuntime: 5 } }, 'cpu.realtimeRuntime'],
    [{ network: { classID: 5 } }, 'network'],
    [{ memory: { swap: 5 } }, 'memory.swap'],
    [{ memory: { disableOOMKiller: true } }, 'memory.disableOOMKiller'],
    [{ unified: { '../x': '5' } }, 'unified'],
    [{ unified: { 'nonesuch.max': '5' } }, 'unified["nonesuch.max"]'],
  ];
  for (const [resources, field] of refused) {
    assert.throws(() => written(resources), {
      name: 'LaunchError',
      message: new RegExp(`^linux\\.resources\\.${field.replace(/[[\]."/]/g, '\\$&')}: `),
    });
  }
});

/** Where version 2 is mounted, whole or beside version 1. */
const MOUNTS = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'];
const hierarchy = MOUNTS.find((path) => existsSync(join(path, 'cgroup.controllers')));
const skip = (hierarchy === undefined || process.geteuid?.() !== 0) && 'no cgroups of version 2 that we may change';

test('the life of a cgroup of version 2: made, joined, frozen, thawed, emptied, removed', { skip }, async () => {
  const above = join(hierarchy ?? '', `cloister-${process.pid}`);
  const state: CgroupState = { version: 2, directories: { '': join(above, 'container') } };
  makeCgroups(state);
  try {
    const enabled = readFileSync(join(above, 'cgroup.subtree_control'), 'utf8').trim();
    assert.equal(enabled, readFileSync(join(above, 'cgroup.controllers'), 'utf8').trim());
    requireUnusedCgroups(state);
    const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    writeFileSync(join(above, 'container/cgroup.procs'), String(child.pid));
    assert.deepEqual(cgroupProcesses(state), [child.pid]);
    assert.throws(() => requireUnusedCgroups(state), /cgroup is not empty: 1 process/);
    assert.equal(setFrozen(state, true), true);
    assert.equal(isFrozen(state), true);
    assert.match(readFileSync(join(above, 'container/cgroup.events'), 'utf8'), /frozen 1/);
    setFrozen(state, false);
    assert.equal(isFrozen(state), false);
    setFrozen(state, true); // what is frozen is removed all the same
    removeCgroups(state);
    assert.deepEqual((await ended)[1], 'SIGKILL');
    assert.equal(readdirSync(above).includes('container'), false);
  } finally {
    removeCgroups(state);
    rmdirSync(above);
  }
});
