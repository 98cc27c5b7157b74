// The line discipline against the host's own: the same scenarios are played on a pty of the host (by host-pty.py) and on
// a Tty here, and everything that can be seen must be the same. Some scenarios are written down, many are random.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { O_NONBLOCK, O_RDWR } from '../../../src/abi/fcntl.ts';
import * as io from '../../../src/abi/ioctl.ts';
import { DevptsSuperblock } from '../../../src/fs/devpts/devpts.ts';
import { PtyMaster } from '../../../src/fs/devpts/master.ts';
import type { Tty } from '../../../src/fs/tty/tty.ts';
import { TtyFile } from '../../../src/fs/tty/tty-file.ts';
import { readBytes, SCRATCH, writeBytes } from '../../../src/platform/arena.ts';
import { AnonymousInode, anonymousPath } from '../../../src/vfs/anonymous.ts';
import { setUp } from '../../support/fake-guest.ts';

setUp();
const AT = SCRATCH + (8 << 20);

type Settings = [iflag: number, oflag: number, lflag: number, characters: Record<string, number>];
type Step = [verb: string, argument: string | number | Settings];
interface Scenario {
  settings: Settings;
  steps: Step[];
}

const IFLAG = io.ICRNL | io.IXON;
const OFLAG = io.OPOST | io.ONLCR;
const LFLAG = io.ISIG | io.ICANON | io.ECHO | io.ECHOE | io.ECHOK | io.ECHOCTL | io.ECHOKE | io.IEXTEN;

