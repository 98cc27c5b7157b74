// The same hostile programs in the same container under other runtimes, as far as they are installed: `npm run
// compare:security` prints a table in Markdown. Root is the container's user, with docker's capabilities and runc's masked
// paths, without a seccomp profile: what is compared is the runtime's own wall. An observer on the host decides where a program
// cannot know.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CLOISTER } from '../cli/cloister.ts';
import { makeBusyboxRoot } from '../cli/rootfs.ts';

const RUNTIMES: Readonly<Record<string, readonly string[]>> = {
  cloister: [CLOISTER],
  runc: ['runc'],
  runsc: ['runsc', '--network=none', '--ignore-cgroups'],
};
const CAPABILITIES =
  'CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE'
    .split(' ')
    .map((name) => `CAP_${name}`);
const SETS = ['bounding', 'effective', 'permitted'];
const MASKED = ['acpi', 'kcore', 'keys', 'latency_stats', 'timer_list', 'timer_stats', 'sched_debug', 'scsi'];
const READONLY = ['bus', 'fs', 'irq', 'sys', 'sysrq-trigger'];
const TOKEN = `secret-${process.pid}`;
/** More open files than the host's own programs come and go with. */
const MANY_FILES = 15_000;
const KERNEL = ['release', 'boot', 'command line', 'modules', 'log'];
const RARE = ['io_uring', 'bpf', 'userfaultfd', 'perf_event_open'];

const scratch = mkdtempSync(join(tmpdir(), 'cloister-compare-'));
chmodSync(scratch, 0o755);
const rootfs = join(scratch, 'bundle/rootfs');
const secret = join(scratch, 'secret');

function prepare(): void {
  mkdirSync(rootfs, { recursive: true });
  makeBusyboxRoot(rootfs);
  for (const name of ['work', 'planted', 'guard']) mkdirSync(join(rootfs, name));
  chmodSync(join(rootfs, 'work'), 0o777);
  writeFileSync(secret, `${TOKEN}\n`);
  writeFileSync(join(rootfs, 'guard/guarded'), 'x'.repeat(4096));
  for (const [name, target] of [
    ['absolute', secret],
    ['relative', '../../../secret'],
  ])
    symlinkSync(target as string, join(rootfs, 'planted', name as string));
  for (const name of ['escape', 'known', 'surface']) {
    const flags = ['-O1', '-static', '-pthread', join(import.meta.dirname, `${name}.c`), '-o', join(scratch, name)];
    execFileSync('cc', flags);
    copyFileSync(join(scratch, name), join(rootfs, 'bin', name));
  }
}

let count = 0;

/** Starts a program in a container; its streams are pipes. */
function start(runtime: readonly string[], args: readonly string[]): ChildProcess {
  const config = {
    ociVersion: '1.0.2',
    root: { path: 'rootfs' },
    process: {
      args,
      cwd: '/',
      env: ['PATH=/bin'],
      user: { uid: 0, gid: 0 },
      noNewPrivileges: true,
      capabilities: Object.fromEntries(SETS.map((set) => [set, CAPABILITIES])),
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1024, hard: 20_000 }],
    },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['mode=755'] },
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['ro'] },
    ],
    linux: {
      cgroupsPath: `/cloister-compare-${process.pid}-${count}`,
      namespaces: ['mount', 'pid', 'network', 'uts', 'ipc'].map((type) => ({ type })),
      maskedPaths: MASKED.map((name) => `/proc/${name}`),
      readonlyPaths: READONLY.map((name) => `/proc/${name}`),
    },
  };
  writeFileSync(join(scratch, 'bundle/config.json'), JSON.stringify(config));
  const [command, ...options] = runtime as [string, ...string[]];
  const id = `compare-${process.pid}-${count++}`;
  const run = [...options, '--root', join(scratch, 'states'), 'run', '--bundle', join(scratch, 'bundle'), id];
  return spawn(command, run, { stdio: 'pipe' });
}

/** What a program prints until it ends, or until a line of its own. */
async function said(child: ChildProcess, until?: string): Promise<string> {
  let text = '';
  let ended = false;
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('latin1').on('data', (data: string) => {
      text += data;
    });
  }
  child.on('close', () => {
    ended = true;
  });
  const end = Date.now() + 300_000;
  while (!ended && Date.now() < end && !(until && text.includes(until))) await sleep(50);
  if (!until) child.kill('SIGKILL');
  return text;
}

const openFiles = (): number => Number.parseInt(readFileSync('/proc/sys/fs/file-nr', 'latin1'), 10);

function field(text: string, name: string): string {
  return new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1] ?? '';
}

/** The cells of one runtime's column, by what was tried. */
async function tryAll(name: string, runtime: readonly string[], host: string): Promise<Record<string, string>> {
  const cells: Record<string, string> = {};
  const named = await said(start(runtime, ['escape', secret, TOKEN, '1']));
  const tricks = /^(\d+) tricks$/m.exec(named)?.[1];
  const found = new Set(named.match(/^ESCAPED: [^(]*/gm));
  cells['files outside of the root'] = found.size > 0 ? [...found].join(', ') : tricks ? `held` : 'did not run';

  const known = await said(start(runtime, ['sh', '-c', 'known /guard; echo status $?']));
  const got = new Set(
    [...known.matchAll(/^ESCAPED: (.*)$|^(a socket of family \d+|descriptor .*)$/gm)].map(([all]) => all),
  );
  const status = /^status (\d+)$/m.exec(known)?.[1];
  cells['escapes that are known by name'] = !/^held$/m.test(known)
    ? status === undefined
      ? 'did not run'
      : `the program ended (status ${status})`
    : got.size === 0
      ? 'held'
      : [...got].join(', ');

  const before = openFiles();
  const child = start(runtime, ['surface', `${TOKEN}-${name}`]);
  const surface = await said(child, '\nready\n');
  if (!/^ready$/m.test(surface)) return { ...cells, error: surface.slice(-500) };
  const same = KERNEL.filter((what) => field(host, what) !== '' && field(surface, what) === field(host, what));
  cells["the host's kernel is seen"] = same.join(', ') || 'no';
  cells['rarer calls are there'] = RARE.filter((what) => surface.includes(`${what}: yes`)).join(', ') || 'no';
  const keys = execFileSync('cat', ['/proc/keys'], { encoding: 'latin1' });
  cells['keys are kept by it'] = keys.includes(`${TOKEN}-${name}: `) ? 'yes' : 'no';
  cells['open files are counted by it'] = openFiles() - before > MANY_FILES ? 'yes' : 'no';
  child.stdin?.end('\n');
  await said(child);
  return cells;
}

try {
  prepare();
  const host = spawnSync(join(scratch, 'surface'), [`${TOKEN}-host`], { encoding: 'latin1', input: '\n' }).stdout;
  const columns: Record<string, Record<string, string>> = {};
  for (const [name, runtime] of Object.entries(RUNTIMES)) {
    const [command] = runtime as [string];
    if (spawnSync(command, ['--version']).error) continue;
    columns[name] = await tryAll(name, runtime, host);
  }
  const names = Object.keys(columns);
  const rows = new Set(names.flatMap((name) => Object.keys(columns[name] ?? {})));
  console.log(`| | ${names.join(' | ')} |\n|---|${'---|'.repeat(names.length)}`);
  for (const row of rows) console.log(`| ${row} | ${names.map((name) => columns[name]?.[row] ?? '').join(' | ')} |`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
