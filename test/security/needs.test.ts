// Both tables of host calls hold nothing that is not needed: programs that use all there is (needs.c) run while every
// call that a filter lets through is noted (host-calls.c). Each entry of the tables, each value and each bit that its
// rules allow must have been there; one that is missing has to go, or needs a program that needs it.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { OPTION_RULES } from '../../src/net/outside/options.ts';
import { OPTIONAL_GROUPS, SENTRY_GROUPS } from '../../syscall-tables/sentry.ts';
import { STUB_CALLS } from '../../syscall-tables/stub.ts';
import { ENTRIES, entryByName } from '../../syscall-tables/table.ts';
import type { Condition, Rule, SyscallEntry } from '../../syscall-tables/types.ts';
import { CLOISTER } from '../cli/cloister.ts';
import { makeBusyboxRoot } from '../cli/rootfs.ts';
import { holds, indexOf } from './conditions.ts';
import { compile, sharedDirectory } from './programs.ts';
import { descendants } from './sandbox.ts';

const TIMEOUT = 120_000;
const POKE_MS = 50;

const CONTAINER = `needs-${process.pid}`;
let states = '';
// Before the directory goes.
after(() => spawnSync(CLOISTER, ['--root', states, 'delete', '--force', CONTAINER]));
const directory = sharedDirectory();
states = join(directory, 'states');
const watcher = compile('host-calls', directory);
const program = compile('needs', directory);
const rules = join(directory, 'rules');

type Place = 'sentry' | 'stub' | 'program';

/** Something a table lets a place do. */
interface Row {
  readonly place: Place;
  readonly entry: SyscallEntry;
  readonly rules: readonly Rule[];
}

const SENTRY: readonly Row[] = [...SENTRY_GROUPS, ...OPTIONAL_GROUPS].flatMap(({ calls }) =>
  calls.map(({ name, rules }) => ({ place: 'sentry', entry: entryByName(name), rules })),
);
const GUEST: readonly Row[] = [
  ...ENTRIES.filter(({ disposition }) => disposition === 'native').map(
    (entry): Row => ({ place: 'program', entry, rules: entry.rule ? [entry.rule] : [] }),
  ),
  ...STUB_CALLS.filter(({ withoutFsgsbase }) => !withoutFsgsbase).map(
    ({ name, rule }): Row => ({ place: 'stub', entry: entryByName(name), rules: [rule] }),
  ),
];

/**
 * What no program can bring about at will, because V8 and malloc decide on it by how their threads meet and what they have
 * in hand. That they would is seen in Node's binary: it asks the C library for these functions.
 */
const BY_CHANCE: readonly (readonly [what: RegExp, symbol: string])[] = [
  [/^sentry: mmap .*: flags 0x4000$/, 'mmap'],
  [/^sentry: madvise .*: advice 0x4$/, 'madvise'],
  [/^sentry: mremap$/, 'realloc'],
  [/^sentry: (brk|openat)$/, 'malloc'],
  [/^sentry: getpid$/, 'abort'],
  [/^sentry: gettid$/, 'syscall'],
  [/^sentry: sched_yield$/, 'sched_yield'],
  [/^sentry: (clock_nanosleep|restart_syscall)$/, 'nanosleep'],
  [/^sentry: sched_get(param|scheduler)$/, 'pthread_getschedparam'],
];

interface Seen {
  readonly place: string;
  readonly nr: number;
  readonly args: readonly bigint[];
}

/** Calls seen, by place and number. */
const seen = new Map<string, Seen[]>();

const alternatives = (condition: Condition): readonly Condition[] =>
  'either' in condition ? condition.either.flatMap(alternatives) : [condition];

/** Which arguments of which calls the rules look at, for the watcher. */
function interests(): string {
  const masks = new Map<number, number>();
  for (const { entry, rules } of [...SENTRY, ...GUEST]) {
    let mask = masks.get(entry.nr) ?? 0;
    for (const { conditions } of rules)
      for (const condition of conditions.flatMap(alternatives))
        if ('argument' in condition && !('not' in condition) && condition.argument !== '')
          mask |= 1 << indexOf(entry, condition.argument);
    masks.set(entry.nr, mask);
  }
  return [...masks].map(([nr, mask]) => `${nr} ${mask}\n`).join('');
}

let runs = 0;

