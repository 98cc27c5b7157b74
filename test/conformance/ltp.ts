// npm run conformance:ltp: the Linux Test Project's system call tests in sandboxes, beside a native run. LTP is not part
// of this repository; it is built and installed elsewhere (./configure --prefix=DIR && make && make install).
//
//   npm run conformance:ltp -- --ltp DIR [--native FILE] [--shards N] [--jobs N] [--timeout S] [--logs DIR]
//     [--root overlay|bind|tmpfs] [NAME…]
//
// Every shard of the tests has a sandbox of its own, so that one that dies or hangs costs no more than its shard. The
// result goes to ltp.tsv beside this file: test, native status, sandbox status, and for a known difference the reason
// that ltp-reasons.tsv gives (its first column is a test's name, or the beginning of names followed by `*`). A run of
// some tests changes their rows only.
//
// The tests work in /tmp, that is, on the overlay over the machine's own root. With --root they work on a directory of the
// host that is bound into the sandbox, or on a tmpfs, inside and outside. Of these runs only tests that make themselves a
// working directory count; their rows are called `test@bind` and `test@tmpfs`.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const CLOISTER = join(import.meta.dirname, '../../bin/cloister');
const RUNNER = join(import.meta.dirname, 'ltp-run.sh');
const TABLE = join(import.meta.dirname, 'ltp.tsv');
const REASONS = join(import.meta.dirname, 'ltp-reasons.tsv');
/** A shard may take this long for each of its tests on average, but never less than the floor. */
const SHARD_SECONDS_PER_TEST = 6;
const SHARD_SECONDS_FLOOR = 120;

// LTP's exit statuses are bits: 1 failed, 2 broken, 4 warned, 32 not for this configuration. 124 and 137 are timeout(1)'s.
const TIMED_OUT: readonly number[] = [124, 137];
const NOT_CONFIGURED = 32;
const WARNED = 4;
const NOT_FOUND = 127;

interface Test {
  readonly name: string;
  readonly command: string;
}

interface Options {
  readonly ltp: string;
  readonly shards: number;
  readonly jobs: number;
  readonly timeout: number;
  readonly logs: string;
  readonly place: Place;
}

/** What kind of filesystem the tests work on. */
const PLACES = ['overlay', 'bind', 'tmpfs'] as const;
type Place = (typeof PLACES)[number];
/** Where that is inside the sandbox, unless it is the root. */
const PLACE = '/ltp-place';
/** What LTP says when it has made a test's working directory. */
const HAS_DIRECTORY = 'as tmpdir (';

type Results = Map<string, string>;

