// linux.seccomp: the filter that a profile becomes, and programs under one.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { OciSeccomp } from '../../src/oci/config.ts';
import { compileSeccomp } from '../../src/oci/seccomp.ts';
import type { Instruction } from '../../syscall-tables/bpf.ts';
import { entryByName } from '../../syscall-tables/table.ts';
import { cloister } from '../cli/cloister.ts';
import { makeBusyboxRoot } from '../cli/rootfs.ts';
import { verdict } from '../syscall-tables/interpreter.ts';

const ALLOW = 0x7fff0000;
const KILL = 0;
const error = (errno: number): number => 0x50000 | errno;
const ENOSYS = error(38);
const EPERM = error(1);

function instructions(base64: string): Instruction[] {
  const bytes = Buffer.from(base64, 'base64');
  return Array.from({ length: bytes.length / 8 }, (_, i) => ({
    code: bytes.readUInt16LE(8 * i),
    jt: bytes.readUInt8(8 * i + 2),
    jf: bytes.readUInt8(8 * i + 3),
    k: bytes.readUInt32LE(8 * i + 4),
  }));
}

type Judge = (name: string | number, ...args: readonly bigint[]) => number;

function compile(profile: OciSeccomp): Judge {
  const filter = instructions(compileSeccomp(profile));
  return (name, ...args) => verdict(filter, { nr: typeof name === 'number' ? name : entryByName(name).nr, args });
}

test('numbers: named, not named, newer than the profile, of other conventions', () => {
  const judge = compile({
    defaultAction: 'SCMP_ACT_ERRNO',
    syscalls: [
      { names: ['read', 'write', 'openat', 'no_such_call'], action: 'SCMP_ACT_ALLOW' },
      { names: ['ptrace'], action: 'SCMP_ACT_KILL_PROCESS' },
      { names: ['mount'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 },
      { names: ['getpid'], action: 'SCMP_ACT_TRACE', errnoRet: 7 },
      { names: ['getuid'], action: 'SCMP_ACT_TRAP' },
      { names: ['getgid'], action: 'SCMP_ACT_LOG' },
      { names: ['gettid'], action: 'SCMP_ACT_KILL' },
    ],
  });
  assert.equal(judge('read'), ALLOW);
  assert.equal(judge('openat'), ALLOW);
  assert.equal(judge('close'), EPERM);
  assert.equal(judge('ptrace'), 0x80000000);
  assert.equal(judge('mount'), ENOSYS);
  assert.equal(judge('getpid'), 0x7ff00007);
  assert.equal(judge('getuid'), 0x30000);
  assert.equal(judge('getgid'), 0x7ffc0000);
  assert.equal(judge('gettid'), KILL);
  assert.equal(judge('clone3'), ENOSYS, 'newer than every call of the profile');
  assert.equal(judge(0x40000000), KILL, 'x32');
  assert.equal(judge(-1), EPERM);
});

test('what allows by default knows no newer calls', () => {
  const judge = compile({
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X32'],
    syscalls: [{ names: ['getppid'], action: 'SCMP_ACT_ERRNO', errnoRet: 5 }],
  });
  assert.equal(judge('getppid'), error(5));
  assert.equal(judge('clone3'), ALLOW);
  assert.equal(judge(0x40000001), ALLOW);
  assert.equal(compile({ defaultAction: 'SCMP_ACT_ALLOW' })('read'), ALLOW);
});

test('every comparison over 64 bits', () => {
  const big = 2 ** 40 + 5;
  const values = [
    0n,
    5n,
    6n,
    2n ** 32n + 5n,
    2n ** 40n,
    2n ** 40n + 4n,
    2n ** 40n + 5n,
    2n ** 40n + 6n,
    2n ** 64n - 1n,
  ];
  const wanted: Readonly<Record<string, (value: bigint) => boolean>> = {
    SCMP_CMP_NE: (value) => value !== BigInt(big),
    SCMP_CMP_LT: (value) => value < BigInt(big),
    SCMP_CMP_LE: (value) => value <= BigInt(big),
    SCMP_CMP_EQ: (value) => value === BigInt(big),
    SCMP_CMP_GE: (value) => value >= BigInt(big),
    SCMP_CMP_GT: (value) => value > BigInt(big),
    SCMP_CMP_MASKED_EQ: (value) => (value & BigInt(big)) === 2n ** 40n,
  };
  for (const [op, holds] of Object.entries(wanted)) {
    const args = [{ index: 3, value: big, valueTwo: 2 ** 40, op }] as NonNullable<OciSeccomp['syscalls']>[0]['args'];
    const judge = compile({
      defaultAction: 'SCMP_ACT_ERRNO',
      syscalls: [{ names: ['prctl'], action: 'SCMP_ACT_ALLOW', args }],
    });
    for (const value of values)
      assert.equal(judge('prctl', 0n, 0n, 0n, value), holds(value) ? ALLOW : EPERM, `${op} ${value}`);
  }
});

test('conditions of a rule hold together, those of one argument apart; a rule without any is the last word', () => {
  const judge = compile({
    defaultAction: 'SCMP_ACT_KILL_PROCESS',
    syscalls: [
      {
        names: ['socket'],
        action: 'SCMP_ACT_ERRNO',
        errnoRet: 22,
        args: [
          { index: 0, value: 16, op: 'SCMP_CMP_EQ' },
          { index: 2, value: 9, op: 'SCMP_CMP_EQ' },
        ],
      },
      { names: ['socket'], action: 'SCMP_ACT_ALLOW' },
      {
        names: ['personality'],
        action: 'SCMP_ACT_ALLOW',
        args: [
          { index: 0, value: 0, op: 'SCMP_CMP_EQ' },
          { index: 0, value: 8, op: 'SCMP_CMP_EQ' },
        ],
      },
    ],
  });
  assert.equal(judge('socket', 16n, 0n, 9n), error(22));
  assert.equal(judge('socket', 16n, 0n, 8n), ALLOW);
  assert.equal(judge('socket', 1n, 0n, 9n), ALLOW);
  assert.equal(judge('personality', 8n), ALLOW);
  assert.equal(judge('personality', 0n), ALLOW);
  assert.equal(judge('personality', 9n), 0x80000000);
});

test('what cannot be had is refused by name', () => {
  assert.throws(
    () => compileSeccomp({ defaultAction: 'SCMP_ACT_NOTIFY' }),
    /config.json: linux.seccomp.defaultAction: /,
  );
  assert.throws(() => compileSeccomp({ defaultAction: 'SCMP_ACT_ALLOW', flags: ['X'] }), /linux.seccomp.flags: X is/);
});

// ---- programs under a profile ----

const bundle = mkdtempSync(join(tmpdir(), 'cloister-seccomp-'));
before(() => {
  mkdirSync(join(bundle, 'rootfs'));
  makeBusyboxRoot(join(bundle, 'rootfs'));
});
after(() => rmSync(bundle, { recursive: true }));

function run(script: string, seccomp: object, process: object = {}): { status: number | null; text: string } {
  const config = {
    ociVersion: '1.2.0',
    root: { path: 'rootfs' },
    process: { args: ['sh', '-c', script], cwd: '/', env: ['PATH=/bin'], ...process },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs' },
    ],
    linux: { namespaces: ['mount', 'pid', 'network', 'uts', 'ipc'].map((type) => ({ type })), seccomp },
  };
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
  const { status, stdout, stderr } = cloister([
    '--root',
    join(bundle, 'state'),
    'run',
    '--bundle',
    bundle,
    'under-seccomp',
  ]);
  return { status, text: stdout + stderr };
}

