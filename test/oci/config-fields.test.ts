// Every field of config.json wrong in turn, made from the schema: the message begins with the field's name. And through
// the command line for one field of each kind: exit status 1, and nothing is left behind.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { configSchema, parseConfig } from '../../src/oci/config.ts';
import { CLOISTER } from '../cli/cloister.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-fields-'));
after(() => rmSync(scratch, { recursive: true }));

/** What the walk needs of a schema's definition. */
interface Definition {
  readonly type: string;
  readonly shape?: Readonly<Record<string, Schema>>;
  readonly innerType?: Schema;
  readonly element?: Schema;
  readonly valueType?: Schema;
  readonly entries?: Readonly<Record<string, string>>;
}
interface Schema {
  readonly def: Definition;
}

/** Values of fields that have a form of their own. */
const SPECIAL: Readonly<Record<string, unknown>> = {
  ociVersion: '1.3.0',
  'process.rlimits[0].type': 'RLIMIT_NOFILE',
  'linux.resources.hugepageLimits[0].pageSize': '2MB',
  'linux.seccomp.architectures[0]': 'SCMP_ARCH_X86_64',
  'linux.intelRdt.memBwSchema': 'MB:0=50',
  ...Object.fromEntries(
    ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'].map((name) => [
      `hooks.${name}[0].path`,
      '/true',
    ]),
  ),
  'linux.maskedPaths[0]': '/proc/kcore',
  'linux.readonlyPaths[0]': '/proc/bus',
  'process.execCPUAffinity.initial': '0',
  'process.execCPUAffinity.final': '0-1',
};

type Path = readonly (string | number)[];
interface Field {
  readonly path: Path;
  readonly def: Definition;
  readonly required: boolean;
}