/** The tests of LTP's runtest/syscalls. */
function readTests(ltp: string): Test[] {
  const lines = readFileSync(join(ltp, 'runtest/syscalls'), 'utf8').split('\n');
  return lines.flatMap((line) => {
    const match = /^([^#\s]\S*)\s+(.+)$/.exec(line);
    return match ? [{ name: match[1], command: match[2] }] : [];
  });
}

/** What a test's exit status and output say, in one word. */
function judge(status: number, log: string): string {
  if (TIMED_OUT.includes(status)) return 'TIMEOUT';
  if (status === NOT_FOUND) return 'MISSING';
  if (log.includes('TFAIL')) return 'FAIL';
  if (log.includes('TBROK')) return 'BROK';
  if (status === NOT_CONFIGURED || (log.includes('TCONF') && !log.includes('TPASS'))) return 'CONF';
  if (status === WARNED) return 'WARN';
  return status === 0 ? 'PASS' : 'FAIL';
}

/** Runs a command to its end or for `seconds`; its output goes to a file. */
function run(command: string, args: readonly string[], seconds: number): Promise<void> {
  return new Promise((done, failed) => {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000);
    child.on('error', failed);
    child.on('exit', () => {
      clearTimeout(timer);
      done();
    });
  });
}

/** The command that runs a shard where `--root` says, with `directory` for what comes of it. */
function shardCommand(options: Options, inSandbox: boolean, directory: string): [string, string[]] {
  const place = inSandbox ? PLACE : join(directory, 'place');
  const runner = [RUNNER, join(directory, 'tests'), directory, String(options.timeout)];
  const onTmpfs = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs ltp "$TMPDIR" && exec sh "$@"', 'sh', ...runner];
  const command = options.place === 'tmpfs' ? onTmpfs : ['sh', ...runner];
  const env = [`LTPROOT=${options.ltp}`, ...(options.place === 'overlay' ? [] : [`TMPDIR=${place}`])];
  if (options.place !== 'overlay') mkdirSync(join(directory, 'place'), { recursive: true });
  if (!inSandbox) return ['env', [...env, ...command]];
  const binds = [`${directory}:${directory}`, ...(options.place === 'overlay' ? [] : [`${directory}/place:${PLACE}`])];
  const sandbox = ['do', ...binds.flatMap((bind) => ['--bind', bind]), ...env.flatMap((text) => ['--env', text])];
  return [CLOISTER, [...sandbox, '--', ...command]];
}

async function runShard(options: Options, tests: readonly Test[], inSandbox: boolean, index: number): Promise<Results> {
  const directory = join(options.logs, `${inSandbox ? 'sandbox' : 'native'}-${index}`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'tests'), tests.map(({ name, command }) => `${name} ${command}\n`).join(''));
  const seconds = Math.max(SHARD_SECONDS_FLOOR, tests.length * SHARD_SECONDS_PER_TEST);
  await run(...shardCommand(options, inSandbox, directory), seconds);
  return readResults(options.place, directory, tests, inSandbox);
}

/**
 * Statuses by row. A test without a line did not come to its end: the sandbox was gone by then. Where only tests that work
 * in a directory count, a native run leaves others out.
 */
function readResults(place: Place, directory: string, tests: readonly Test[], inSandbox: boolean): Results {
  const results: Results = new Map(tests.map(({ name }) => [rowOf(place, name), 'LOST']));
  const file = join(directory, 'results.tsv');
  if (!existsSync(file)) return results;
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [name, status] = line.split('\t');
    if (!name || status === undefined) continue;
    const log = readFileSync(join(directory, `${name}.log`), 'latin1');
    if (inSandbox || place === 'overlay' || log.includes(HAS_DIRECTORY)) {
      results.set(rowOf(place, name), judge(Number(status), log));
    } else results.delete(rowOf(place, name));
  }
  return results;
}

/** What a test is called in the table. */
const rowOf = (place: Place, name: string): string => (place === 'overlay' ? name : `${name}@${place}`);

/** Neighbours in the list are alike: dealing them out makes the shards equally long. */
async function runAll(options: Options, tests: readonly Test[], inSandbox: boolean): Promise<Results> {
  const results: Results = new Map();
  const count = Math.min(options.shards, tests.length);
  let next = 0;
  async function work(): Promise<void> {
    while (next < count) {
      const index = next++;
      const shard = tests.filter((_, i) => i % count === index);
      for (const [name, status] of await runShard(options, shard, inSandbox, index)) results.set(name, status);
      process.stderr.write(`${inSandbox ? 'sandbox' : 'native'}: shard ${index + 1} of ${count} done\n`);
    }
  }
  await Promise.all(Array.from({ length: options.jobs }, work));
  return results;
}

function readTable(file: string): Results {
  const rows = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(rows.map((row) => [row.split('\t')[0], row.split('\t')[1]]));
}

/** The reason for a row's difference: that for the row, that for the test, or the longest pattern that fits. */
function reasonFor(row: string, reasons: Results): string {
  const name = row.replace(/@.*/, '');
  const exact = reasons.get(row) ?? reasons.get(name);
  if (exact !== undefined) return exact;
  let best = '';
  for (const pattern of reasons.keys()) {
    if (pattern.endsWith('*') && name.startsWith(pattern.slice(0, -1)) && pattern.length > best.length) best = pattern;
  }
  return reasons.get(best) ?? '';
}

