// The table is complete, names what the kernel names, and parses only what it should.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterHeader, planHeader } from '../../syscall-tables/generate.ts';
import {
  copyPlan,
  PLAN_CONSTANT,
  PLAN_COUNTED,
  PLAN_IOVEC,
  PLAN_ITEMS,
  PLAN_STRING,
  planOf,
} from '../../syscall-tables/plan.ts';
import {
  checkHandlers,
  DECODE,
  ENTRIES,
  entryByName,
  NUMBERS,
  SYSCALL_COUNT,
  TABLE,
} from '../../syscall-tables/table.ts';
import {
  type ArgumentSpec,
  DECODE_NONE,
  DECODE_S32,
  DECODE_S64,
  DECODE_U32,
  DECODE_U64,
  needsHandler,
  parseArgument,
  STRUCT_SIZES,
} from '../../syscall-tables/types.ts';
import { macros, valuesOf } from '../abi/headers.ts';

test('numbers and names are those of the headers', () => {
  const expressions = Object.fromEntries(ENTRIES.map(({ name }) => [name, `SYS_${name}`]));
  for (const [name, nr] of valuesOf(expressions, true)) assert.equal(NUMBERS.get(name), nr, name);
});

test('every number of the headers is in the table', () => {
  const defined = macros().match(/^#define __NR_\w+ \d+$/gm) ?? [];
  assert.ok(defined.length > 300);
  for (const line of defined) {
    const [, name, nr] = /__NR_(\w+) (\d+)/.exec(line) as unknown as [string, string, string];
    assert.equal(TABLE[Number(nr)]?.name, name);
  }
});

test('there is no hole but the one that Linux left', () => {
  for (let nr = 0; nr < SYSCALL_COUNT; nr++) assert.equal(TABLE[nr] === undefined, nr > 336 && nr < 424, String(nr));
  assert.equal(SYSCALL_COUNT, 470);
});

test('arguments that are misspelt are refused at run time too', () => {
  const parse = (spec: string): unknown => parseArgument('x', spec as ArgumentSpec, ['x', 'count']);
  for (const spec of [
    'fdd',
    'flags(opn)',
    'in(statt)',
    'buf-in(cnt)',
    'buf-in',
    'array-in(pollfd)',
    'value(open)',
    'fd(count)',
    'out(stat, count)extra',
    '',
    'buf-in(count, count)',
  ]) {
    assert.throws(() => parse(spec), /bad argument x/, spec);
  }
  assert.deepEqual(parse('array-out(pollfd, count)'), {
    name: 'x',
    spec: 'array-out(pollfd, count)',
    kind: 'array-out',
    decode: DECODE_U64,
    struct: 'pollfd',
    set: null,
    length: 1,
  });
});

test('arguments are decoded by their type', () => {
  const decode = (name: string): number[] =>
    Array.from(DECODE.subarray(entryByName(name).nr * 6, entryByName(name).nr * 6 + 6));
  assert.deepEqual(decode('pread64'), [DECODE_S32, DECODE_U64, DECODE_U64, DECODE_S64, DECODE_NONE, DECODE_NONE]);
  assert.deepEqual(decode('openat'), [DECODE_S32, DECODE_U64, DECODE_U32, DECODE_U32, DECODE_NONE, DECODE_NONE]);
  assert.deepEqual(decode('fcntl').slice(0, 3), [DECODE_S32, DECODE_S32, DECODE_S64]);
  assert.deepEqual(decode('getpid'), [0, 0, 0, 0, 0, 0]);
});

test('what is refused says why', () => {
  for (const { name, disposition, note } of ENTRIES) {
    if (disposition === 'enosys' || disposition === 'eperm') assert.notEqual(note, '', name);
  }
});

test('handlers are checked in both directions', () => {
  const all = Object.fromEntries(ENTRIES.filter(needsHandler).map(({ name }) => [name, () => 0]));
  checkHandlers(all);
  assert.throws(() => checkHandlers({ ...all, acct: () => 0 }), /without an entry: acct/);
  const { read: _, ...withoutRead } = all;
  assert.throws(() => checkHandlers(withoutRead), /without a handler: read/);
  assert.ok(!('brk' in all) && !('sched_yield' in all), 'native without conditions needs no handler');
  assert.ok('mmap' in all && 'futex' in all);
});

test('the copy plan captures what goes in', () => {
  const plan = (name: string): number[][] =>
    planOf(entryByName(name)).map((item) => [item.kind, item.argument, item.lengthArgument, item.size]);
  assert.deepEqual(plan('write'), [[PLAN_COUNTED, 1, 2, 1]]);
  assert.deepEqual(plan('read'), []);
  assert.deepEqual(plan('openat'), [[PLAN_STRING, 1, 0, 4096]]);
  assert.deepEqual(plan('writev'), [[PLAN_IOVEC, 1, 2, 16]]);
  assert.deepEqual(plan('readv'), [[PLAN_COUNTED, 1, 2, 16]]);
  assert.deepEqual(plan('rt_sigaction'), [[PLAN_CONSTANT, 1, 0, 32]]);
  assert.deepEqual(plan('poll'), [[PLAN_COUNTED, 0, 1, 8]]);
  assert.deepEqual(plan('clone3'), [[PLAN_COUNTED, 0, 1, 1]]);
  assert.deepEqual(plan('swapon'), [], 'a refused call is not looked at');
  for (const { items } of copyPlan()) {
    assert.ok(items.length <= PLAN_ITEMS);
    for (const item of items)
      assert.ok(item.argument < 6 && item.lengthArgument < 6 && item.maxItems < 256 && item.size > 0);
  }
});

test('the sizes of structs are those of the headers', () => {
  const types: Partial<Record<keyof typeof STRUCT_SIZES, string>> = {
    clone_args: 'struct clone_args',
    epoll_event: 'struct epoll_event',
    fd_set: 'fd_set',
    flock: 'struct flock',
    itimerspec: 'struct itimerspec',
    itimerval: 'struct itimerval',
    msghdr: 'struct msghdr',
    open_how: 'struct open_how',
    pollfd: 'struct pollfd',
    rlimit: 'struct rlimit',
    robust_list_head: 'struct robust_list_head',
    rusage: 'struct rusage',
    sched_param: 'struct sched_param',
    sigaltstack: 'stack_t',
    sigevent: 'struct sigevent',
    siginfo: 'siginfo_t',
    stat: 'struct stat',
    statfs: 'struct statfs',
    statx: 'struct statx',
    sysinfo: 'struct sysinfo',
    timespec: 'struct timespec',
    timeval: 'struct timeval',
    timezone: 'struct timezone',
    tms: 'struct tms',
    utsname: 'struct utsname',
  };
  const expressions = Object.fromEntries(Object.entries(types).map(([name, type]) => [name, `sizeof(${type})`]));
  for (const [name, size] of valuesOf(expressions, false))
    assert.equal(STRUCT_SIZES[name as keyof typeof STRUCT_SIZES], size, name);
});

test('the generated headers are C', () => {
  assert.match(planHeader(), /#define PLAN_COUNT 470\n/);
  assert.match(planHeader(), / \[1\] = \{\{\{3, 1, 2, 0, 1\}\}\}, \/\/ write\n/);
  assert.match(filterHeader(), /static const struct sock_filter GUEST_FILTER\[\] = \{\n {4}\{0x20, 0, 0, 0x4\},\n/);
});
