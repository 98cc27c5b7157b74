// docs/config.md against the schema: every field is in the list, and nothing else is. And what the list says is refused
// or warned about is tried, with the field's name in the message.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { configSchema, parseConfig } from '../../src/oci/config.ts';
import { sandboxOfConfig } from '../../src/oci/convert.ts';

const bundle = mkdtempSync(join(tmpdir(), 'cloister-table-'));
mkdirSync(join(bundle, 'rootfs'));
after(() => rmSync(bundle, { recursive: true }));

interface Schema {
  readonly def: {
    readonly type: string;
    readonly shape?: Readonly<Record<string, Schema>>;
    readonly innerType?: Schema;
    readonly element?: Schema;
    readonly valueType?: Schema;
  };
}

/** Names of all fields that have no fields themselves, with dots; lists and maps do not show. */
function fieldsOf({ def }: Schema, name: string): string[] {
  const inner = def.innerType ?? def.element ?? def.valueType;
  if (inner !== undefined) return fieldsOf(inner, name);
  if (def.shape === undefined) return [name];
  return Object.entries(def.shape).flatMap(([key, field]) => fieldsOf(field, name === '' ? key : `${name}.${key}`));
}

const rows = readFileSync(join(import.meta.dirname, '../../docs/config.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .flatMap((line) => {
    const [, names = '', text = ''] = line.split('|').map((cell) => cell.trim());
    return [...names.matchAll(/`([^`]+)`/g)].map(([, name = '']) => ({ name, text }));
  });

function covers(name: string, field: string): boolean {
  return name === field || (name.endsWith('.*') && field.startsWith(name.slice(0, -1)));
}

test('every field of the schema is in the list once, and every line of the list is a field', () => {
  const fields = fieldsOf(configSchema as unknown as Schema, '');
  for (const field of fields) {
    const found = rows.filter(({ name }) => covers(name, field));
    assert.equal(found.length, 1, `${field}: ${found.map(({ name }) => name).join(', ')}`);
  }
  for (const { name } of rows)
    assert.ok(
      fields.some((field) => covers(name, field)),
      name,
    );
});

type Outcome = readonly [kind: 'refused' | 'warned', field: string, changes: Changes];
interface Changes {
  readonly [field: string]: unknown;
  readonly process?: object;
  readonly linux?: object;
}

const resources = (value: object): Changes => ({ linux: { resources: value } });
const seccomp = (value: object): Changes => ({ linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', ...value } } });
const hook = (value: object): Changes => ({ hooks: { poststop: [value] } });
const bind = (options: readonly string[]): Changes => ({
  mounts: [{ destination: '/x', source: bundle, options: ['bind', ...options] }],
});

const OUTCOMES: readonly Outcome[] = [
  ['refused', 'hooks.poststop[0].path', hook({ path: 'true' })],
  ['refused', 'hooks.poststop[0].timeout', hook({ path: '/true', timeout: 0 })],
  ['refused', 'hooks.poststop[0].timeout', hook({ path: '/true', timeout: -1 })],
  ['refused', 'mounts[0].type', { mounts: [{ destination: '/x', type: 'ext4' }] }],
  ['refused', 'mounts[0].options[0]', { mounts: [{ destination: '/x', type: 'proc', options: ['bogus'] }] }],
  ['refused', 'mounts[0]', { mounts: [{ destination: '/x', type: 'tmpfs', uidMappings: [], gidMappings: [] }] }],
  ['warned', 'mounts[0].options', bind(['bogus'])],
  ['warned', 'mounts[0].options', bind(['rshared'])],
  ['refused', 'process.scheduler.policy', { process: { scheduler: { policy: 'SCHED_ISO' } } }],
  ['refused', 'process.scheduler.flags[0]', { process: { scheduler: { policy: 'SCHED_OTHER', flags: ['X'] } } }],
  ['refused', 'process.ioPriority.priority', { process: { ioPriority: { class: 'IOPRIO_CLASS_BE', priority: 8 } } }],
  ['warned', 'process.capabilities.bounding', { process: { capabilities: { bounding: ['CAP_FUTURE'] } } }],
  ['warned', 'process.execCPUAffinity.initial', { process: { execCPUAffinity: { initial: '0' } } }],
  ['warned', 'process.apparmorProfile', { process: { apparmorProfile: 'x' } }],
  ['warned', 'process.selinuxLabel', { process: { selinuxLabel: 'x' } }],
  ['warned', 'process.commandLine', { process: { commandLine: 'x' } }],
  ['warned', 'process.user.username', { process: { user: { username: 'x' } } }],
  ['warned', 'annotations["dev.cloister.egres"]', { annotations: { 'dev.cloister.egres': 'x' } }],
  ['warned', 'linux.namespaces', { linux: { namespaces: [] } }],
  ['refused', 'linux.namespaces[1].type', { linux: { namespaces: [{ type: 'pid' }, { type: 'pid' }] } }],
  ['refused', 'linux.timeOffsets', { linux: { timeOffsets: { monotonic: { secs: 1 } } } }],
  ['refused', 'linux.devices[0].minor', { linux: { devices: [{ type: 'c', path: '/dev/x', major: 1 }] } }],
  ['warned', 'linux.resources.devices[0].access', resources({ devices: [{ allow: true, access: 'rwx' }] })],
  ['warned', 'linux.resources.memory.limit', resources({ memory: { limit: 1 << 20 } })],
  ['warned', 'linux.resources.memory.kernel', resources({ memory: { kernel: 1 } })],
  ['warned', 'linux.resources.memory.useHierarchy', resources({ memory: { useHierarchy: false } })],
  [
    'refused',
    'linux.resources.blockIO.weightDevice[0]',
    resources({ blockIO: { weightDevice: [{ major: 8, minor: 0 }] } }),
  ],
  ['refused', 'linux.resources.rdma.mlx5', resources({ rdma: { mlx5: {} } })],
  [
    'refused',
    'linux.resources.hugepageLimits[0].pageSize',
    resources({ hugepageLimits: [{ pageSize: '2M', limit: 0 }] }),
  ],
  ['warned', 'linux.rootfsPropagation', { linux: { rootfsPropagation: 'rslave' } }],
  ['warned', 'linux.mountLabel', { linux: { mountLabel: 'x' } }],
  ['warned', 'linux.memoryPolicy', { linux: { memoryPolicy: { mode: 'MPOL_BIND', nodes: '0' } } }],
  ['refused', 'linux.intelRdt', { linux: { intelRdt: { enableMonitoring: true } } }],
  ['refused', 'linux.netDevices', { linux: { netDevices: { eth0: { name: 'x' } } } }],
  ['refused', 'linux.personality.flags[0]', { linux: { personality: { domain: 'LINUX', flags: ['X'] } } }],
  ['refused', 'linux.maskedPaths[0]', { linux: { maskedPaths: ['proc'] } }],
  ['refused', 'linux.readonlyPaths[0]', { linux: { readonlyPaths: ['proc'] } }],
  ['refused', 'linux.seccomp.defaultAction', seccomp({ defaultAction: 'SCMP_ACT_NOTIFY' })],
  ['refused', 'linux.seccomp.defaultErrnoRet', seccomp({ defaultErrnoRet: 1 })],
  ['refused', 'linux.seccomp.flags', seccomp({ flags: ['X'] })],
  ['refused', 'linux.seccomp.listenerMetadata', seccomp({ listenerMetadata: 'x' })],
  ['warned', 'linux.seccomp.listenerPath', seccomp({ listenerPath: '/run/x', listenerMetadata: 'x' })],
  [
    'refused',
    'linux.seccomp.syscalls[0].errnoRet',
    seccomp({ syscalls: [{ names: ['read'], action: 'SCMP_ACT_LOG', errnoRet: 1 }] }),
  ],
  [
    'refused',
    'linux.seccomp.syscalls[0].action',
    seccomp({ syscalls: [{ names: ['read'], action: 'SCMP_ACT_NOTIFY' }] }),
  ],
];

const NAMESPACES = ['mount', 'pid', 'network', 'uts', 'ipc'].map((type) => ({ type }));

/** Warnings for a configuration with these changes; throws what refuses it. */
function convert({ process = {}, linux = {}, ...changes }: Changes): string[] {
  const warnings: string[] = [];
  const config = parseConfig(
    JSON.stringify({
      ociVersion: '1.3.0',
      root: { path: 'rootfs' },
      process: { cwd: '/', args: ['true'], ...process },
      linux: { namespaces: NAMESPACES, ...linux },
      ...changes,
    }),
  );
  sandboxOfConfig(config, {
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
  return warnings;
}

test('what is refused names the field', () => {
  for (const [kind, field, changes] of OUTCOMES) {
    if (kind !== 'refused') continue;
    assert.throws(
      () => convert(changes),
      ({ name, message }: Error) => name === 'LaunchError' && message.startsWith(`config.json: ${field}: `),
      field,
    );
  }
});

test('what has no effect is warned about by the field, once, and nothing else is', () => {
  assert.deepEqual(convert({}), []);
  for (const [kind, field, changes] of OUTCOMES) {
    if (kind !== 'warned') continue;
    const warnings = convert(changes);
    assert.ok(warnings.length > 0, field);
    for (const warning of warnings) assert.match(warning.slice(0, 13 + field.length), /^config\.json: /);
    for (const warning of warnings) assert.ok(warning.startsWith(`config.json: ${field}`), warning);
  }
});

test('the list says so', () => {
  for (const [kind, field] of OUTCOMES) {
    const name = field.replaceAll(/\[[^\]]*\]/g, '');
    const row = rows.find((each) => covers(each.name, name) || each.name.startsWith(`${name}.`));
    assert.ok(row, field);
    if (kind === 'warned') assert.match(row.text, /warned|at least 64 MiB/, field);
  }
});