function nameOf(path: Path): string {
  return path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${key}`))
    .join('')
    .replace(/^\./, '');
}

/** A document with every field, and the list of them. */
function walk({ def }: Schema, path: Path, fields: Field[], required = true): unknown {
  if (def.type === 'optional') return walk(def.innerType as Schema, path, fields, false);
  if (path.length > 0) fields.push({ path, def, required });
  const special = SPECIAL[nameOf(path)];
  if (special !== undefined) return special;
  switch (def.type) {
    case 'object': {
      const { shape = {} } = def;
      return Object.fromEntries(
        Object.entries(shape).map(([key, inner]) => [key, walk(inner, [...path, key], fields)]),
      );
    }
    case 'array':
      return [walk(def.element as Schema, [...path, 0], fields, false)];
    case 'record':
      return { key: walk(def.valueType as Schema, [...path, 'key'], fields, false) };
    case 'string':
      return 'text';
    case 'number':
      return 1;
    case 'boolean':
      return true;
    case 'enum':
      return Object.values(def.entries ?? {}).find((value) => value !== '');
    default:
      throw new Error(`the test does not know schemas of type ${def.type}`);
  }
}

/** The document with another value at the path; undefined takes the field away. */
function changed(document: unknown, [key, ...rest]: Path, value: unknown): unknown {
  const copy = structuredClone(document) as Record<string | number, unknown>;
  if (key === undefined) return value;
  if (rest.length > 0) copy[key] = changed(copy[key], rest, value);
  else if (value === undefined) delete copy[key];
  else copy[key] = value;
  return copy;
}

/** Values that no schema of this type takes. */
function wrongValues({ type }: Definition): unknown[] {
  const all: Readonly<Record<string, readonly unknown[]>> = {
    object: [1, 'text', [], true],
    array: [1, 'text', {}, false],
    record: [1, 'text', [], true],
    string: [1, [], {}, true],
    number: ['1', [], {}, true, 1.5, 1e300, -1e300],
    boolean: [0, 'true', [], {}],
    enum: [1, 'NO_SUCH_NAME', [], {}],
  };
  return [...(all[type] ?? [])];
}

const fields: Field[] = [];
const whole = walk(configSchema as unknown as Schema, [], fields);

test('the document with every field is in order', () => {
  assert.ok(fields.length > 200);
  assert.deepEqual(parseConfig(JSON.stringify(whole)), whole);
});

test('every field wrong in turn is named', () => {
  for (const { path, def, required } of fields) {
    const name = nameOf(path);
    for (const wrong of wrongValues(def)) {
      const text = JSON.stringify(changed(whole, path, wrong));
      assert.throws(
        () => parseConfig(text),
        ({ name: kind, message }: Error) =>
          kind === 'LaunchError' && message.split('\n').every((line) => line.startsWith(`config.json: ${name}: `)),
        `${name} = ${JSON.stringify(wrong)}`,
      );
    }
    // Null counts as absent, which a field may be and an element of a list may not.
    if (!required && typeof path.at(-1) === 'string')
      assert.ok(parseConfig(JSON.stringify(changed(whole, path, null))));
  }
});

test('zero bytes, where the kernel would take them for the end', () => {
  for (const name of ['hostname', 'root.path', 'process.cwd', 'mounts[0].destination', 'process.args[0]']) {
    const field = fields.find(({ path }) => nameOf(path) === name);
    const text = JSON.stringify(changed(whole, field?.path ?? [], 'a\0b'));
    assert.throws(
      () => parseConfig(text),
      ({ message }: Error) => message.startsWith(`config.json: ${name}: `),
    );
  }
});

test('through the command line: the field on standard error, exit status 1, nothing left behind', () => {
  const bundle = join(scratch, 'bundle');
  const root = join(scratch, 'state');
  mkdirSync(join(bundle, 'rootfs'), { recursive: true });
  const base = { ociVersion: '1.3.0', root: { path: 'rootfs' }, process: { cwd: '/', args: ['true'] } };
  const wrong: readonly (readonly [field: string, config: object])[] = [
    ['root.path', { ...base, root: { path: 'absent' } }],
    ['process.cwd', { ...base, process: { ...base.process, cwd: 'relative' } }],
    ['process.args', { ...base, process: { cwd: '/' } }],
    [
      'process.rlimits[0].type',
      { ...base, process: { ...base.process, rlimits: [{ type: 'RLIMIT_X', soft: 0, hard: 0 }] } },
    ],
    ['process.scheduler.priority', { ...base, process: { ...base.process, scheduler: { policy: 'SCHED_FIFO' } } }],
    [
      'process.ioPriority.priority',
      { ...base, process: { ...base.process, ioPriority: { class: 'IOPRIO_CLASS_BE', priority: 9 } } },
    ],
    ['mounts[0].type', { ...base, mounts: [{ destination: '/x', type: 'ext4' }] }],
    ['mounts[0].options[0]', { ...base, mounts: [{ destination: '/x', type: 'tmpfs', options: ['size=x'] }] }],
    ['mounts[0].source', { ...base, mounts: [{ destination: '/x', source: '/nonesuch', options: ['bind'] }] }],
    ['linux.namespaces[1].type', { ...base, linux: { namespaces: [{ type: 'pid' }, { type: 'pid' }] } }],
    ['linux.timeOffsets', { ...base, linux: { timeOffsets: { monotonic: { secs: 1 } } } }],
    ['linux.intelRdt', { ...base, linux: { intelRdt: { closID: 'x' } } }],
    ['linux.netDevices', { ...base, linux: { netDevices: { eth0: {} } } }],
    ['linux.cgroupsPath', { ...base, linux: { cgroupsPath: '/a/../../b' } }],
    ['linux.personality.flags[0]', { ...base, linux: { personality: { domain: 'LINUX', flags: ['X'] } } }],
  ];
  for (const [field, config] of wrong) {
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
    const { status, stderr, stdout } = spawnSync(CLOISTER, ['--root', root, 'create', '-b', bundle, 'bad'], {
      encoding: 'utf8',
      timeout: 60_000,
      killSignal: 'SIGKILL',
    });
    const errors = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('cloister: warning: '));
    assert.equal(errors.length, 1, stderr);
    assert.ok(errors[0]?.startsWith(`cloister: config.json: ${field}: `), `${field}: ${stderr}`);
    assert.equal(stdout, '');
    assert.equal(status, 1, field);
    assert.deepEqual(existsSync(root) ? readdirSync(root) : [], []);
  }
});