function playHost(scenarios: Scenario[], settle: number): unknown[][] {
  const script = join(import.meta.dirname, 'host-pty.py');
  const run = spawnSync('python3', [script, String(settle)], {
    input: JSON.stringify(scenarios),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  assert.equal(run.status, 0, run.stderr);
  return JSON.parse(run.stdout) as unknown[][];
}

function playHere({ settings, steps }: Scenario): unknown[] {
  const instance = new DevptsSuperblock([]);
  const tty = instance.allocate(false) as Tty;
  const inode = new AnonymousInode(0o20600);
  const flags = O_RDWR | O_NONBLOCK;
  const master = new PtyMaster(anonymousPath('ptmx', inode), inode, flags, tty, instance);
  const slave = new TtyFile(anonymousPath('0', inode), inode, flags, tty);
  const apply = ([iflag, oflag, lflag, characters]: Settings): void => {
    const wanted = tty.termios.copy();
    Object.assign(wanted, { iflag, oflag, lflag });
    for (const [index, value] of Object.entries(characters)) wanted.cc[Number(index)] = value;
    tty.setTermios(wanted);
  };
  const read = (file: PtyMaster | TtyFile, length: number): string | number => {
    const n = file.read(AT, length, 0);
    return n < 0 ? n : readBytes(AT, n);
  };
  apply(settings);
  return steps.map(([verb, argument]) => {
    switch (verb) {
      case 'type':
        return master.write(AT, writeBytes(AT, argument as string), 0);
      case 'write':
        return slave.write(AT, writeBytes(AT, argument as string), 0);
      case 'read':
        return read(slave, argument as number);
      case 'show':
        return read(master, 65536);
      case 'set':
        apply(argument as Settings);
        return 0;
      case 'available':
        return tty.discipline.countable;
      default:
        return slave.poll();
    }
  });
}

/** How long the host may take to move bytes between the sides, s: the last is for a machine under load. */
const PATIENCE = [0.003, 0.03, 0.2];

function compare(scenarios: Scenario[]): void {
  let open = scenarios;
  for (const settle of PATIENCE) {
    const expected = playHost(open, settle);
    open = open.filter((scenario, i) => {
      const actual = playHere(scenario);
      if (isDeepStrictEqual(actual, expected[i])) return false;
      if (settle < 0.2) return true;
      const log = (results: unknown[]): unknown[] => scenario.steps.map((step, s) => [...step, results[s]]);
      assert.deepEqual(log(actual), log(expected[i]), `settings ${JSON.stringify(scenario.settings)}`);
      return false;
    });
    if (open.length === 0) return;
  }
}

const noPython = spawnSync('python3', ['--version']).status !== 0 && 'python3 plays the reference';

/** A scenario that types something and looks at all there is to see. */
function typed(text: string, lflag = LFLAG, iflag = IFLAG, oflag = OFLAG, characters = {}): Scenario {
  const look: Step[] = [
    ['show', 0],
    ['available', 0],
    ['events', 0],
    ['read', 100],
    ['read', 100],
    ['read', 100],
    ['events', 0],
  ];
  return { settings: [iflag, oflag, lflag, characters], steps: [['type', text], ...look] };
}

test('lines, editing and echo are those of the host', { skip: noPython }, () => {
  compare([
    typed('hello\n'),
    typed('hello\rworld\r'),
    typed('abc\x7f\x7fd\n'),
    typed('one two  three\x17\x17x\n'),
    typed('one two\x15three\n'),
    typed('a\tb\tc\x7f\x7f\x7f\n'),
    typed('\tx\x15y\n'),
    typed('a\x01b\x7f\x7f\n'),
    typed('part\x04rest\x04\x04'),
    typed('\x04'),
    typed('ab\x16\x03\x16\x7fcd\n'),
    typed('abc\x12def\n'),
    typed('abc\x03def\n'),
    typed('abc\x1adef\n', LFLAG | io.NOFLSH),
    typed('abc\x1cdef\n'),
    typed('a\xc3\xa4b\x7f\x7f\x7f\n', LFLAG, IFLAG | io.IUTF8),
    typed('a\xc3\xa4b\x7f\x7f\x7f\n'),
    typed('abc\x7f\x15\n', LFLAG & ~io.ECHOE),
    typed('abc\x15def\n', LFLAG & ~io.ECHOKE),
    typed('abc\x15def\n', LFLAG & ~io.ECHOK),
    typed('abcd\x7f\x7fx\x7f\x7f\x7f\n', LFLAG | io.ECHOPRT),
    typed('a\tb\x7f\x7f\x17z\n', LFLAG | io.ECHOPRT),
    typed('abc\n', (LFLAG & ~io.ECHO) | io.ECHONL),
    typed('abc\x15x\x7fy\n', LFLAG & ~io.ECHO),
    typed('a\x01\x1b\n', LFLAG & ~io.ECHOCTL),
    typed('aBC\n', LFLAG, IFLAG | io.IUCLC),
    typed('a\xe1\n', LFLAG, IFLAG | io.ISTRIP),
    typed('a\rb\nc\n', LFLAG, (IFLAG & ~io.ICRNL) | io.INLCR),
    typed('a\rb\n', LFLAG, IFLAG | io.IGNCR),
    typed('a;b!c\n', LFLAG, IFLAG, OFLAG, { [io.VEOL]: 59, [io.VEOL2]: 33 }),
    typed('a\xffb\n', LFLAG, IFLAG | io.PARMRK),
    typed('abc', LFLAG & ~io.ICANON),
    typed('abc\x04\x7f', LFLAG & ~io.ICANON),
    typed('abc\x03', 0, 0, 0),
    typed('abc', 0, 0, 0, { [io.VMIN]: 5 }),
    typed('abcdef', 0, 0, 0, { [io.VMIN]: 5 }),
    typed('', 0, 0, 0, { [io.VMIN]: 0 }),
    typed('x\x13y\nz', LFLAG),
    typed('x\x13y\x11\nz', LFLAG),
    typed('x\x13yz\n', LFLAG, IFLAG | io.IXANY),
  ]);
});

test('reads cut lines and take end-of-file marks as the host does', { skip: noPython }, () => {
  const settings: Settings = [IFLAG, OFLAG, LFLAG, {}];
  compare([
    {
      settings,
      steps: [
        ['type', 'abcdef\nxyz\n'],
        ['read', 3],
        ['read', 3],
        ['read', 3],
        ['read', 10],
        ['read', 10],
      ],
    },
    {
      settings,
      steps: [
        ['type', 'abc\x04'],
        ['read', 3],
        ['read', 3],
        ['type', 'd\n'],
        ['read', 9],
      ],
    },
    {
      settings,
      steps: [
        ['type', 'abc\x04def\n'],
        ['read', 2],
        ['read', 2],
        ['read', 9],
        ['read', 9],
      ],
    },
    {
      settings,
      steps: [
        ['type', '\x04\x04abc\x04\x04'],
        ['read', 3],
        ['read', 3],
        ['read', 3],
        ['read', 3],
        ['read', 3],
      ],
    },
    {
      settings,
      steps: [
        ['type', 'abc'],
        ['set', [IFLAG, OFLAG, LFLAG & ~io.ICANON, {}]],
        ['read', 9],
      ],
    },
    {
      settings: [IFLAG, OFLAG, LFLAG & ~io.ICANON, {}],
      steps: [
        ['type', 'abc\ndef'],
        ['set', settings],
        ['events', 0],
        ['read', 2],
        ['read', 9],
        ['type', 'x\n'],
        ['read', 9],
      ],
    },
  ]);
});

test('a line longer than the buffer keeps its first bytes and can be ended', { skip: noPython }, () => {
  const settings: Settings = [IFLAG, OFLAG, LFLAG & ~io.ECHO, {}];
  const long = 'x'.repeat(3000);
  compare([
    {
      settings,
      steps: [
        ['type', long],
        ['type', `${'y'.repeat(2000)}z`],
        ['type', '\n'],
        ['available', 0],
        ['read', 5000],
        ['read', 9],
      ],
    },
  ]);
});

test('output is processed as on the host', { skip: noPython }, () => {
  const text = 'a\nb\tc\rd\be\x01f\n\r\rg\tHh\xe4\n';
  const flags = [
    OFLAG,
    0,
    io.OPOST,
    OFLAG | io.XTABS,
    OFLAG | io.OCRNL,
    OFLAG | io.ONOCR,
    io.OPOST | io.ONLRET,
    io.OPOST | io.ONLRET | io.OCRNL | io.ONOCR,
    OFLAG | io.OLCUC | io.XTABS,
  ];
  compare(
    flags.map((oflag) => ({
      settings: [IFLAG, oflag, LFLAG, {}] as Settings,
      steps: [
        ['write', text],
        ['show', 0],
        ['type', 'q\tr\x7f\x7f'],
        ['write', text],
        ['show', 0],
      ] as Step[],
    })),
  );
});

/** Numbers that are the same in every run. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 4294967296) * below);
  };
}

const KEYS = 'ab c_\t\n\r\x7f\x15\x17\x16\x12\x04\x03\x1a\x1c\x11\x01\x1b;\xc3\xa4\xe1\xff\x80';

function randomScenario(random: (below: number) => number): Scenario {
  const pick = (...flags: number[]): number => flags.reduce((sum, flag) => (random(2) ? sum | flag : sum), 0);
  const mostly = (flags: number, ...off: number[]): number =>
    off.reduce((sum, f) => (random(5) ? sum : sum & ~f), flags);
  const settings = (): Settings => [
    mostly(IFLAG, io.ICRNL, io.IXON) |
      (random(3) ? 0 : pick(io.INLCR, io.IGNCR, io.ISTRIP, io.IUTF8, io.IUCLC, io.PARMRK)),
    mostly(OFLAG, io.OPOST, io.ONLCR) | (random(3) ? 0 : pick(io.OCRNL, io.ONOCR, io.ONLRET, io.XTABS, io.OLCUC)),
    mostly(LFLAG, io.ICANON, io.ECHO, io.ECHOE, io.ECHOK, io.ECHOCTL, io.ECHOKE, io.IEXTEN, io.ISIG) |
      (random(3) ? 0 : pick(io.ECHONL, io.ECHOPRT, io.NOFLSH)),
    random(4) ? {} : { [io.VEOL]: 59, [io.VMIN]: random(4) },
  ];
  const steps: Step[] = [];
  for (let i = 0; i < 12; i++) {
    let text = '';
    for (let length = 1 + random(8); length > 0; length--) text += KEYS[random(KEYS.length)];
    steps.push(['type', text]);
    if (random(2)) steps.push(['show', 0]);
    if (random(3) === 0) steps.push(['available', 0], ['events', 0], ['read', 1 + random(12)]);
    if (random(6) === 0) steps.push(['write', 'out\tput\n']);
    if (random(12) === 0) steps.push(['set', settings()]);
  }
  steps.push(['show', 0], ['available', 0], ['read', 100], ['read', 100]);
  return { settings: settings(), steps };
}

test('random typing under random settings looks the same', { skip: noPython, timeout: 120_000 }, () => {
  const random = generator(20261120);
  compare(Array.from({ length: 60 }, () => randomScenario(random)));
});
