// native/abi.h and src/platform/layout.ts say the same numbers.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { OWN_CALLS } from '../../src/kernel/own-answers.ts';
import * as layout from '../../src/platform/layout.ts';
import { entryByName } from '../../syscall-tables/table.ts';

const header = readFileSync(join(import.meta.dirname, '../../native/abi.h'), 'latin1').replaceAll(/\/\/.*$/gm, '');

/** The constants of abi.h: `#define NAME number` and `NAME = number`. */
function constants(): Map<string, number> {
  const found = new Map<string, number>();
  for (const [, name, value] of header.matchAll(/^#define (\w+)\s+(0x[0-9a-f]+|\d+)u?l?\s*$/gm)) {
    found.set(name, Number(value));
  }
  for (const [, name, value] of header.matchAll(/^\s+([A-Z]\w+)\s*=\s*(\d+)/gm)) found.set(name, Number(value));
  return found;
}

test('every number that layout.ts shares with abi.h is the same', () => {
  const ofHeader = constants();
  let compared = 0;
  for (const [name, value] of Object.entries(layout)) {
    if (typeof value !== 'number' || !ofHeader.has(name)) continue;
    assert.equal(value, ofHeader.get(name), name);
    compared++;
  }
  assert.ok(compared > 50, `only ${compared} numbers were compared`);
});

test('layout.ts leaves out nothing of the protocol', () => {
  const ofLayout = new Set(Object.keys(layout));
  const missing = [...constants().keys()].filter((name) => /^(H|KIND|ACT|ORDER)_/.test(name) && !ofLayout.has(name));
  // Read by the addon and the stub only, or reserved for patched call sites.
  const theirs = ['H_FLAGS', 'H_CPU', 'H_LISTENER', 'H_FAST', 'H_SEQ', 'H_REGS', 'KIND_ZYGOTE'];
  assert.deepEqual(
    missing.filter((name) => !theirs.includes(name)),
    [],
  );
});

test('what the stub answers by itself is what filters are asked about', () => {
  const source = readFileSync(join(import.meta.dirname, '../../native/stub/marshal.c'), 'utf8');
  const body = /static int answer_alone[\s\S]*?\n}\n/.exec(source)?.[0] ?? '';
  const answered = [...body.matchAll(/case SYS_(\w+):/g)].map(([, name]) => name);
  assert.deepEqual(answered.sort(), Object.keys(OWN_CALLS).sort());
  for (const [name, nr] of Object.entries(OWN_CALLS)) assert.equal(entryByName(name).nr, nr, name);
});
