// Credential transitions, compared with the host kernel's: random sequences of calls and execs are played by a small C
// program as root and by our functions, and every state on the way must be the same.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Credentials, hasCapabilityIn } from '../../src/base/credentials.ts';
import { initialUser } from '../../src/base/user-namespace.ts';
import {
  capabilitySet,
  dropBounding,
  type ExecFile,
  execCredentials,
  formatCapabilities,
  isCapability,
  losesDumpability,
  lowerAmbient,
  parseCapabilities,
  parseFileCapabilities,
  raiseAmbient,
  setCapabilities,
  setFsGid,
  setFsUid,
  setGid,
  setGroups,
  setKeepCapabilities,
  setReGid,
  setResGid,
  setResUid,
  setReUid,
  setSecurebits,
  setUid,
} from '../../src/kernel/credentials.ts';
import { CLOISTER } from '../cli/cloister.ts';

const status = readFileSync('/proc/self/status', 'utf8');
const ownCapabilities = (name: string) =>
  parseCapabilities(new RegExp(`^${name}:\\t(.*)$`, 'm').exec(status)?.[1] ?? '');
const canChange = process.getuid?.() === 0 && [6, 7, 8].every((c) => hasCapabilityIn(ownCapabilities('CapEff'), c));

/** Programs to execute: owner, mode, and `security.capability` as text for setcap-like encoding. */
interface Program {
  uid: number;
  gid: number;
  mode: number;
  caps: { permitted: number; inheritable: number; effective: boolean } | null;
}

const NET_RAW = 1 << 13;
const SETUID = 1 << 7;
const CHOWN = 1;
const PROGRAMS: readonly Program[] = [
  { uid: 0, gid: 0, mode: 0o755, caps: null },
  { uid: 0, gid: 0, mode: 0o4755, caps: null },
  { uid: 1000, gid: 1000, mode: 0o4755, caps: null },
  { uid: 1000, gid: 1000, mode: 0o6755, caps: null },
  { uid: 1000, gid: 0, mode: 0o2745, caps: null },
  { uid: 0, gid: 0, mode: 0o755, caps: { permitted: NET_RAW | SETUID, inheritable: 0, effective: true } },
  { uid: 0, gid: 0, mode: 0o755, caps: { permitted: NET_RAW, inheritable: CHOWN | SETUID, effective: false } },
  { uid: 0, gid: 0, mode: 0o4755, caps: { permitted: NET_RAW, inheritable: CHOWN, effective: true } },
  { uid: 0, gid: 0, mode: 0o751, caps: null },
];

function attribute(program: Program): string {
  const { caps } = program;
  if (!caps) return '';
  const bytes = Buffer.alloc(20);
  [0x02000000 | (caps.effective ? 1 : 0), caps.permitted, caps.inheritable, 0, 0].forEach((word, i) => {
    bytes.writeUInt32LE(word >>> 0, 4 * i);
  });
  return bytes.toString('latin1');
}

interface State {
  credentials: Credentials;
  dumpable: number;
  secure: number;
}

function initialState(): State {
  const credentials: Credentials = {
    uid: 0,
    gid: 0,
    euid: 0,
    egid: 0,
    suid: 0,
    sgid: 0,
    fsuid: 0,
    fsgid: 0,
    groups: (/^Groups:\t(.*?) ?$/m.exec(status)?.[1] ?? '').split(' ').filter(Boolean).map(Number),
    effective: ownCapabilities('CapEff'),
    permitted: ownCapabilities('CapPrm'),
    inheritable: ownCapabilities('CapInh'),
    bounding: ownCapabilities('CapBnd'),
    ambient: ownCapabilities('CapAmb'),
    securebits: 0,
    noNewPrivileges: false,
    user: initialUser,
  };
  return { credentials, dumpable: 1, secure: 0 };
}

/** Plays one operation on our side; the result is what the system call would have answered. */
function apply(state: State, words: string[]): number {
  const [name, ...rest] = words;
  const a = rest.map((word) => Number(word));
  const id = (i: number) => a[i] >>> 0;
  const old = state.credentials;
  const set = (i: number) => capabilitySet(a[i] >>> 0, Math.floor(a[i] / 2 ** 32));
  const calls: Record<string, () => Credentials | number> = {
    setuid: () => setUid(old, id(0)),
    setreuid: () => setReUid(old, id(0), id(1)),
    setresuid: () => setResUid(old, id(0), id(1), id(2)),
    setfsuid: () => setFsUid(old, id(0)),
    setgid: () => setGid(old, id(0)),
    setregid: () => setReGid(old, id(0), id(1)),
    setresgid: () => setResGid(old, id(0), id(1), id(2)),
    setfsgid: () => setFsGid(old, id(0)),
    setgroups: () =>
      setGroups(
        old,
        a.map((gid) => gid >>> 0),
      ),
    capset: () => setCapabilities(old, set(0), set(1), set(2)),
    keepcaps: () => setKeepCapabilities(old, a[0]),
    securebits: () => setSecurebits(old, a[0]),
    drop: () => dropBounding(old, a[0]),
    raise: () => (isCapability(a[0]) ? raiseAmbient(old, a[0]) : -22),
    lower: () => (isCapability(a[0]) ? lowerAmbient(old, a[0]) : -22),
    nnp: () => ({ ...old, noNewPrivileges: true }),
    exec: () => exec(state, a[0]),
  };
  const result = (calls[name as string] as () => Credentials | number)();
  if (typeof result === 'number') return result;
  if (losesDumpability(old, result)) state.dumpable = 0;
  state.credentials = result;
  return name === 'setfsuid' ? old.fsuid : name === 'setfsgid' ? old.fsgid : 0;
}