test('programs find the profile in force, also without privileges', () => {
  const profile = {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 28 }],
  };
  const script = 'grep -E "^(Seccomp|NoNew)" /proc/self/status; mkdir /tmp/x; echo $?';
  const expected =
    "NoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n1\nmkdir: can't create directory '/tmp/x': No space left on device\n";
  for (const user of [
    { uid: 0, gid: 0 },
    { uid: 1000, gid: 1000 },
  ]) {
    assert.deepEqual(run(script, profile, { user }), { status: 0, text: expected });
  }
});

test('a forbidden call may end the container', () => {
  const profile = {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_KILL_PROCESS' }],
  };
  assert.equal(run('exec mkdir /tmp/x', profile).status, 128 + 31);
});

const DEFAULT_PROFILE = '/usr/share/containers/seccomp.json';

interface DefaultRule {
  readonly includes?: { readonly arches?: readonly string[]; readonly caps?: readonly string[] };
  readonly excludes?: { readonly caps?: readonly string[] };
}

/** The profile that podman gives a container without further privileges. */
function defaultProfile(): object {
  const { archMap: _, ...profile } = JSON.parse(readFileSync(DEFAULT_PROFILE, 'utf8'));
  const applies = ({ includes }: DefaultRule): boolean =>
    (includes?.caps ?? []).length === 0 && (includes?.arches?.includes('amd64') ?? true);
  const syscalls = (profile.syscalls as DefaultRule[]).filter(applies);
  return { ...profile, architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'], syscalls };
}

test("programs run under podman's default profile", { skip: !existsSync(DEFAULT_PROFILE) && 'not installed' }, () => {
  const script = `
    set -e
    mkdir /tmp/d; cd /tmp/d; seq 1000 | sort -rn | head -n 1 > f; cat f; ln -s f g; readlink g; ls -l | wc -l
    (sleep 0.01; echo later) & wait; mkfifo p; cat f > p & cat p; tar cf a.tar f g; tar tf a.tar; rm -r /tmp/d
    grep Seccomp: /proc/self/status; mount -t tmpfs x /tmp 2>&1 || echo refused`;
  const { status, text } = run(script, defaultProfile());
  assert.equal(text, '1000\nf\n3\nlater\n1000\nf\ng\nSeccomp:\t2\nmount: permission denied (are you root?)\nrefused\n');
  assert.equal(status, 0);
});
