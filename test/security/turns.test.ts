// Long calls are served in turns (src/kernel/turns.ts): they answer what they answer on the host, and none of them keeps
// the sentry's loop for longer than a few milliseconds, in which nobody else is served.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { linkSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CLOISTER } from '../cli/cloister.ts';
import { compile, sharedDirectory } from './programs.ts';
import { longTurns } from './turns.ts';

const directory = sharedDirectory();
const program = compile('turns', directory);
/** Milliseconds of the CPU that one turn may take here, where others want the CPU too. It is meant to take three. */
const MOST = 30;

for (const place of ['memory', 'a directory of the host']) {
  test(`long calls on files in ${place}`, () => {
    const files = join(directory, place.replaceAll(' ', '-'));
    mkdirSync(files);
    const expected = execFileSync(program, [files], { encoding: 'utf8' });
    const bind = place === 'memory' ? `${directory}:/host:ro` : `${files}:/dev/shm`;
    const args = ['do', '--stats', '--bind', `${directory}:${directory}:ro`, '--bind', bind, '--', program, '/dev/shm'];
    const { stdout, stderr, status } = spawnSync(CLOISTER, args, { encoding: 'utf8', timeout: 120_000 });
    assert.equal(status, 0, stderr);
    assert.equal(stdout, expected);
    checkTurns(stderr);
  });
}

function checkTurns(statistics: string, most = MOST): void {
  assert.deepEqual(longTurns(statistics, most), []);
}

for (const upper of ['memory', 'a directory']) {
  test(`files of an overlay are copied up to ${upper} in turns, whoever asks`, () => {
    const files = join(directory, `lower-${upper.replaceAll(' ', '-')}`);
    const above = join(directory, 'upper');
    mkdirSync(files);
    mkdirSync(above, { recursive: true });
    const size = 64 << 20;
    for (const name of ['a', 'b', 'c']) writeFileSync(join(files, name), Buffer.alloc(size, `${name} below `));
    // Two who want to write to one file, one who only changes another, and one who gives up half-way;
    // and one whose data somebody cuts off meanwhile.
    const script = `cd ${files}; before=$(md5sum <a)
      echo one >>a & echo two >>a & chmod 640 b & (echo three >>b) & kill -9 $! ; wait
      stat -c '%n %a' b; tail -c 8 a | sort; [ "$(head -c ${size} a | md5sum)" = "$before" ] && echo same
      (echo four >>c) & sleep 0.02; : >c; wait; case $(stat -c %s c) in 0 | 5) echo cut ;; esac
      truncate -s $((${size} / 2)) b; stat -c %s b; head -c 8 b`;
    const overlay = upper === 'memory' ? upper : above;
    const args = ['do', '--stats', '--overlay', overlay, '--', 'sh', '-c', script];
    const { stdout, stderr, status } = spawnSync(CLOISTER, args, { encoding: 'utf8', timeout: 120_000 });
    assert.equal(status, 0, stderr);
    assert.equal(stdout, `b 640\none\ntwo\nsame\ncut\n${size / 2}\nb below `);
    checkTurns(stderr, MOST / 2);
    assert.equal(statSync(join(files, 'a')).size, size);
  });
}

test('maps and smaps of a process with tens of thousands of mappings', () => {
  const many = compile('many-maps', directory);
  const expected = '/proc/self/maps: all, the same in small pieces\n/proc/self/smaps: all, the same in small pieces\n';
  const args = ['do', '--stats', '--bind', `${directory}:${directory}:ro`, '--', many];
  const { stdout, stderr, status } = spawnSync(CLOISTER, args, { encoding: 'utf8', timeout: 120_000 });
  assert.equal(status, 0, stderr);
  assert.equal(stdout, expected);
  checkTurns(stderr);
});

