// The sentry's own filter, by running it: every call of every group is made with arguments that each rule accepts and
// with such that it refuses, all others are made too, each in a process of its own under the filter as it ships.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Instruction } from '../../syscall-tables/bpf.ts';
import { LOCK_NETWORK, OPTIONAL_GROUPS, type SentryCall } from '../../syscall-tables/sentry.ts';
import { groupsOf, SENTRY_VARIANTS, sentryFilter } from '../../syscall-tables/sentry-filter.ts';
import { entryByName, SYSCALL_COUNT } from '../../syscall-tables/table.ts';
import type { Condition, Rule, SyscallEntry } from '../../syscall-tables/types.ts';
import { TOP } from '../cli/cloister.ts';
import { holds, indexOf } from './conditions.ts';
import { compile, sharedDirectory } from './programs.ts';

const directory = sharedDirectory();
const program = compile('sentry-filter', directory);
const NOBODY = 65534;
const ONES = 0xffff_ffff_ffff_ffffn;
const AT_FDCWD = -100n;
const X32 = 0x4000_0000;

interface Attempt {
  readonly what: string;
  readonly line: string;
  readonly expected: string;
}

function bytesOf(filter: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(8 * filter.length);
  for (const [index, { code, jt, jf, k }] of filter.entries()) {
    bytes.writeUInt16LE(code, 8 * index);
    bytes.writeUInt8(jt, 8 * index + 2);
    bytes.writeUInt8(jf, 8 * index + 3);
    bytes.writeUInt32LE(k, 8 * index + 4);
  }
  return bytes;
}

/** What becomes of the attempts under a variant of the filter, for root or for somebody else. */
function check(variant: number, uid: number, attempts: readonly Attempt[]): void {
  const file = join(directory, `filter-${variant}`);
  writeFileSync(file, bytesOf(sentryFilter(variant)));
  const input = attempts.map(({ line }) => `${line}\n`).join('');
  const { stdout, status } = spawnSync(program, [file], { input, encoding: 'utf8', uid, gid: uid });
  assert.equal(status, 0);
  const outcomes = stdout.trimEnd().split('\n');
  assert.equal(outcomes.length, attempts.length);
  const wrong = attempts.flatMap(({ what, line, expected }, index) => {
    const outcome = outcomes[index] as string;
    const good = expected === 'allowed' ? outcome !== 'killed' : outcome === expected;
    return good ? [] : [`${what} (${line}): ${outcome}, not ${expected}`];
  });
  assert.deepEqual(wrong, []);
}

const lineOf = (nr: number, args: readonly bigint[]): string =>
  [BigInt(nr), ...args].map((value) => BigInt.asUintN(64, value).toString(16)).join(' ');

/** Arguments that are wrong for whatever is made of them; for madvise, no memory, because EINVAL means refused. */
const harmless = (name: string): bigint[] =>
  Array.from({ length: 6 }, (_, index) => (name === 'madvise' && index < 2 ? 0n : ONES));

const accepts = (entry: SyscallEntry, call: SentryCall, args: readonly bigint[]): boolean =>
  call.rules.length === 0 || call.rules.some(({ conditions }) => conditions.every((c) => holds(entry, c, args)));

/** Values of one argument near the border of what a condition says. */
function candidates(condition: Condition): bigint[] {
  if ('not' in condition) return [BigInt(condition.not), 3n, ONES];
  if ('only' in condition || 'any' in condition) {
    const bits = Array.from({ length: 33 }, (_, bit) => 1n << BigInt(bit));
    return [0n, BigInt('only' in condition ? condition.only : condition.any), ...bits, ONES];
  }
  if ('range' in condition || 'either' in condition) return [];
  return [
    ...condition.oneOf.flatMap((value) => [BigInt(value), BigInt(value) + 1n, BigInt(value) + (1n << 32n)]),
    ONES,
  ];
}

/** Each condition of a rule in turn is tried with values about its border, while the others hold. */
function attemptsOfRule(entry: SyscallEntry, call: SentryCall, { conditions }: Rule): bigint[][] {
  const good = harmless(call.name);
  for (const condition of conditions) {
    const value = candidates(condition).find((c) => holds(entry, condition, Array(6).fill(c)));
    if (value !== undefined && 'argument' in condition) good[indexOf(entry, condition.argument)] = value;
  }
  return conditions.flatMap((condition) =>
    candidates(condition).map((value) =>
      good.map((old, index) => ('argument' in condition && index === indexOf(entry, condition.argument) ? value : old)),
    ),
  );
}

