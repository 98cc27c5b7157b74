// The filesystems under load, checked against a model (exercise.c) and against the host's; and what is left on the host when
// a sandbox is killed in the midst of it. CLOISTER_STRESS_SECONDS=600 (npm run stress) makes each part that long.

import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CLOISTER } from '../cli/cloister.ts';

const SECONDS = Number(process.env.CLOISTER_STRESS_SECONDS ?? 0.3);
const OPERATIONS = 3000 + 20 * Math.floor(SECONDS);
const SEED = SECONDS > 1 ? String(Date.now() % 1_000_000) : '1';
const isRoot = process.getuid?.() === 0;

let directory = '';
let program = '';

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'exercise-'));
  program = join(directory, 'exercise');
  execFileSync('cc', ['-O1', '-Wall', '-Wextra', '-Werror', '-o', program, join(import.meta.dirname, 'exercise.c')]);
});
after(() => rmSync(directory, { recursive: true, force: true }));

/** What a run prints, natively or in a sandbox with these options. */
function run(command: readonly string[], args: readonly string[]): string {
  const all = [...command, program, ...args];
  const timeout = (2 * SECONDS + 120) * 1000;
  const { status, signal, stdout, stderr } = spawnSync(all[0], all.slice(1), {
    encoding: 'utf8',
    timeout,
    killSignal: 'SIGKILL',
    maxBuffer: 1 << 30,
  });
  assert.deepEqual({ status, signal, stderr }, { status: 0, signal: null, stderr: '' }, stdout.slice(-4000));
  return stdout;
}

const inside = (...options: string[]): string[] => [CLOISTER, 'do', ...options, '--'];

describe(`data, seed ${SEED}`, () => {
  const exercised = (options: string[], place: string): void => {
    assert.match(run(inside(...options), ['data', place, String(SECONDS), SEED]), /no difference/);
  };
  const fresh = (name: string): string => {
    mkdirSync(join(directory, name));
    return join(directory, name);
  };

  test('of a new file of an overlay', () => exercised([], '/var/tmp/new'));
  test('of a file below an overlay', () => {
    const lower = fresh('below');
    const before = Buffer.alloc(250_000, 'below');
    writeFileSync(join(lower, 'file'), before);
    exercised([], lower);
    assert.ok(before.equals(readFileSync(join(lower, 'file'))));
  });
  test('of a file in the directory of an overlay', () => {
    const upper = fresh('upper');
    const lower = fresh('below-a-directory');
    writeFileSync(join(lower, 'file'), Buffer.alloc(250_000, 'below'));
    exercised(['--overlay', upper], lower);
    assert.notEqual(statSync(join(upper, lower, 'file')).size, 0);
  });
  test('on tmpfs', () => exercised([], '/dev/shm/exercise'));
  test('on a bind', () => exercised(['--bind', `${fresh('bound')}:/mnt`], '/mnt'));
});

describe(`names, seed ${SEED}`, { skip: !isRoot && 'compares what root may do' }, () => {
  test('on every filesystem as on the host', () => {
    const start = join(directory, 'start');
    const native = run([], ['names', start, String(OPERATIONS), SEED]);
    const bound = join(directory, 'names-bound');
    mkdirSync(bound);
    const binds = ['--bind', `${bound}:/mnt`];
    for (const place of ['/var/tmp/names', '/dev/shm/names', '/mnt/names']) {
      const printed = run(inside(...binds), ['names', place, String(OPERATIONS), SEED]);
      assert.deepEqual(printed.split('\n'), native.split('\n'), place);
    }
    assert.equal(run([], ['list', join(bound, 'names')]), run([], ['list', start]));
    // And on what an overlay has below.
    const copy = join(directory, 'copy');
    execFileSync('cp', ['-a', '--no-target-directory', start, copy]);
    const above = run(inside(), ['names', start, String(OPERATIONS), `${SEED}1`]);
    const next = run([], ['names', copy, String(OPERATIONS), `${SEED}1`]);
    assert.deepEqual(above.split('\n'), next.split('\n'));
  });

  test('by several processes at once, and the host sees the same', () => {
    const bound = join(directory, 'crowd');
    mkdirSync(bound);
    const sandbox = inside('--bind', `${bound}:/mnt`);
    run(sandbox, ['crowd', '/mnt/tree', String(SECONDS), SEED]);
    const host = run([], ['list', join(bound, 'tree')]);
    assert.equal(run(sandbox, ['list', '/mnt/tree']), host);
    assert.ok(host.length > 0);
  });
});

