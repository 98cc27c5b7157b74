// The native parts under AddressSanitizer and UndefinedBehaviorSanitizer: what the stub captures of arguments (marshal.c),
// and the addon's methods with whatever JavaScript can pass (addon.ts, in a process of its own). corpus/marshal.txt has
// inputs for the first, a line each in hex: those that led libFuzzer to new places, and those that were ever found to crash.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { seed } from './random.ts';

const seconds = process.env.CLOISTER_FUZZ_SECONDS ?? '2';
const directory = mkdtempSync(join(tmpdir(), 'cloister-fuzz-'));
after(() => rmSync(directory, { recursive: true }));
const top = join(import.meta.dirname, '../..');
const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined', '-fno-omit-frame-pointer', '-g'];

const corpus = join(directory, 'corpus');
mkdirSync(corpus);
const inputs = readFileSync(join(import.meta.dirname, 'corpus/marshal.txt'), 'latin1')
  .trim()
  .split('\n');
for (const [index, hex] of inputs.entries()) writeFileSync(join(corpus, String(index)), Buffer.from(hex, 'hex'));

test(`what the stub captures (seed ${seed})`, () => {
  const program = join(directory, 'marshal');
  const files = readdirSync(corpus).map((name) => join(corpus, name));
  // No warnings: of the stub's functions only some are used, and some of what it uses here is the libc's.
  execFileSync('cc', ['-O1', '-w', ...SANITIZERS, join(import.meta.dirname, 'marshal.c'), '-o', program]);
  const { stdout, stderr, status } = spawnSync(program, [String(seed), seconds, ...files], { encoding: 'utf8' });
  assert.equal(status, 0, `seed ${seed}: ${stderr}`);
  assert.match(stdout, /^\d{4,} rounds\n$/);
});

if (process.env.CLOISTER_FUZZ_SECONDS !== undefined) {
  test(`what the stub captures, guided by coverage (seed ${seed})`, () => {
    const program = join(directory, 'guided');
    const flags = ['-O1', '-w', '-DLIBFUZZER', '-fsanitize=fuzzer', ...SANITIZERS];
    execFileSync('clang', [...flags, join(import.meta.dirname, 'marshal.c'), '-o', program]);
    const options = [`-seed=${seed}`, `-max_total_time=${seconds}`, '-max_len=1024', '-print_final_stats=1'];
    const { stderr, status } = spawnSync(program, [...options, corpus], {
      cwd: directory,
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    const crashes = readdirSync(directory).filter((name) => /^(crash|leak|timeout|oom)-/.test(name));
    const hex = crashes.map((name) => readFileSync(join(directory, name)).toString('hex'));
    assert.equal(status, 0, `seed ${seed}: ${stderr.slice(-8000)}\nfor corpus/marshal.txt: ${hex.join('\n')}`);
    assert.match(stderr, /stat::number_of_executed_units: \d{4,}/);
  });
}

test(`the addon's methods (seed ${seed})`, () => {
  const addon = join(directory, 'cloister.node');
  const sources = readdirSync(join(top, 'native/addon')).filter((name) => name.endsWith('.c'));
  const include = join(process.execPath, '../../include/node');
  const flags = ['-O1', '-std=gnu11', '-shared', '-fPIC', '-fvisibility=hidden', `-I${include}`, ...SANITIZERS];
  execFileSync('cc', [...flags, ...sources.map((name) => join(top, 'native/addon', name)), '-o', addon]);
  const runtime = execFileSync('cc', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim();
  const { stdout, stderr, status, signal } = spawnSync(
    process.execPath,
    [join(import.meta.dirname, 'addon.ts'), addon],
    {
      encoding: 'utf8',
      cwd: directory,
      timeout: 30_000 + 1000 * Number(seconds),
      killSignal: 'SIGKILL',
      env: { ...process.env, LD_PRELOAD: runtime, ASAN_OPTIONS: 'detect_leaks=0', CLOISTER_SEED: String(seed) },
    },
  );
  assert.equal(status, 0, `seed ${seed}: ${signal} ${stderr}`);
  assert.match(stdout, /^\d{4,} calls of \d{2,} methods\n$/);
});