test('fsync of a large file has it written piece by piece first', () => {
  const files = join(directory, 'synced');
  mkdirSync(files);
  const script =
    'dd if=/dev/zero of=/mnt/large bs=1M count=80 conv=fsync status=none && dd if=/dev/zero of=/mnt/small count=9 conv=fsync status=none && echo synced';
  const args = ['do', '--stats', '--bind', `${files}:/mnt`, '--', 'sh', '-c', script];
  const { stdout, stderr, status } = spawnSync(CLOISTER, args, { encoding: 'utf8', timeout: 120_000 });
  assert.equal(status, 0, stderr);
  assert.equal(stdout, 'synced\n');
  assert.equal(statSync(join(files, 'large')).size, 80 << 20);
  // 80 MiB in pieces of 32, and then the file as a whole; of the small one nothing needs to be begun.
  assert.match(stderr, /\bsync_file_range 3\b/);
  assert.match(stderr, /\bfsync 2\b/);
});

/** A guest that has very much of one thing (exhaust.c), and ends with it: also what its exit frees. */
const HOARDS = ['files', 'timers', 'processes', 'epoll', 'watches'];

test('those who have hundreds of thousands of things, or processes', () => {
  const hoard = compile('exhaust', directory);
  const script = `for thing in ${HOARDS.join(' ')}; do ${hoard} $thing >/dev/null; done; cat /proc/1/smaps_rollup >/dev/null; echo done`;
  const args = ['do', '--stats', '--bind', `${directory}:${directory}:ro`, '--', 'sh', '-c', script];
  const { stdout, stderr, status } = spawnSync(CLOISTER, args, { encoding: 'utf8', timeout: 120_000 });
  assert.equal(status, 0, stderr);
  assert.equal(stdout, 'done\n');
  // Tables that grow to hundreds of thousands of entries are copied at once, and the collector has its share.
  checkTurns(stderr, 150);
});

test('the first listing of a large directory', () => {
  // Half of its names are the host's, half are in the overlay's memory.
  const files = join(directory, 'many');
  const half = 25_000;
  mkdirSync(files);
  writeFileSync(join(files, '0'), '');
  for (let i = 1; i < half; i++) linkSync(join(files, '0'), join(files, String(i)));
  const script = `import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (50000, 50000))
last = [os.open('/dev/null', os.O_RDONLY) for i in range(40000)][-1]
print([len([name for name in os.listdir('/proc/self/' + place) if int(name) <= last]) - last for place in ('fd', 'fdinfo')])
os.chdir('${files}')
for i in range(${half}, ${2 * half}): os.mknod(str(i))
fd = os.open('.', os.O_RDONLY)
print(len(set(os.listdir(fd))), sum(int(name) for name in os.listdir(fd)))`;
  const args = ['do', '--stats', '--', 'python3', '-c', script];
  const { stdout, stderr, status } = spawnSync(CLOISTER, args, { encoding: 'utf8', timeout: 120_000 });
  assert.equal(status, 0, stderr);
  assert.equal(stdout, `[1, 1]\n${2 * half} ${half * (2 * half - 1)}\n`);
  assert.match(stderr, /\bgetdents64 on\b/);
  const listings = longTurns(stderr, MOST).filter((turn) => turn.startsWith('getdents'));
  assert.deepEqual(listings, []);
});

test('core files of large and of wide programs', () => {
  const core = compile('core', directory);
  const script = `cd /dev/shm && echo core.%p >/proc/sys/kernel/core_pattern && ${core}; echo $?; ls /dev/shm`;
  const args = ['do', '--stats', '--bind', `${directory}:${directory}:ro`, '--', 'sh', '-c', script];
  const { stdout, stderr, status } = spawnSync(CLOISTER, args, { encoding: 'utf8', timeout: 120_000 });
  assert.equal(status, 0, stderr);
  const all = ['a desert', 'much', 'several threads'].map((what) => `${what}: signal 6, all\n`).join('');
  assert.equal(stdout, `${all}killed: signal 9, no core\n0\n`);
  checkTurns(stderr, 100);
});