/** Runs a command under the watcher; what was seen is added. */
async function watch(
  options: readonly string[],
  command: readonly string[],
  input = '',
  meanwhile: (pid: number) => void = () => {},
): Promise<void> {
  const output = join(directory, `seen-${++runs}`);
  const child = spawn(watcher, [...options, rules, output, ...command], { stdio: ['pipe', 'pipe', 'pipe'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT);
  const work = setInterval(() => meanwhile(child.pid as number), POKE_MS);
  let errors = '';
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  child.stdout.resume();
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const status = await new Promise((resolve) => child.on('close', (code, signal) => resolve(code ?? signal)));
  clearTimeout(timer);
  clearInterval(work);
  // Under ptrace a guest that is stopped on the host while it is made to make a call is killed.
  const died = meanwhile === poke && status === 137;
  assert.ok(status === 0 || died, `${status}: ${command.join(' ')}\n${errors}`);
  for (const line of readFileSync(output, 'latin1').trim().split('\n')) {
    const [place, nr, ...args] = line.split(' ') as [string, string, ...string[]];
    const key = `${place} ${Number.parseInt(nr, 16)}`;
    const calls = seen.get(key) ?? [];
    calls.push({ place, nr: Number.parseInt(nr, 16), args: args.map((arg) => BigInt(`0x${arg}`)) });
    seen.set(key, calls);
  }
}

/** What of a row nobody needed: the call itself, or values and bits that a rule allows. */
function unneeded({ place, entry, rules }: Row): string[] {
  const calls = seen.get(`${place} ${entry.nr}`) ?? [];
  const name = `${place}: ${entry.name}`;
  if (calls.length === 0) return [name];
  return rules.flatMap(({ conditions, text }) => {
    if (text === 'never') return [];
    const right = calls.filter(({ args }) => conditions.every((condition) => holds(entry, condition, args)));
    if (right.length === 0) return [`${name} ${text}`];
    return conditions.flatMap((condition) => {
      if ('either' in condition) {
        const unused = condition.either.filter((one) => !right.some(({ args }) => holds(entry, one, args)));
        return unused.map((one) => `${name} ${text}: ${JSON.stringify(one)}`);
      }
      if ('range' in condition || 'not' in condition || 'any' in condition) return [];
      const index = indexOf(entry, condition.argument);
      const values = right.map(({ args }) => Number(BigInt.asUintN(32, args[index] as bigint)));
      const label = (value: number) => `${name} ${text}: ${condition.argument} 0x${(value >>> 0).toString(16)}`;
      if ('oneOf' in condition) {
        const mask = condition.mask ?? -1;
        return condition.oneOf.filter((one) => !values.some((v) => (v & mask) === (one & mask))).map(label);
      }
      const bits = Array.from({ length: 32 }, (_, bit) => 1 << bit).filter((bit) => condition.only & bit);
      return bits.filter((bit) => !values.some((value) => value & bit)).map(label);
    });
  });
}

/** Stops the sentry and the guests on the host, and lets them go on. */
function poke(watcherPid: number): void {
  const pids = descendants(watcherPid).flatMap(({ pid, name }) => (/^(node|memfd)/.test(name) ? [pid] : []));
  for (const signal of ['SIGSTOP', 'SIGCONT'] as const) {
    for (const pid of pids) {
      try {
        process.kill(pid, signal);
      } catch {
        // It has ended.
      }
    }
  }
}

/** In a network of its own, in which there is nobody else. */
const offline = (command: readonly string[]): string[] => [
  ...[
    'unshare',
    '-n',
    'sh',
    '-c',
    'ip link set lo up && ip route add 192.0.2.0/24 dev lo && ip route add 2001:db8::/32 dev lo && exec "$@"',
    'sh',
  ],
  ...command,
];

/** By an ordinary user whose pipes are somebody else's, so that the launcher cannot open them anew. */
const strangers = (command: readonly string[]): string[] => [
  ...['sh', '-c', 'echo input | setpriv --reuid=65534 --regid=65534 --clear-groups "$@" | cat', 'sh'],
  ...command,
];

before(async () => {
  writeFileSync(rules, interests());
  const files = join(directory, 'files');
  mkdirSync(files);
  const options = OPTION_RULES.flatMap(({ level, names }) => names.map((name) => `${level}:${name}`));
  const here = ['--bind', `${directory}:${directory}:ro`];
  const cloister = (...args: string[]): string[] => [CLOISTER, 'do', ...here, ...args];
  await Promise.all([
    watch(['-g'], cloister('--', program, 'memory', 'traced-memory', 'inherited'), 'input'),
    watch(
      ['-v'],
      cloister('--bind', `${files}:/mnt`, '--spin', 'off', '--', program, 'files', '/mnt', 'runtime', 'stopped'),
    ),
    watch(['-t'], cloister('--', program)),
    watch([], strangers(cloister('--', program, 'inherited'))),
    watch([], offline(cloister('--network', 'host', '--', program, 'network', ...options))),
    watch(['-s'], cloister('--', program, 'runtime', 'objects')),
    watch([], cloister('--platform', 'ptrace', '--', program, 'mapped'), '', poke),
    watch([], ['sh', '-c', container()]),
  ]);
});

/** The life of a container with a program that is executed in it, as a shell script. */
function container(): string {
  const bundle = join(directory, 'bundle');
  mkdirSync(join(bundle, 'rootfs'), { recursive: true });
  makeBusyboxRoot(join(bundle, 'rootfs'));
  const config = {
    ociVersion: '1.2.0',
    root: { path: 'rootfs' },
    process: { args: ['sleep', '1000'], cwd: '/', env: ['PATH=/bin'] },
    linux: { namespaces: ['mount', 'pid', 'network', 'uts', 'ipc'].map((type) => ({ type })) },
  };
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
  const verb = `${CLOISTER} --root ${states}`;
  return `cd ${bundle} && ${verb} create ${CONTAINER} </dev/null >/dev/null 2>&1 && ${verb} start ${CONTAINER} && ${verb} exec ${CONTAINER} true
    status=$?; ${verb} delete --force ${CONTAINER}; exit $status`;
}

test("every entry of the sentry's table is needed", () => {
  const binary = readFileSync(process.execPath);
  for (const [, symbol] of BY_CHANCE) assert.ok(binary.includes(`${symbol}\0`), symbol);
  const missing = SENTRY.flatMap(unneeded);
  assert.deepEqual(
    missing.filter((what) => !BY_CHANCE.some(([pattern]) => pattern.test(what))),
    [],
  );
});

test("every entry of the guests' table is needed", () => {
  assert.deepEqual(GUEST.flatMap(unneeded), []);
});
