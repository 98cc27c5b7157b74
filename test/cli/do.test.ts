// `cloister do` from end to end: exit statuses, streams, and what each option changes inside.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CLOISTER, cloister, TOP } from './cloister.ts';
import { makeBusyboxRoot } from './rootfs.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-do-'));
after(() => rmSync(scratch, { recursive: true }));

function freshDirectory(): string {
  return mkdtempSync(join(scratch, 'd-'));
}

/** Standard output of a command that must end with status 0 and say nothing on standard error. */
function output(...args: string[]): string {
  const { status, stdout, stderr } = cloister(['do', ...args]);
  assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
  return stdout;
}

function status(...args: string[]): number | null {
  return cloister(['do', ...args]).status;
}

test("the exit status is the command's own", () => {
  assert.equal(status('true'), 0);
  assert.equal(status('false'), 1);
  assert.equal(status('sh', '-c', 'exit 77'), 77);
  assert.equal(status('sh', '-c', 'kill -TERM $$'), 128 + 15);
  assert.equal(status('sh', '-c', 'kill -KILL $$'), 128 + 9);
});

test('127 for a command that is not there, 126 for one that is no program', () => {
  assert.equal(status('no-such-command-anywhere'), 127);
  assert.equal(status('/no/such/path'), 127);
  assert.equal(status('/etc/passwd'), 126);
  assert.equal(status('/etc'), 126);
});

test("options after the command are the command's", () => {
  assert.equal(output('echo', '--uid', '5', '-n'), '--uid 5 -n\n');
  assert.equal(output('--', 'echo', '--', 'x'), '-- x\n');
});

test('arguments and environment are bytes', () => {
  const script = `X=$(printf '\\377') "$0" do sh -c 'printf "%s %s" "$X" "$1"' sh "$(printf '\\376\\201')"`;
  const { stdout } = spawnSync('sh', ['-c', script, CLOISTER]);
  assert.deepEqual([...stdout], [0xff, 0x20, 0xfe, 0x81]);
});

test('standard streams pass through', () => {
  const { stdout, stderr } = cloister(['do', 'sh', '-c', 'cat; echo problem >&2'], { input: 'given\n' });
  assert.deepEqual([stdout, stderr], ['given\n', 'problem\n']);
});

test('64 MiB through a pipe arrive unchanged', () => {
  const script = 'head -c 64M /dev/zero | "$0" do cat | sha256sum; head -c 64M /dev/zero | sha256sum';
  const [through, direct] = spawnSync('sh', ['-c', script, CLOISTER], { encoding: 'utf8' }).stdout.trim().split('\n');
  assert.equal(through, direct);
});

test('a file as standard output is written at its end, not over what others wrote', () => {
  const file = join(freshDirectory(), 'out');
  spawnSync('sh', ['-c', '(echo first; "$0" do echo second; echo third) >"$1"', CLOISTER, file]);
  assert.equal(readFileSync(file, 'utf8'), 'first\nsecond\nthird\n');
});

test('signals reach the command', async () => {
  const script = 'trap "echo caught; exit 3" TERM; echo ready; while :; do sleep 0.05; done';
  const child = spawn(CLOISTER, ['do', 'sh', '-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    if (text === 'ready\n') child.kill('SIGTERM');
  });
  const [code] = (await once(child, 'close')) as [number | null];
  assert.deepEqual([text, code], ['ready\ncaught\n', 3]);
});

test('environment, directory, ids, host name', () => {
  assert.equal(output('--env', 'ONE=1', '--env', 'TWO=a=b', 'sh', '-c', 'echo $ONE $TWO'), '1 a=b\n');
  assert.equal(output('--env', 'HOME=/nowhere', 'sh', '-c', 'echo $HOME'), '/nowhere\n');
  assert.equal(output('--cwd', '/etc', 'pwd'), '/etc\n');
  assert.equal(cloister(['do', 'pwd'], { cwd: TOP }).stdout, `${TOP}\n`);
  assert.equal(output('hostname'), `${hostname()}\n`);
  assert.equal(output('--hostname', 'cell', 'hostname'), 'cell\n');
  assert.match(output('--uid', '12', '--gid', '34', 'id'), /^uid=12\S* gid=34\S* groups=34/);
});

test('NODE_OPTIONS are for programs inside', () => {
  const env = { ...process.env, NODE_OPTIONS: '--no-such-option' };
  assert.equal(cloister(['do', 'sh', '-c', 'echo $NODE_OPTIONS'], { env }).stdout, '--no-such-option\n');
});

