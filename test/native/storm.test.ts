// The register storm (storm.c), patched call sites (sites.c) and calls that block (parked.c): the same natively and in the
// sandbox, whichever way calls take.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

const top = join(import.meta.dirname, '../..');
let directory: string;
let storm: string;
let sites: string;
let parked: string;

/** The ways of a call: sites patched or all trapping, the sentry spinning or rung for. */
const WAYS = [[], ['--no-patch'], ['--spin', 'off'], ['--no-patch', '--spin', 'off']];

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'cloister-storm-'));
  chmodSync(directory, 0o755);
  storm = join(directory, 'storm');
  const wide = readFileSync('/proc/cpuinfo', 'latin1').includes(' avx512f ') ? ['-mavx512f'] : [];
  // The vector registers of the loop are the program's own: the compiler must not use them.
  const flags = ['-O1', '-static', '-fno-tree-vectorize', '-fcf-protection=none', ...wide];
  execFileSync('cc', [...flags, join(import.meta.dirname, 'storm.c'), '-o', storm]);
  sites = join(directory, 'sites');
  execFileSync('cc', ['-O2', '-static', '-pthread', join(import.meta.dirname, 'sites.c'), '-o', sites]);
  parked = join(directory, 'parked');
  execFileSync('cc', ['-O2', '-static', '-Wall', '-Werror', join(import.meta.dirname, 'parked.c'), '-o', parked]);
});

after(() => rmSync(directory, { recursive: true }));

test('registers, red zone and vectors survive a storm of signals natively', () => {
  assert.equal(
    execFileSync(storm, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    '3000 signals, 0 of the calls bad\n',
  );
});

function checkInSandbox(way: readonly string[], program: string, expected: string): void {
  const args = ['do', ...way, '--bind', `${directory}:${directory}:ro`, '--', program];
  const { stdout, stderr } = spawnSync(join(top, 'bin/cloister'), args, { encoding: 'utf8', timeout: 120_000 });
  assert.equal(stdout, expected, stderr);
}

test('no call is lost or answered wrongly when both sides stall at random', () => {
  // A copy of what was built, with a stub and an addon that stall (native/stall.h).
  const built = join(directory, 'dist');
  cpSync(join(top, 'dist'), built, { recursive: true });
  const make = ['--silent', '-C', join(top, 'native'), `DIST=${built}`, 'STALLS=1', '--assume-new=stall.h'];
  execFileSync('make', [...make, `${built}/stub`, `${built}/cloister.node`], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  for (const program of [sites, parked]) {
    const args = [join(built, 'cli.js'), 'do', '--bind', `${directory}:${directory}:ro`, '--', program];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 120_000 });
    assert.equal(stdout, execFileSync(program, { encoding: 'utf8' }), stderr);
  }
});

for (const way of WAYS) {
  const name = way.join(' ') || 'by default';
  test(`registers, red zone and vectors survive a storm of signals in the sandbox, ${name}`, () => {
    checkInSandbox(way, storm, '3000 signals, 0 of the calls bad\n');
  });

  test(`call sites under eight threads give the right answers, ${name}`, () => {
    const expected = execFileSync(sites, { encoding: 'utf8' });
    assert.doesNotMatch(expected, /[1-9]\d* wrong/);
    checkInSandbox(way, sites, expected);
  });

  test(`who waits for another is woken, ${name}`, () => {
    const expected = execFileSync(parked, { encoding: 'utf8' });
    assert.equal(expected, '18000 of 18000\n');
    checkInSandbox(way, parked, expected);
  });
}

test('sites that no single store can change are patched while threads run through them', () => {
  const args = ['do', '--stats', '--bind', `${directory}:${directory}:ro`, '--', sites, 'some'];
  const { stdout, stderr } = spawnSync(join(top, 'bin/cloister'), args, { encoding: 'utf8', timeout: 120_000 });
  assert.equal(stdout, 'read pair: 0 wrong\nwide pair: 0 wrong\nstraddling: 0 wrong\n');
  const [, calls] = /answered by the sentry: (\d+)/.exec(stderr) ?? [];
  const [, trapped] = /of them by a trap: (\d+)/.exec(stderr) ?? [];
  assert.ok(Number(calls) >= 48_000 && Number(trapped) < 6_000, stderr);
});
