// Python's own tests of its operating system modules, natively and in the sandbox, compared test by test. Run as a
// program (npm run test:python [MODULE…]) it does whole modules and prints the differences; python-suite.test.ts runs
// what is quick of them.

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CLOISTER } from '../cli/cloister.ts';
import { needPackages } from './packages.ts';

/** All modules that are compared; the longest takes a minute. */
const MODULES = [
  'test_os',
  'test_pipes',
  'test_subprocess',
  'test_signal',
  'test_threading',
  'test_mmap',
  'test_tempfile',
  'test_shutil',
  'test_epoll',
  'test_selectors',
  'test_posix',
  'test_fcntl',
  'test_pty',
  'test_fork1',
  'test_wait3',
  'test_wait4',
  'test_poll',
  'test_select',
  'test_eintr',
  'test_faulthandler',
  'test_ioctl',
  'test_resource',
  'test_fileio',
  'test_io',
  'test_pathlib',
  'test_mailbox',
  'test_socket',
  'test_asyncio',
  'test_ssl',
  'test_httplib',
  'test_httpservers',
  'test_urllib',
  'test_urllib2_localnet',
  'test_ftplib',
  'test_smtplib',
  'test_poplib',
  'test_imaplib',
  'test_xmlrpc',
  'test_multiprocessing_fork',
  'test_concurrent_futures',
];

/** What is known to differ, and why. */
const KNOWN_DIFFERENCES: Readonly<Record<string, string>> = {
  'test.test_fcntl.TestFcntl.test_fcntl_64_bit': 'F_NOTIFY (dnotify, before inotify) is not implemented',
};

export const PYTHON_PACKAGES = ['python3', 'libpython3.11-testsuite'];
const PATIENCE = 400_000;

export interface Comparison {
  /** How many tests ran natively. */
  readonly tests: number;
  /** One line for each test whose outcome inside is not the native one. */
  readonly differences: readonly string[];
}

/** Outcome of each test by its name: completed, skipped, failure or error; null when the run gave none. */
type Outcomes = ReadonlyMap<string, string> | null;

/** The report goes to standard output: a file in the sandbox ends with it. */
const SCRIPT = '/usr/bin/python3 -m test --junit-xml report.xml "$@" >log 2>&1; cat report.xml';

function run(prefix: readonly string[], args: readonly string[]): Promise<Outcomes> {
  const cwd = mkdtempSync(join(tmpdir(), 'cloister-python-'));
  const [program, ...rest] = [...prefix, 'sh', '-c', SCRIPT, 'sh', ...args];
  const options = {
    cwd,
    timeout: PATIENCE,
    killSignal: 'SIGKILL',
    maxBuffer: 64 << 20,
    env: { PATH: process.env.PATH, HOME: '/root', LC_ALL: 'C.UTF-8', TERM: 'dumb' },
  } as const;
  return new Promise((resolve) => {
    execFile(program, rest, options, (_error, stdout) => {
      rmSync(cwd, { recursive: true });
      resolve(parseReport(stdout));
    });
  });
}

/** Runs `python3 -m test` with these arguments natively and in a sandbox, side by side: most tests only wait. */
export async function compare(args: readonly string[]): Promise<Comparison> {
  const [native, inside] = await Promise.all([run([], args), run([CLOISTER, 'do', '--'], args)]);
  return { tests: native?.size ?? 0, differences: differences(native, inside) };
}

const CASE = /<testcase name="([^"]*)" status="run" result="([a-z]*)"[^>]*?(?:\/>|>(?:<(failure|error)?)?)/g;

function parseReport(report: string): Outcomes {
  const outcomes = new Map<string, string>();
  for (const [, name, result, trouble] of report.matchAll(CASE)) outcomes.set(name, trouble ?? result);
  return outcomes.size > 0 ? outcomes : null;
}

function differences(native: Outcomes, inside: Outcomes): string[] {
  if (native === null) return [];
  if (inside === null) return ['the run in the sandbox gave no report'];
  const lines: string[] = [];
  for (const [name, outcome] of native) {
    const other = inside.get(name) ?? 'missing';
    const reason = KNOWN_DIFFERENCES[name];
    if (other !== outcome) lines.push(`${name}: natively ${outcome}, inside ${other}${reason ? ` (${reason})` : ''}`);
  }
  return lines;
}

/** Whether a line of `differences` is one of KNOWN_DIFFERENCES. */
export function isKnown(line: string): boolean {
  return Object.keys(KNOWN_DIFFERENCES).some((name) => line.startsWith(`${name}:`));
}

async function main(names: readonly string[]): Promise<void> {
  const reason = needPackages(...PYTHON_PACKAGES);
  if (reason) throw new Error(reason);
  for (const module of names.length > 0 ? names : MODULES) {
    const { tests, differences: lines } = await compare([module]);
    console.log(`${module}: ${tests} tests, ${lines.length} differ`);
    for (const line of lines) console.log(`  ${line}`);
    if (!lines.every(isKnown)) process.exitCode = 1;
  }
}

if (import.meta.main) await main(process.argv.slice(2));
