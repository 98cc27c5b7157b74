// The command line itself: what it says about wrong usage, and what it exits with (do: 125, the failure is Cloister's).

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import packageJson from '../../package.json' with { type: 'json' };
import { CLOISTER, cloister } from './cloister.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-usage-'));
after(() => rmSync(scratch, { recursive: true }));

function fails(args: readonly string[], message: RegExp, expected = 125): void {
  const { status, stderr, stdout } = cloister(args);
  assert.match(stderr, message);
  assert.equal(stdout, '');
  assert.equal(status, expected);
}

/** A bundle whose config.json has this text. */
function bundleOf(config: string): string {
  const bundle = mkdtempSync(join(scratch, 'bundle-'));
  writeFileSync(join(bundle, 'config.json'), config);
  return bundle;
}

test('--version and --help', () => {
  const [own = '', ...others] = cloister(['--version']).stdout.trimEnd().split('\n');
  assert.equal(own, `cloister version ${packageJson.version}`);
  for (const line of others) assert.match(line, /^(commit: \S+|spec: 1\.\d+\.\d+|node: v26\.\S+)$/);
  const help = cloister(['--help']);
  assert.equal(help.status, 0);
  for (const verb of ['do', 'run', 'syscalls']) assert.match(help.stdout, new RegExp(`^  ${verb} `, 'm'));
});

test('wrong usage', () => {
  fails(['dance'], /^cloister: unknown command 'dance'\nSee cloister --help.\n$/);
  fails(['do'], /^cloister: missing required argument 'command'\nSee cloister do --help.\n$/);
  fails(['do', '--rot', '/', 'true'], /unknown option '--rot'/);
  fails(['do', '--uid', 'root', 'true'], /--uid <n>' argument 'root' is invalid/);
  fails(['do', '--uid', '4294967295', 'true'], /argument '4294967295' is invalid/);
  fails(['do', '--bind', '/etc', 'true'], /Expected SRC:DST/);
  fails(['do', '--bind', '/etc:mnt', 'true'], /absolute DST/);
  fails(['do', '--bind', '/etc:/mnt:rw', 'true'], /Expected SRC:DST/);
  fails(['do', '--env', 'NAME', 'true'], /Expected NAME=VALUE/);
  fails(['do', '--cwd', 'tmp', 'true'], /absolute path/);
  fails(['run'], /missing required argument 'id'/, 1);
});

test('no arguments ask for help', () => {
  const { status, stdout } = cloister([]);
  assert.match(stdout, /^Usage: cloister/);
  assert.equal(status, 0);
  for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line);
});

test('completion of verbs, options and names', () => {
  const root = join(scratch, 'containers');
  const complete = (...words: string[]): string[] => {
    const script = `eval "$("$0" --root "$1" completion)"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
      _cloister; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = spawnSync('bash', ['-c', script, CLOISTER, root, CLOISTER, ...words], { encoding: 'utf8' });
    return stdout.split('\n').filter(Boolean);
  };
  assert.deepEqual(complete('sta'), ['start', 'state']);
  assert.deepEqual(complete('--root', root, 'run', '--bun'), ['--bundle']);
  assert.deepEqual(complete('kill', '--a'), ['--all']);
  process.env.CLOISTER_ROOT = root;
  mkdirSync(join(root, 'alpha'), { recursive: true });
  writeFileSync(
    join(root, 'alpha/state.json'),
    JSON.stringify({ version: 1, id: 'alpha', pid: 0, cgroups: { version: 0, directories: {} }, annotations: {} }),
  );
  assert.deepEqual(complete('kill', 'al'), ['alpha']);
  delete process.env.CLOISTER_ROOT;
});

test('syscalls lists the table, for people and for programs', () => {
  const { stdout } = cloister(['syscalls']);
  assert.match(stdout, /^110 +getppid +kernel/m);
  assert.match(stdout, /^425 +io_uring_setup +(enosys|eperm)/m);
  const table = JSON.parse(cloister(['syscalls', '--json']).stdout) as { calls: { nr: number; name: string }[] };
  assert.equal(table.calls.find(({ nr }) => nr === 110)?.name, 'getppid');
});

test('a reader that goes away is no reason for a stack trace', () => {
  const { stderr } = spawnSync('sh', ['-c', '"$0" syscalls | head -n 1', CLOISTER], { encoding: 'utf8' });
  assert.equal(stderr, '');
});

test('what is not there is named', () => {
  const absent = join(scratch, 'absent');
  const file = join(scratch, 'file');
  writeFileSync(file, '');
  fails(['do', '--root', absent, 'true'], new RegExp(`^cloister: --root: ${absent} does not exist`));
  fails(['do', '--root', file, 'true'], new RegExp(`^cloister: --root: ${file} is not a directory`));
  fails(['do', '--overlay', absent, 'true'], new RegExp(`^cloister: --overlay: ${absent} does not exist`));
  fails(['do', '--bind', `${absent}:/mnt`, 'true'], new RegExp(`^cloister: --bind: ${absent} does not exist`));
  fails(['do', '--strace-log', join(absent, 'log'), 'true'], /^cloister: --strace-log: ENOENT/);
});

test('bad bundles: the message names the file or the field', () => {
  fails(['run', '-b', join(scratch, 'absent'), 'box'], /^cloister: .*absent\/config.json does not exist/, 1);
  fails(['run', '-b', bundleOf('{'), 'box'], /^cloister: config.json: not JSON: /, 1);
  fails(
    ['run', '-b', bundleOf('{"ociVersion": 1}'), 'box'],
    /^cloister: config.json: ociVersion: .*expected string/,
    1,
  );
  const config = { ociVersion: '1.0.2', root: { path: 'rootfs' }, process: { cwd: '/', args: ['true'] } };
  fails(['run', '-b', bundleOf(JSON.stringify(config)), 'box'], /config.json: root.path: .*rootfs does not exist/, 1);
  const terminal = bundleOf(JSON.stringify({ ...config, process: { ...config.process, terminal: true } }));
  mkdirSync(join(terminal, 'rootfs'));
  fails(['run', '-b', terminal, 'box'], /config.json: process.terminal: needs a devpts among the mounts/, 1);
  fails(['run', '-b', terminal, '../box'], /^cloister: invalid container ID format: "..\/box"/, 1);
});
