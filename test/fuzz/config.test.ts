// Random changes of a configuration: it is converted, or refused with a message that names the field; nothing else is
// thrown, and what comes out refers to no destination that is not absolute.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseConfig } from '../../src/oci/config.ts';
import { type ConversionOptions, sandboxOfConfig } from '../../src/oci/convert.ts';
import { configTemplate } from '../../src/oci/template.ts';
import { below, bytes, pick, repeatedly, seed, word } from './random.ts';

const bundle = mkdtempSync(join(tmpdir(), 'cloister-config-'));
mkdirSync(join(bundle, 'rootfs'));
after(() => rmSync(bundle, { recursive: true }));

const TEMPLATE = {
  ...configTemplate(false),
  hooks: { prestart: [{ path: '/bin/true', args: ['true'] }] },
  annotations: { a: 'b' },
} as const;
const SECCOMP = {
  defaultAction: 'SCMP_ACT_ERRNO',
  architectures: ['SCMP_ARCH_X86_64'],
  syscalls: [
    {
      names: ['read', 'write'],
      action: 'SCMP_ACT_ALLOW',
      args: [{ index: 0, value: 1, valueTwo: 2, op: 'SCMP_CMP_EQ' }],
    },
  ],
};

const OPTIONS: ConversionOptions = {
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
  warn: () => {},
};

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

const NAMES = ['path', 'type', 'source', 'destination', 'options', 'uid', '__proto__', 'constructor', 'a'];
const TEXTS = [
  '',
  '/',
  '.',
  '..',
  '../../..',
  '/proc',
  '/dev/null',
  'proc',
  'bind',
  'tmpfs',
  'rbind',
  'ro',
  '-1',
  'a\0b',
];

function value(depth: number): Json {
  switch (below(depth > 0 ? 8 : 5)) {
    case 0:
      return word();
    case 1:
      return pick([0, -1, 1.5, 1e300, 2 ** 53, -(2 ** 31)]);
    case 2:
      return pick(TEXTS);
    case 3:
      return bytes(20);
    case 4:
      return pick([true, false, null]);
    case 5:
    case 6:
      return Array.from({ length: below(4) }, () => value(depth - 1));
    default:
      return Object.fromEntries(Array.from({ length: below(4) }, () => [pick(NAMES), value(depth - 1)]));
  }
}

/** Changes, takes away or doubles something, somewhere. */
function mutate(node: Json): Json {
  if (node === null || typeof node !== 'object' || below(12) === 0) return value(2);
  const copy = structuredClone(node);
  if (Array.isArray(copy)) {
    const at = below(copy.length + 1);
    if (below(3) > 0 && at < copy.length) copy[at] = mutate(copy[at] as Json);
    else if (below(2)) copy.splice(at, 1);
    else copy.splice(at, 0, copy.length > 0 && below(2) ? (pick(copy) as Json) : value(2));
    return copy;
  }
  const key = below(10) && Object.keys(copy).length > 0 ? pick(Object.keys(copy)) : pick(NAMES);
  if (below(10) === 0) delete copy[key];
  else copy[key] = mutate(copy[key] ?? null);
  return copy;
}

test(`configurations (seed ${seed})`, () => {
  const outcomes = { converted: 0, refused: 0 };
  const whole = JSON.parse(JSON.stringify(TEMPLATE));
  whole.linux.seccomp = SECCOMP;
  repeatedly(1000, () => {
    let config: Json = whole;
    for (let i = 1 + below(3); i > 0; i--) config = mutate(config);
    const text = JSON.stringify(config);
    try {
      const { spec } = sandboxOfConfig(parseConfig(text), OPTIONS);
      outcomes.converted++;
      for (const { destination } of spec.mounts) assert.ok(destination.startsWith('/'), text);
    } catch (error) {
      const { name, message } = error as Error;
      assert.ok(name === 'LaunchError' && message.length > 0, `${text}\n${(error as Error).stack}`);
      outcomes.refused++;
    }
  });
  assert.ok(outcomes.converted > 50 && outcomes.refused > 50, JSON.stringify(outcomes));
});