function mayExecute(credentials: Credentials, program: Program): boolean {
  if (credentials.effective.low & 2) return true; // CAP_DAC_OVERRIDE
  if (credentials.fsuid === program.uid) return (program.mode & 0o100) !== 0;
  const inGroup = credentials.fsgid === program.gid || credentials.groups.includes(program.gid);
  return (program.mode & (inGroup ? 0o010 : 0o001)) !== 0;
}

function mayRead(credentials: Credentials, program: Program): boolean {
  if (credentials.effective.low & 6) return true; // CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
  if (credentials.fsuid === program.uid) return (program.mode & 0o400) !== 0;
  const inGroup = credentials.fsgid === program.gid || credentials.groups.includes(program.gid);
  return (program.mode & (inGroup ? 0o040 : 0o004)) !== 0;
}

function exec(state: State, index: number): Credentials | number {
  const program = PROGRAMS[index] as Program;
  if (!mayExecute(state.credentials, program)) return -13;
  const file: ExecFile = {
    uid: program.uid,
    gid: program.gid,
    mode: program.mode,
    capabilities: parseFileCapabilities(attribute(program)),
    nosuid: false,
  };
  const result = execCredentials(state.credentials, file);
  if (typeof result === 'number') return result;
  const { credentials, secure } = result;
  state.secure = secure ? 1 : 0;
  const own = credentials.euid === credentials.uid && credentials.egid === credentials.gid;
  state.dumpable = own && mayRead(state.credentials, program) ? 1 : 0;
  return credentials;
}

function format(result: number, state: State): string {
  const c = state.credentials;
  return [
    result,
    [c.uid, c.euid, c.suid, c.fsuid].join(),
    [c.gid, c.egid, c.sgid, c.fsgid].join(),
    c.groups.join(),
    formatCapabilities(c.effective),
    formatCapabilities(c.permitted),
    formatCapabilities(c.inheritable),
    formatCapabilities(c.bounding),
    formatCapabilities(c.ambient),
    c.securebits.toString(16),
    c.noNewPrivileges ? 1 : 0,
    state.dumpable,
    state.secure,
  ].join(' ');
}

/** A small generator of reproducible random numbers (mulberry32). */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}

function randomSequence(random: (below: number) => number): string {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
  const id = () => pick([0, 0, 1000, 1000, 1001, -1]);
  const caps = () =>
    pick([
      '0',
      '0x1ffffffffff',
      `${NET_RAW}`,
      `${SETUID | NET_RAW | CHOWN}`,
      `${CHOWN}`,
      '0x1fffffffeff',
      '0x100000001',
    ]);
  const capability = () => pick([0, 7, 8, 13, 40, 41]);
  const operations: readonly (() => string)[] = [
    () => `setuid ${id()}`,
    () => `setreuid ${id()} ${id()}`,
    () => `setresuid ${id()} ${id()} ${id()}`,
    () => `setfsuid ${id()}`,
    () => `setgid ${id()}`,
    () => `setregid ${id()} ${id()}`,
    () => `setresgid ${id()} ${id()} ${id()}`,
    () => `setfsgid ${id()}`,
    () => pick(['setgroups', 'setgroups 1000', 'setgroups 30 0 1001', 'setgroups 5 -1']),
    () => `capset ${caps()} ${caps()} ${caps()}`,
    () => `capset 0x1ffffffffff 0x1ffffffffff ${SETUID | NET_RAW | CHOWN}`,
    () => `keepcaps ${pick([0, 1, 1, 2])}`,
    () => `securebits ${pick([0, 1, 2, 4, 5, 0x10, 0x20, 0x30, 0x40, 0x100, 0x300, 0x500, 0x1000])}`,
    () => `drop ${capability()}`,
    () => `raise ${pick([0, 7, 13, 13, 41])}`,
    () => `lower ${capability()}`,
    () => (random(4) === 0 ? 'nnp' : `raise ${pick([0, 7, 13])}`),
    () => `exec ${random(PROGRAMS.length)}`,
    () => `exec ${random(PROGRAMS.length)}`,
    () => `exec ${random(PROGRAMS.length)}`,
  ];
  const length = 3 + random(7);
  return Array.from({ length }, () => pick(operations)()).join(';');
}