test('a root of its own', () => {
  const root = freshDirectory();
  makeBusyboxRoot(root);
  assert.equal(output('--root', root, 'ls', '/'), 'bin\ndev\netc\nproc\nroot\nrun\nsys\ntmp\n');
  assert.equal(existsSync(join(root, 'run')), false, 'a mount point made under an overlay stays in the overlay');
});

test('writes stay in memory', () => {
  const directory = freshDirectory();
  const file = join(directory, 'file');
  writeFileSync(file, 'before\n');
  assert.equal(
    output('sh', '-c', `echo after >${file}; echo new >${file}2; rm -r ${scratch}/nothing* 2>&-; cat ${file}`),
    'after\n',
  );
  assert.equal(readFileSync(file, 'utf8'), 'before\n');
  assert.equal(existsSync(`${file}2`), false);
});

test('--overlay none writes to the root, --overlay DIR to the directory', () => {
  const root = freshDirectory();
  makeBusyboxRoot(root);
  output('--root', root, '--overlay', 'none', 'sh', '-c', 'echo kept >/tmp/kept');
  assert.equal(readFileSync(join(root, 'tmp/kept'), 'utf8'), 'kept\n');
  const upper = freshDirectory();
  output(
    '--root',
    root,
    '--overlay',
    upper,
    'sh',
    '-c',
    'echo changed >/tmp/kept; echo above >/tmp/above; rm /etc/group',
  );
  assert.equal(readFileSync(join(root, 'tmp/kept'), 'utf8'), 'kept\n');
  assert.equal(existsSync(join(root, 'tmp/above')), false);
  assert.equal(existsSync(join(root, 'etc/group')), true);
  const again = output('--root', root, '--overlay', upper, 'sh', '-c', 'cat /tmp/kept /tmp/above; ls /etc');
  assert.equal(again, 'changed\nabove\npasswd\n');
});

test('--bind shows a host path, for writing or not', () => {
  const directory = freshDirectory();
  writeFileSync(join(directory, 'in'), 'from outside\n');
  const bind = `${directory}:/mnt/shared`;
  assert.equal(output('--bind', bind, 'sh', '-c', 'cat /mnt/shared/in; echo back >/mnt/shared/out'), 'from outside\n');
  assert.equal(readFileSync(join(directory, 'out'), 'utf8'), 'back\n');
  const refused = cloister(['do', '--bind', `${bind}:ro`, 'sh', '-c', 'echo x >/mnt/shared/never']);
  assert.match(refused.stderr, /Read-only file system/);
  assert.equal(existsSync(join(directory, 'never')), false);
});

test('--strace prints a line for each call, --strace-log to a file', () => {
  const { stdout, stderr } = cloister(['do', '--strace', 'cat', '/etc/hostname']);
  assert.equal(stdout, readFileSync('/etc/hostname', 'utf8'));
  assert.match(stderr, /openat\(AT_FDCWD, "\/etc\/hostname", O_RDONLY\S*\) += \d+$/m);
  assert.match(stderr, /exit_group\(0\)/);
  const log = join(freshDirectory(), 'log');
  assert.equal(output('--strace-log', log, 'cat', '/etc/hostname'), stdout);
  assert.match(readFileSync(log, 'utf8'), /openat\(AT_FDCWD, "\/etc\/hostname"/);
});

test('--stats counts by name what was answered and what was made on the host', () => {
  const { stdout, stderr } = cloister(['do', '--stats', 'cat', '/etc/hostname']);
  assert.equal(stdout, readFileSync('/etc/hostname', 'utf8'));
  assert.match(stderr, /openat/);
});

test('an ordinary user is root inside and has no more power outside', (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root to become another user');
  const directory = freshDirectory();
  mkdirSync(join(directory, 'private'), { mode: 0o700 });
  const nobody = { uid: 65534, gid: 65534, cwd: '/' };
  const able = spawnSync('test', ['-r', join(TOP, 'dist/cli.js')], nobody);
  if (able.status !== 0) return t.skip('this checkout is not readable for other users');
  const { status, stdout, stderr } = cloister(['do', 'sh', '-c', `id -u; ls ${directory}/private`], nobody);
  assert.match(stderr, /Permission denied/);
  assert.equal(stdout, '0\n');
  assert.notEqual(status, 0);
});

test('in namespaces that are only partly of their own: root without the mounts, pids without a /proc', () => {
  for (const flags of ['-Ur', '-Urpf']) {
    const inside = spawnSync('unshare', [flags, CLOISTER, 'do', 'id', '-u'], { encoding: 'latin1', stdio: 'pipe' });
    assert.deepEqual([inside.stderr, inside.stdout], ['', '0\n'], flags);
  }
});
