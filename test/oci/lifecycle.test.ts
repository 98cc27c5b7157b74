// The life of containers from end to end: create, start, state, exec, kill, delete, as clients call them.

import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CLOISTER } from '../cli/cloister.ts';
import { makeBusyboxRoot } from '../cli/rootfs.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-life-'));
const bundle = join(scratch, 'bundle');
const root = join(scratch, 'state');
const output = join(scratch, 'output');

before(() => {
  mkdirSync(join(bundle, 'rootfs'), { recursive: true });
  makeBusyboxRoot(join(bundle, 'rootfs'));
});
after(() => rmSync(scratch, { recursive: true }));
afterEach(() => {
  for (const id of existsSync(root) ? readdirSync(root) : []) run('delete', '--force', id);
});

/** Standard output and error of what goes on in the background go to a file: a pipe would be waited for. */
function run(...args: string[]): { status: number | null; text: string } {
  const fd = openSync(output, 'w');
  const { status } = spawnSync(CLOISTER, ['--root', root, ...args], {
    stdio: ['ignore', fd, fd],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  closeSync(fd);
  return { status, text: readFileSync(output, 'utf8') };
}

function succeed(...args: string[]): string {
  const { status, text } = run(...args);
  assert.equal(status, 0, `${args.join(' ')}: ${text}`);
  return text;
}

/** Cgroups are the machine's: those of others who run this test are not ours. */
let configs = 0;

function writeConfig(
  args: readonly string[],
  changes: { readonly linux?: object; readonly [field: string]: unknown } = {},
): void {
  const cgroupsPath = `cloister-${process.pid}-${configs++}`;
  const config = {
    ociVersion: '1.2.0',
    root: { path: 'rootfs' },
    process: { args, cwd: '/', env: ['PATH=/bin'] },
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    ...changes,
    linux: {
      cgroupsPath,
      namespaces: ['mount', 'pid', 'network', 'uts', 'ipc'].map((type) => ({ type })),
      ...changes.linux,
    },
  };
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
}

const CPUSET = '/sys/fs/cgroup/cpuset/cpuset.cpus';
const NOBODY = { uid: 65534, gid: 65534, cwd: '/' };

interface State {
  readonly status: string;
  readonly pid: number;
}

function state(id: string): State {
  return JSON.parse(succeed('state', id)) as State;
}

async function reaches(id: string, status: string): Promise<void> {
  for (let tries = 0; tries < 200 && state(id).status !== status; tries++) await sleep(20);
  assert.equal(state(id).status, status);
}

test('create, start, kill, delete', async () => {
  writeConfig(['sh', '-c', 'trap "exit 0" TERM; echo ran >/tmp/mark; while :; do sleep 0.1; done']);
  const mark = join(bundle, 'rootfs/tmp/mark');
  const pidFile = join(scratch, 'pid');
  succeed('create', '--bundle', bundle, '--pid-file', pidFile, 'one');
  const created = state('one');
  assert.equal(created.status, 'created');
  assert.equal(readFileSync(pidFile, 'utf8'), String(created.pid));
  assert.equal(existsSync(mark), false);
  assert.match(run('create', '--bundle', bundle, 'one').text, /already exists/);
  assert.equal(state('one').status, 'created');

  succeed('start', 'one');
  assert.equal(state('one').status, 'running');
  assert.deepEqual(run('start', 'one'), { status: 1, text: 'cloister: cannot start an already running container\n' });
  assert.equal(run('delete', 'one').status, 1);
  while (!existsSync(mark)) await sleep(20);
  assert.match(succeed('list'), /^ID .*\none +\d+ +running /);
  succeed('kill', 'one', '15');
  await reaches('one', 'stopped');
  assert.equal(run('kill', 'one', 'KILL').status, 1);
  succeed('delete', 'one');
  assert.equal(run('state', 'one').status, 1);
  assert.deepEqual(readdirSync(root), []);
});

test('a terminal without one on the host: streams that are none stand behind it', () => {
  const mounts = ['proc', 'devpts'].map((type) => ({ destination: type === 'proc' ? '/proc' : '/dev/pts', type }));
  const process = {
    cwd: '/',
    env: ['PATH=/bin'],
    terminal: true,
    user: { uid: 1000 },
    consoleSize: { height: 10, width: 90 },
  };
  writeConfig([], { mounts, process: { ...process, args: ['sh', '-c', 'tty; stat -c %u /dev/pts/0; stty size'] } });
  assert.equal(succeed('run', '-b', bundle, 'tty'), '/dev/pts/0\n1000\n10 90\n');
});

test('descriptors that are passed on keep their numbers, and holes between them stay', () => {
  writeConfig(['sh', '-c', 'cat <&5; ls /proc/self/fd']);
  const script = 'exec 5<<. 3>&- 4>&-\nhello\n.\n"$0" --root "$1" run --preserve-fds 3 -b "$2" fds';
  const { stdout } = spawnSync('sh', ['-c', script, CLOISTER, root, bundle], { encoding: 'utf8' });
  assert.equal(stdout.replaceAll(/\s+/g, ' '), 'hello 0 1 2 3 5 '); // 3 is the directory that ls reads
});

test('a tmpfs has the mode of what it covers, and with tmpcopyup its contents', () => {
  const options = ['tmpcopyup'];
  const mounts = [
    { destination: '/etc', type: 'tmpfs', options },
    { destination: '/tmp', type: 'tmpfs' },
  ];
  const command = 'echo changed >/etc/hostname && cat /etc/dir/file; readlink /etc/link; stat -c %a /tmp';
  writeConfig(['sh', '-c', command], { mounts });
  const etc = join(bundle, 'rootfs/etc');
  mkdirSync(join(etc, 'dir'), { recursive: true });
  chmodSync(join(bundle, 'rootfs/tmp'), 0o1711);
  writeFileSync(join(etc, 'dir/file'), 'text\n');
  symlinkSync('dir', join(etc, 'link'));
  assert.equal(succeed('run', '-b', bundle, 'tmpfs'), 'text\ndir\n1711\n');
  assert.equal(existsSync(join(etc, 'hostname')), false);
  chmodSync(join(bundle, 'rootfs/tmp'), 0o1777);
});

test('cgroups that somebody is in are not shared', {
  skip: process.geteuid?.() !== 0 && 'only root has cgroups',
}, () => {
  writeConfig(['sleep', '100']);
  succeed('run', '--detach', '--bundle', bundle, 'shared');
  writeConfig(['true'], { linux: { cgroupsPath: `cloister-${process.pid}-${configs - 1}` } });
  const { status, text } = run('create', '--bundle', bundle, 'second');
  assert.equal(status, 1);
  assert.match(text, /cgroup is not empty: \d+ process/);
  assert.equal(state('shared').status, 'running');
});

test('a service manager is told when the container is ready, and which process to watch', () => {
  const socket = join(scratch, 'notify');
  const inner = [
    'import os, socket, time',
    's = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)',
    's.sendto(b"STATUS=soon", os.environ["NOTIFY_SOCKET"])',
    's.sendto(b"STATUS=x\\nREADY=1\\n", os.environ["NOTIFY_SOCKET"])',
    'time.sleep(100)',
  ].join('\n');
  const mounts = ['/usr', '/lib', '/lib64'].map((path) => ({
    destination: path,
    source: path,
    options: ['rbind', 'ro'],
  }));
  writeConfig(['/usr/bin/python3', '-c', inner], { mounts });
  const outer = [
    'import os, socket, subprocess, sys',
    's = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)',
    's.bind(sys.argv[1]); s.settimeout(20)',
    'env = dict(os.environ, NOTIFY_SOCKET=sys.argv[1])',
    'subprocess.run(sys.argv[2:], env=env, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)',
    'print(s.recv(100).decode(), s.recv(100).decode(), end="")',
  ].join('\n');
  const command = [CLOISTER, '--root', root, 'run', '-d', '-b', bundle, 'service'];
  const { stdout } = spawnSync('python3', ['-c', outer, socket, ...command], { encoding: 'utf8', timeout: 60_000 });
  assert.equal(stdout, `READY=1\n MAINPID=${state('service').pid}\n`);
});

test('of a recursive bind `ro` means the top alone, `rro` all of it', { skip: process.geteuid?.() !== 0 }, () => {
  const source = join(scratch, 'with mounts');
  const below = join(source, 'a b');
  mkdirSync(below, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', 'none', below]);
  try {
    const command = 'for place in /there "/there/a b"; do touch "$place/x" 2>/dev/null && echo "$place"; done';
    for (const [option, expected] of [
      ['ro', '/there/a b\n'],
      ['rro', ''],
    ] as const) {
      writeConfig(['sh', '-c', command], { mounts: [{ destination: '/there', source, options: ['rbind', option] }] });
      assert.equal(run('run', '-b', bundle, 'recursive').text, expected);
    }
  } finally {
    execFileSync('umount', [below]);
  }
});

test('where there is little memory it is a program that goes for want of it, not the sandbox', () => {
  const hungry =
    'for i in 1 2 3 4; do dd if=/dev/zero of=/dev/null bs=14M count=60 2>/dev/null & done; wait; echo alive';
  for (const limit of [20 << 20, 72 << 20]) {
    writeConfig(['sh', '-c', hungry], { linux: { resources: { memory: { limit } } } });
    assert.match(succeed('run', '-b', bundle, 'little'), /alive\n$/, String(limit));
  }
});

test('programs of exec get the CPUs that the configuration has for them', () => {
  const cpus = { execCPUAffinity: { final: '0' } };
  writeConfig(['sh', '-c', 'sleep 100'], {
    process: { cwd: '/', args: ['sleep', '100'], env: ['PATH=/bin'], ...cpus },
  });
  succeed('run', '-d', '-b', bundle, 'cpus');
  assert.match(succeed('exec', 'cpus', 'grep', 'Cpus_allowed_list', '/proc/self/status'), /:\t0\n/);
});

test('devices stand where they are wanted, with the owner and mode that are wanted', () => {
  const devices = [
    { path: '/dev/tty', type: 'c', major: 5, minor: 0, fileMode: 0o600, gid: 7 },
    { path: '/dev/net/tun', type: 'c', major: 10, minor: 200 },
    { path: '/dev/ptmx', type: 'c', major: 5, minor: 2 },
    { path: '/opt/null', type: 'c', major: 1, minor: 3, uid: 5 },
  ];
  const paths = '/dev/tty /dev/net/tun /opt/null';
  const command = `stat -c '%n %t %T %u %g %a' ${paths}; echo x >/opt/null; cat /opt/null`;
  const mounts = [{ destination: '/dev', type: 'tmpfs', options: ['mode=755'] }];
  writeConfig(['sh', '-c', command], { mounts, linux: { namespaces: [], devices } });
  const text = succeed('run', '-b', bundle, 'devices').replaceAll(/^cloister: warning.*\n/gm, '');
  assert.equal(text, '/dev/tty 5 0 0 7 600\n/dev/net/tun a c8 0 0 666\n/opt/null 1 3 5 0 666\n');
});

test('exec into a container whose program has not been started', () => {
  writeConfig(['sleep', '100']);
  succeed('create', '--bundle', bundle, 'early');
  assert.equal(succeed('exec', 'early', 'echo', 'here'), 'here\n');
  assert.equal(state('early').status, 'created');
});

test('what is not there', () => {
  const missing = 'cloister: container "none" does not exist\n';
  assert.deepEqual(run('delete', 'none'), { status: 1, text: missing });
  assert.deepEqual(run('state', 'none'), { status: 1, text: missing });
  assert.deepEqual(run('kill', 'none', '9'), { status: 1, text: missing });
  succeed('delete', '--force', 'none');
});

test('a program that is not there fails at create, on standard error and in the log', () => {
  writeConfig(['nonesuch']);
  const log = join(scratch, 'log.json');
  const message = 'exec: "nonesuch": executable file not found in $PATH';
  const { status, text } = run('--log', log, '--log-format', 'json', 'create', '--bundle', bundle, 'bad');
  assert.deepEqual({ status, text }, { status: 127, text: `cloister: ${message}\n` });
  const { level, msg } = JSON.parse(readFileSync(log, 'utf8').trim().split('\n').at(-1) ?? '') as Record<
    string,
    string
  >;
  assert.deepEqual({ level, msg }, { level: 'error', msg: message });
  assert.deepEqual(readdirSync(root), []);
});

test("pid 1's signals: what it does not handle is lost on it, SIGKILL is not", async () => {
  writeConfig(['sleep', '100']);
  succeed('run', '--detach', '--bundle', bundle, 'sleeper');
  succeed('kill', 'sleeper', 'TERM');
  await sleep(100);
  assert.equal(state('sleeper').status, 'running');
  succeed('kill', 'sleeper', 'KILL');
  await reaches('sleeper', 'stopped');
});

test('exec: status, user, environment, directory, detached', async () => {
  writeConfig(['sleep', '100']);
  succeed('run', '-d', '-b', bundle, 'host');
  assert.equal(run('exec', 'host', 'sh', '-c', 'exit 7').status, 7);
  const flags = ['--user', '1000:1000', '--cwd', '/tmp', '--env', 'A=b'];
  assert.equal(
    succeed('exec', ...flags, 'host', 'sh', '-c', 'id -u; id -g; pwd; echo $A $PPID'),
    '1000\n1000\n/tmp\nb 0\n',
  );
  assert.deepEqual(run('exec', 'host', 'nonesuch'), {
    status: 255,
    text: 'cloister: exec: "nonesuch": executable file not found in $PATH\n',
  });
  const pidFile = join(scratch, 'exec-pid');
  succeed('exec', '-d', '--pid-file', pidFile, 'host', 'sleep', '50');
  const pid = Number(readFileSync(pidFile, 'utf8'));
  assert.match(succeed('exec', 'host', 'ps'), /sleep 50/);
  process.kill(pid, 'SIGKILL');
  await sleep(100);
  assert.doesNotMatch(succeed('exec', 'host', 'ps'), /sleep 50/);
  const listed = JSON.parse(succeed('ps', '--format', 'json', 'host')) as number[];
  assert.equal(listed.length, 1);
  const owner = process.geteuid?.() === 0 ? 'root' : '\\S+';
  assert.match(succeed('ps', 'host'), new RegExp(`^UID .*\\n${owner} +${listed[0]} .*\\n$`));
  succeed('kill', 'host', 'KILL');
  await reaches('host', 'stopped');
  assert.match(succeed('ps', 'host'), /^UID .*\n$/);
});

test('oomScoreAdj holds on the host: the launcher has it, guests have more', () => {
  writeConfig([], { process: { args: ['sleep', '100'], cwd: '/', env: ['PATH=/bin'], oomScoreAdj: 300 } });
  succeed('run', '--detach', '--bundle', bundle, 'scored');
  const scoreOf = (pid: number): string => readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8').trim();
  const [guest = 0] = JSON.parse(succeed('ps', '--format', 'json', 'scored')) as number[];
  assert.deepEqual([scoreOf(state('scored').pid), scoreOf(guest)], ['300', '800']);
});

test('console socket: the terminal, its size, its end', () => {
  const size = 'stty -a | grep -o "rows.*columns [0-9]*"';
  const script = `tty; test -c /dev/console && echo console; ${size}; read x; echo $x; ${size}`;
  writeConfig([], {
    process: { args: ['sh', '-c', script], cwd: '/', env: ['PATH=/bin'], terminal: true },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs' },
      { destination: '/dev/pts', type: 'devpts', source: 'devpts' },
    ],
  });
  assert.match(run('create', '-b', bundle, 'tty').text, /without setting console socket/);
  const socket = join(scratch, 'socket');
  const command = [CLOISTER, '--root', root, 'create', '-b', bundle, '--console-socket', socket, 'tty', '--'];
  const client = join(import.meta.dirname, 'console-client.py');
  const args = [client, socket, ...command, CLOISTER, '--root', root, 'start', 'tty'];
  const lines = ['/dev/pts/0', 'console', 'rows 33; columns 77', 'again', 'again', 'rows 44; columns 88'];
  const { stdout, stderr } = spawnSync('python3', args, { encoding: 'utf8', timeout: 60_000, killSignal: 'SIGKILL' });
  assert.deepEqual({ stdout, stderr }, { stdout: lines.map((line) => `${line}\r\n`).join(''), stderr: '' });
});

test('spec: the bundle it makes runs', () => {
  rmSync(join(bundle, 'config.json'), { force: true });
  succeed('spec', '--bundle', bundle);
  assert.match(run('spec', '--bundle', bundle).text, /exists already/);
  const config = JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8')) as { process: object };
  const process = { ...config.process, terminal: false, args: ['sh', '-c', 'hostname; touch /x'] };
  writeFileSync(join(bundle, 'config.json'), JSON.stringify({ ...config, process }));
  const { status, text } = run('run', '--bundle', bundle, 'from-spec');
  assert.deepEqual({ status, text }, { status: 1, text: 'cloister\ntouch: /x: Read-only file system\n' });
});

test('hooks: state on standard input; one that fails before the start undoes the container', () => {
  const seen = join(scratch, 'seen');
  const hook = (script: string) => [{ path: '/bin/sh', args: ['sh', '-c', script], env: ['PATH=/bin:/usr/bin'] }];
  const append = hook(`cat >>${seen}; echo >>${seen}`);
  writeConfig(['true'], {
    hooks: {
      prestart: append,
      createRuntime: append,
      startContainer: hook('test -e /bin/busybox && cat >/tmp/inner'),
      poststart: append,
      poststop: append,
    },
  });
  succeed('run', '-b', bundle, 'hooked');
  const states = readFileSync(seen, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as State);
  assert.deepEqual(
    states.map(({ status }) => status),
    ['creating', 'creating', 'running', 'stopped'],
  );
  const inner = JSON.parse(readFileSync(join(bundle, 'rootfs/tmp/inner'), 'utf8')) as State;
  assert.equal(inner.status, 'created');
  writeConfig(['true'], { hooks: { prestart: hook('echo no >&2; exit 3') } });
  const { status, text } = run('create', '-b', bundle, 'hooked');
  assert.equal(status, 1);
  assert.match(text, /error running hook: prestart hook #0: \/bin\/sh: exit status 3: no/);
  assert.deepEqual(readdirSync(root), []);
});

test('hooks mount below the root by the namespaces that they are shown', {
  skip: process.geteuid?.() !== 0 && 'mounts need root',
}, () => {
  const from = join(scratch, 'from');
  const place = join(bundle, 'rootfs/mnt');
  for (const directory of [from, place, join(bundle, 'rootfs/opt')]) mkdirSync(directory, { recursive: true });
  writeFileSync(join(from, 'file'), 'mounted\n');
  const shell = (script: string) => [
    { path: '/bin/sh', args: ['sh', '-c', script], env: ['PATH=/usr/sbin:/usr/bin:/bin'] },
  ];
  const enter = `pid=$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/'); nsenter -m -t $pid mount --bind ${from} ${place}`;
  writeConfig(['cat', '/mnt/file', '/opt/file'], {
    hooks: { createRuntime: shell(enter), createContainer: shell(`mount --bind ${from} opt`) },
  });
  assert.equal(succeed('run', '-b', bundle, 'mounting'), 'mounted\nmounted\n');
  assert.deepEqual(readdirSync(place), []); // not on the host
});

test('whoever makes a container and dies leaves nothing that delete --force does not remove', async () => {
  writeConfig(['sleep', '100'], { hooks: { prestart: [{ path: '/bin/sleep', args: ['sleep', '100'] }] } });
  const maker = spawn(CLOISTER, ['--root', root, 'create', '-b', bundle, 'torn'], { stdio: 'ignore' });
  let pid = 0;
  for (let tries = 0; tries < 500 && pid === 0; tries++) {
    await sleep(20);
    const file = join(root, 'torn/state.json');
    if (existsSync(file)) ({ pid } = JSON.parse(readFileSync(file, 'utf8')) as State);
  }
  maker.kill('SIGKILL');
  assert.ok(pid > 0);
  for (let tries = 0; tries < 200 && existsSync(`/proc/${pid}`); tries++) await sleep(20);
  assert.equal(state('torn').status, 'stopped');
  succeed('delete', '--force', 'torn');
  assert.deepEqual(readdirSync(root), []);
});

test('a cgroup below one whose cpuset nobody has filled', {
  skip: !existsSync(CPUSET) && 'no cpuset of version 1',
}, () => {
  const above = `/cloister-${process.pid}-above`;
  const made = ['', '/pod'].map((name) => join(dirname(CPUSET), above, name));
  for (const directory of made) mkdirSync(directory);
  writeConfig(['true'], { linux: { cgroupsPath: `${above}/pod/container` } });
  const { status, text } = run('run', '-b', bundle, 'below');
  for (const controller of readdirSync('/sys/fs/cgroup')) {
    for (const name of ['/pod', '']) {
      const directory = join('/sys/fs/cgroup', controller, above, name);
      if (existsSync(directory)) rmdirSync(directory);
    }
  }
  assert.deepEqual([status, text.replaceAll(/^cloister: warning.*\n/gm, '')], [0, '']);
});

test('as root of a user namespace that an ordinary user has made, as under podman', (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root to become another user');
  if (spawnSync('test', ['-r', join(dirname(CLOISTER), '../dist/cli.js')], NOBODY).status !== 0) {
    return t.skip('this checkout is not readable for other users');
  }
  const home = mkdtempSync(join(tmpdir(), 'cloister-rootless-'));
  const rootfs = join(home, 'bundle/rootfs');
  mkdirSync(rootfs, { recursive: true });
  makeBusyboxRoot(rootfs);
  writeConfig(['sh', '-c', 'id -u'], { linux: { cgroupsPath: undefined } });
  copyFileSync(join(bundle, 'config.json'), join(home, 'bundle/config.json'));
  execFileSync('chown', ['-R', '65534:65534', home]);
  const env = { PATH: process.env.PATH, USER: 'nobody', XDG_RUNTIME_DIR: join(home, 'run') };
  mkdirSync(env.XDG_RUNTIME_DIR, { mode: 0o777 });
  chmodSync(env.XDG_RUNTIME_DIR, 0o777);
  const inside = `${CLOISTER} create -b ${home}/bundle x >/dev/null 2>&1; ls ${home}/run/cloister; ${CLOISTER} delete x; ${CLOISTER} run -b ${home}/bundle y`;
  const { stdout, stderr } = spawnSync('unshare', ['--user', '--mount', '--map-root-user', 'sh', '-c', inside], {
    ...NOBODY,
    env,
    encoding: 'utf8',
    timeout: 60_000,
  });
  rmSync(home, { recursive: true });
  assert.equal(stdout, 'x\n0\n', stderr);
});

test('binds with id mappings: their files have other ids inside, and those made inside have theirs on disk', (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root of the machine');
  const shared = mkdtempSync(join(scratch, 'shared-'));
  writeFileSync(join(shared, 'file'), 'data');
  execFileSync('chown', ['-R', '1000:1001', shared]);
  const ids = (from: number) => [{ containerID: from, hostID: 0, size: 10 }];
  const mounts = [
    { destination: '/proc', type: 'proc' },
    { destination: '/mapped', source: shared, options: ['bind'], uidMappings: ids(1000), gidMappings: ids(1001) },
    {
      destination: '/one',
      source: join(shared, 'file'),
      options: ['bind'],
      uidMappings: ids(998),
      gidMappings: ids(1001),
    },
    { destination: '/plain', source: shared, options: ['bind'] },
  ];
  const script = 'touch /mapped/new; chown 2:3 /mapped/new; stat -c "%u:%g" /mapped/file /mapped/new /one /plain/file';
  const power = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE'];
  const capabilities = { bounding: power, effective: power, permitted: power };
  const process_ = { args: ['sh', '-c', script], cwd: '/', env: ['PATH=/bin'], capabilities };
  writeConfig([], { mounts, process: process_ });
  execFileSync('chmod', ['777', shared]);
  const made = join(shared, 'new');
  const { text } = run('run', '-b', bundle, 'mapped');
  const onDisk = existsSync(made) ? statSync(made) : null;
  assert.deepEqual([text, onDisk?.uid, onDisk?.gid], ['0:0\n2:3\n2:0\n1000:1001\n', 1002, 1004]);
});