function attemptsOf(call: SentryCall): Attempt[] {
  const entry = entryByName(call.name);
  const refused = call.otherwise === null ? 'killed' : `errno ${call.otherwise}`;
  if (call.rules.some(({ text }) => text === 'never'))
    return [AT_FDCWD, 3n].map((dirfd) => ({
      what: call.name,
      line: lineOf(entry.nr, [dirfd, ...harmless(call.name).slice(1)]),
      expected: refused,
    }));
  const tries = call.rules.flatMap((rule) => attemptsOfRule(entry, call, rule));
  return (tries.length === 0 ? [harmless(call.name)] : tries).map((args) => ({
    what: call.name,
    line: lineOf(entry.nr, args),
    expected: accepts(entry, call, args) ? 'allowed' : refused,
  }));
}

for (const [who, uid] of [
  ['root', 0],
  ['an ordinary user', NOBODY],
] as const) {
  test(`every rule accepts and refuses what it says, for ${who}`, () => {
    for (let variant = 0; variant < SENTRY_VARIANTS; variant++) {
      const attempts = groupsOf(variant).flatMap(({ calls }) => calls.flatMap(attemptsOf));
      for (const { name, rules } of groupsOf(variant).flatMap(({ calls }) => calls)) {
        const never = rules.some(({ text }) => text === 'never');
        assert.ok(attempts.some(({ what, expected }) => what === name && (never || expected === 'allowed')));
      }
      check(variant, uid, attempts);
    }
  });
}

test('calls that are not in the list kill, whoever makes them', () => {
  for (let variant = 0; variant < SENTRY_VARIANTS; variant++) {
    const listed = new Set(groupsOf(variant).flatMap(({ calls }) => calls.map(({ name }) => entryByName(name).nr)));
    // uretprobe and uprobe pass every filter: the kernel serves them before it asks. From elsewhere than a probe's own
    // trampoline they are a fault and ENXIO.
    const exempt = new Set([335, 336]);
    const others = Array.from({ length: SYSCALL_COUNT + 8 }, (_, nr) => nr).filter(
      (nr) => !listed.has(nr) && !exempt.has(nr),
    );
    const numbers = [...others, -1, 0x7fff_ffff, 1000, ...[...listed].map((nr) => nr | X32)];
    const attempts = numbers.map((nr) => ({
      what: `number ${nr}`,
      line: lineOf(nr, harmless('')),
      expected: 'killed',
    }));
    // By int 0x80 all numbers mean other calls: exit, read, getpid, close.
    const foreign = [1, 3, 20, 6, 231, 39].map((nr) => ({
      what: `int 0x80 ${nr}`,
      line: `i${lineOf(nr, harmless(''))}`,
      expected: 'killed',
    }));
    check(variant, 0, [...attempts, ...foreign]);
    check(variant, NOBODY, [...attempts, ...foreign]);
  }
});

test('what the addon can ask of the host is in the list', () => {
  const source = readFileSync(join(TOP, 'native/addon/host.c'), 'utf8');
  const rows = [...source.matchAll(/^ {4}\{"(\w+)", (?:SYS|NR)_(\w+),/gm)].map(([, name, call]) => ({ name, call }));
  assert.ok(rows.length > 50, `${rows.length} rows`);
  const listed = new Set(groupsOf(SENTRY_VARIANTS - 1).flatMap(({ calls }) => calls.map(({ name }) => name)));
  // Locks of the state directory: a call of the command line, which uses the addon too.
  const outside = ['flock'];
  assert.deepEqual(
    rows.filter(({ name, call }) => !listed.has(call as string) && !outside.includes(name as string)),
    [],
  );
});

test('what would lead out of the cage is not in it, in any group', () => {
  const names = [...groupsOf(SENTRY_VARIANTS - 1)].flatMap(({ calls }) => calls.map(({ name }) => name));
  const forbidden = ['execve', 'execveat', 'clone', 'clone3', 'fork', 'vfork', 'open', 'creat', 'mount', 'open_tree'];
  forbidden.push('move_mount', 'fsopen', 'pivot_root', 'chroot', 'chdir', 'setns', 'unshare', 'seccomp', 'bpf', 'kill');
  forbidden.push(
    'io_uring_setup',
    'io_uring_enter',
    'perf_event_open',
    'userfaultfd',
    'keyctl',
    'init_module',
    'prctl',
  );
  forbidden.push('name_to_handle_at', 'open_by_handle_at', 'setuid', 'setresuid', 'capset', 'pkey_mprotect', 'shmat');
  assert.deepEqual(
    names.filter((name) => forbidden.includes(name)),
    [],
  );
  assert.equal(new Set(names).size, names.length, 'no call stands in two groups');
  const usual = groupsOf(LOCK_NETWORK).flatMap(({ calls }) => calls).length;
  assert.ok(usual <= 95, `${usual} calls`);
  assert.ok(names.length <= usual + 4, `${names.length} calls where guests are traced`);
  const always = groupsOf(0).flatMap(({ calls }) => calls.map(({ name }) => name));
  for (const name of OPTIONAL_GROUPS.flatMap(({ calls }) => calls)) assert.ok(!always.includes(name.name));
});