describe('a full directory', () => {
  const number = SECONDS >= 300 ? 1_000_000 : 3000;
  for (const [name, place] of [
    ['an overlay', '/var/tmp/many'],
    ['tmpfs', '/dev/shm/many'],
    ['a bind', '/mnt/many'],
  ]) {
    test(`on ${name}`, () => {
      const bound = mkdtempSync(join(directory, 'many-'));
      const printed = run(inside('--bind', `${bound}:/mnt`), ['many', place, String(number)]);
      assert.equal(printed, `${number} made, ${number} listed, ${number} removed, 0\n`);
    });
  }
});

/** Runs a program in a sandbox until `until` says so of what it has printed, and kills the sandbox. What it printed. */
function killed(
  command: readonly string[],
  args: readonly string[],
  until: (text: string) => boolean,
): Promise<string> {
  return new Promise((done, failed) => {
    const child = spawn(command[0], [...command.slice(1), program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    let dead = false;
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (dead || !until(text)) return;
      dead = true;
      child.kill('SIGKILL');
    });
    child.on('error', failed);
    // Everyone who could write is gone.
    child.on('close', () => (dead ? done(text) : failed(new Error(`ended by itself: ${text}`))));
  });
}

describe('a sandbox that is killed', () => {
  for (const kind of ['overlay', 'bind']) {
    test(`leaves what was synced on the ${kind}`, async () => {
      const place = join(directory, `committed-${kind}`);
      const upper = join(directory, `upper-${kind}`);
      mkdirSync(place);
      mkdirSync(upper);
      for (let i = 0; i < 12; i++) writeFileSync(join(place, `file${i}`), Buffer.alloc(70_000));
      const options = kind === 'overlay' ? ['--overlay', upper] : ['--bind', `${place}:${place}`];
      let least = 20;
      for (const end = Date.now() + SECONDS * 1000; ; least = 1 + Math.floor(Math.random() * 60)) {
        const enough = least;
        const text = await killed(inside(...options), ['commit', place, SEED], (t) => t.split('\n').length > enough);
        const last = text.split('\n').slice(0, -1).at(-1) ?? '0';
        assert.match(run(inside(...options), ['committed', place, last]), /^whole up to/);
        if (kind === 'bind') assert.match(run([], ['committed', place, last]), /^whole up to/);
        for (let i = 0; i < 12; i++) execFileSync('truncate', ['-s', '0', join(place, `file${i}`)]);
        for (let i = 0; i < 12; i++) execFileSync('truncate', ['-s', '70000', join(place, `file${i}`)]);
        rmSync(upper, { recursive: true });
        mkdirSync(upper);
        if (Date.now() >= end) break;
      }
    });
  }

  test('while it copies a file up leaves the whole file', async () => {
    const place = join(directory, 'large');
    const upper = join(directory, 'upper-large');
    mkdirSync(place);
    mkdirSync(upper);
    const length = 160 << 20;
    writeFileSync(join(place, 'file'), Buffer.alloc(length, 'large'));
    const options = ['do', '--overlay', upper, '--', 'sh', '-c'];
    for (const wait of [20, 60]) {
      const file = join(place, 'file');
      const child = spawn(CLOISTER, [...options, `echo going; chmod 600 ${file}; echo done; sleep 100`], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await new Promise((going) => child.stdout.once('data', going));
      await new Promise((over) => setTimeout(over, wait));
      const gone = new Promise((over) => child.stdout.resume().on('close', over));
      child.kill('SIGKILL');
      await gone;
      const size = spawnSync(CLOISTER, [...options, `stat -c %s ${file}`], { encoding: 'utf8' }).stdout;
      assert.equal(size, `${length}\n`);
      rmSync(upper, { recursive: true });
      mkdirSync(upper);
    }
  });
});