const FIXED = [
  'setuid 1000;setuid 0;exec 0',
  'keepcaps 1;setuid 1000;capset 0x2000 0x2080 0x2000;raise 13;exec 0;exec 0',
  'capset 0x1ffffffffff 0x1ffffffffff 0x2000;raise 13;setreuid 1000 0;exec 0',
  'setresuid 1000 1000 0;exec 0;setuid 0',
  'setgroups;setresgid 1000 1000 1000;setuid 1000;exec 4;exec 0',
  'setuid 1000;exec 1;exec 0',
  'setuid 1000;nnp;exec 1;exec 5',
  'setuid 1000;exec 5;exec 6;exec 7',
  'drop 13;setuid 1000;exec 5',
  'securebits 1;setuid 1000;exec 1',
  'securebits 5;setuid 1000;exec 1;exec 0',
  'setfsuid 1000;setfsuid 0;setresuid -1 1000 -1;setfsuid 0',
];

describe('credentials as the host kernel changes them', {
  skip: !canChange && 'needs root with CAP_SETUID, CAP_SETGID and CAP_SETPCAP',
}, () => {
  let directory = '';
  const oracle = () => join(directory, 'oracle');

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'credentials-'));
    chmodSync(directory, 0o755);
    const source = join(import.meta.dirname, 'credentials-oracle.c');
    execFileSync('cc', ['-O1', '-static', '-o', oracle(), source]);
    PROGRAMS.forEach((program, i) => {
      const path = join(directory, String(i));
      copyFileSync(oracle(), path);
      chownSync(path, program.uid, program.gid);
      chmodSync(path, program.mode);
      const value = attribute(program);
      if (value) {
        const hex = Buffer.from(value, 'latin1').toString('hex');
        const script = 'import os,sys; os.setxattr(sys.argv[1], "security.capability", bytes.fromhex(sys.argv[2]))';
        execFileSync('python3', ['-c', script, path, hex]);
      }
    });
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  function play(program: string, args: readonly string[], sequences: readonly string[]): string[] {
    const all = [...args, directory, ...sequences];
    const output = execFileSync(program, all, { encoding: 'utf8', maxBuffer: 64 << 20 });
    return output.split(/^# \d+\n/m).slice(1);
  }

  function compare(sequences: readonly string[]): void {
    const results = play(oracle(), [], sequences);
    sequences.forEach((sequence, i) => {
      const native = (results[i] as string).trimEnd().split('\n');
      const state = initialState();
      sequence.split(';').forEach((operation, step) => {
        const words = operation.split(' ');
        const ours = format(apply(state, words), state);
        assert.equal(ours, native[step], `step ${step} (${operation}) of '${sequence}'`);
      });
    });
  }

  test('known cases', () => compare(FIXED));

  test('random sequences', () => {
    const random = generator(20261120);
    compare(Array.from({ length: 1500 }, () => randomSequence(random)));
  });

  test('the same in a sandbox, with real programs executed', () => {
    const random = generator(7);
    const sequences = [...FIXED, ...Array.from({ length: 200 }, () => randomSequence(random))];
    // Both start with what the host side has: the sandbox gives up the rest.
    const own = `0x${formatCapabilities(ownCapabilities('CapPrm'))}`;
    const missing = Array.from({ length: 41 }, (_, c) => c).filter(
      (c) => !hasCapabilityIn(ownCapabilities('CapBnd'), c),
    );
    const start = ['setgroups', ...missing.map((c) => `drop ${c}`), `capset ${own} ${own} 0`];
    const played = sequences.map((sequence) => [...start, sequence].join(';'));
    const results = (output: string[]) => output.map((states) => states.split('\n').slice(start.length));
    const native = results(play(oracle(), [], played));
    const inside = results(play(CLOISTER, ['do', '--', oracle()], played));
    sequences.forEach((sequence, i) => {
      assert.deepEqual(inside[i], native[i], sequence);
    });
  });
});

test('capability sets are read and printed as /proc does', () => {
  assert.equal(formatCapabilities(parseCapabilities('000001ffffffffff')), '000001ffffffffff');
  assert.equal(formatCapabilities(parseCapabilities('ffffffffffffffff')), '000001ffffffffff');
  assert.equal(formatCapabilities(parseCapabilities('00000000a80425fb')), '00000000a80425fb');
});

test('file capabilities of other revisions and sizes', () => {
  const words = (...list: number[]) => Buffer.from(Uint32Array.from(list).buffer).toString('latin1');
  assert.deepEqual(parseFileCapabilities(words(0x01000001, 1, 2)), {
    permitted: { low: 1, high: 0 },
    inheritable: { low: 2, high: 0 },
    effective: true,
  });
  assert.equal(parseFileCapabilities(words(0x03000000, 1, 0, 0, 0, 1000)), null, 'of another namespace');
  assert.deepEqual(parseFileCapabilities(words(0x03000000, 1, 0, 0x300, 0, 0))?.permitted, { low: 1, high: 0x100 });
  assert.equal(parseFileCapabilities(words(0x02000000, 1, 0)), null);
  assert.equal(parseFileCapabilities(words(0x02000002, 1, 0, 0, 0)), null);
  assert.equal(parseFileCapabilities('short'), null);
});