/** `clone301` and `fcntl14_64` belong to `clone3` and `fcntl`: the name without its running number. */
function family(name: string): string {
  return (
    name
      .replace(/@.*/, '')
      .replace(/_(16|64)$/, '')
      .replace(/_?\d\d\w?$/, '') || name
  );
}

function report(names: readonly string[], native: Results, sandbox: Results, reasons: Results): void {
  const families = new Map<string, { total: number; passed: number; open: string[] }>();
  let total = 0;
  let passed = 0;
  let explained = 0;
  for (const name of names) {
    if (native.get(name) !== 'PASS') continue;
    const row = families.get(family(name)) ?? { total: 0, passed: 0, open: [] };
    families.set(family(name), row);
    total++;
    row.total++;
    if (sandbox.get(name) === 'PASS') {
      passed++;
      row.passed++;
    } else {
      const reason = reasonFor(name, reasons);
      if (reason !== '') explained++;
      row.open.push(`${name} ${sandbox.get(name)}${reason === '' ? '' : ` (${reason})`}`);
    }
  }
  for (const [name, row] of families) {
    if (row.passed === row.total) continue;
    process.stdout.write(`${name}: ${row.passed} of ${row.total}\n`);
    for (const text of row.open) process.stdout.write(`    ${text}\n`);
  }
  process.stdout.write(
    `${passed} of ${total} tests that pass natively pass in the sandbox; ` +
      `of the other ${total - passed}, ${explained} have a known reason\n`,
  );
}

/** Writes the rows of a run; those of other tests and places stay. */
function writeTable(all: readonly Test[], native: Results, sandbox: Results, reasons: Results): void {
  const before = existsSync(TABLE) ? readFileSync(TABLE, 'utf8').split('\n') : [];
  const old = new Map(before.map((row) => [row.split('\t')[0], row]));
  const names = PLACES.flatMap((place) => all.map(({ name }) => rowOf(place, name)));
  const rows = names.map((name) => {
    const known = old.get(name);
    if (!sandbox.has(name)) return known === undefined ? '' : `${known}\n`;
    const outside = native.get(name) ?? 'UNKNOWN';
    const inside = sandbox.get(name) ?? 'LOST';
    const reason = outside === 'PASS' && inside !== 'PASS' ? reasonFor(name, reasons) : '';
    return `${name}\t${outside}\t${inside}\t${reason}\n`;
  });
  writeFileSync(TABLE, `# test\tnative\tsandbox\treason for a known difference\n${rows.join('')}`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ltp: { type: 'string' },
      native: { type: 'string' },
      shards: { type: 'string', default: '6' },
      jobs: { type: 'string', default: '1' },
      timeout: { type: 'string', default: '15' },
      logs: { type: 'string' },
      root: { type: 'string', default: 'overlay' },
    },
  });
  if (values.ltp === undefined || !existsSync(join(values.ltp, 'runtest/syscalls'))) {
    throw new Error('--ltp must name a directory where LTP is installed (with runtest/syscalls in it)');
  }
  const place = PLACES.find((known) => known === values.root);
  if (place === undefined) throw new Error(`--root is one of ${PLACES.join(', ')}`);
  const logs = values.logs === undefined ? mkdtempSync(join(tmpdir(), 'ltp-')) : resolve(values.logs);
  const options: Options = {
    ltp: resolve(values.ltp),
    shards: Number(values.shards),
    jobs: Number(values.jobs),
    timeout: Number(values.timeout),
    logs,
    place,
  };
  const all = readTests(options.ltp);
  const tests = positionals.length === 0 ? all : all.filter(({ name }) => positionals.includes(name));
  const native = values.native === undefined ? await runAll(options, tests, false) : readTable(values.native);
  const counted = place === 'overlay' ? tests : tests.filter(({ name }) => native.has(rowOf(place, name)));
  const sandbox = await runAll(options, counted, true);
  const reasons = existsSync(REASONS) ? readTable(REASONS) : new Map<string, string>();
  report([...sandbox.keys()], native, sandbox, reasons);
  writeTable(all, native, sandbox, reasons);
  if (values.logs === undefined) rmSync(logs, { recursive: true, force: true });
}

await main();
