// Every system call with hostile arguments, from many processes and threads (calls.c), watched from the host: the
// sandbox goes on working, the host's files are what they were, no host process is left, and what guest processes ask
// of the host is in the vetted table. Meanwhile the sentry looks whether all that must hold of its data holds, every some
// turns of its loop and at the end. CLOISTER_SEED repeats a run, CLOISTER_FUZZ_SECONDS makes it longer.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { STUB_CALLS } from '../../syscall-tables/stub.ts';
import { ENTRIES, TABLE } from '../../syscall-tables/table.ts';
import { callsHeader } from './calls-table.ts';
import { compile, sharedDirectory } from './programs.ts';
import { assertGone, Sandbox } from './sandbox.ts';

const seed = Number(process.env.CLOISTER_SEED ?? Date.now() % 1_000_000);
const seconds = Number(process.env.CLOISTER_FUZZ_SECONDS ?? 10);
const directory = sharedDirectory();
writeFileSync(join(directory, 'calls-table.h'), callsHeader());
const program = compile('calls', directory);
process.env.CLOISTER_CHECK = '50';

/** The last calls of every thread, where a sandbox left them. */
function lastCalls(log: string): string {
  const lines = readFileSync(log, 'latin1').replaceAll('\0', '').split('\n');
  return lines.map((line) => `${TABLE[Number.parseInt(line, 16)]?.name} ${line.trimEnd()}`).join('\n');
}

/**
 * uretprobe(2) and uprobe(2), which the kernel lets pass every filter (seccomp_uprobe_exception). They refuse whoever is
 * not a trampoline of uprobes.
 */
const UNFILTERED = new Set(['syscall_0x14f', 'syscall_0x150', 'uretprobe', 'uprobe']);

/** strace calls those that it does not know by their numbers. */
function nameOf(name: string | undefined): string | undefined {
  const number = /^syscall_(0x[0-9a-f]+)$/.exec(name ?? '')?.[1];
  return number === undefined ? name : (TABLE[Number(number)]?.name ?? name);
}

/** A tree of the host that everybody may write to, seen through the sandbox's overlay. */
function makeTree(name: string): string {
  const top = join(directory, name);
  for (const path of ['', 'c', 'c/d', 'fuzz']) {
    mkdirSync(join(top, path));
    chmodSync(join(top, path), 0o777);
  }
  for (const path of ['a', 'b', 'c/a', 'c/d/b']) {
    writeFileSync(join(top, path), `the host's ${path}\n`.repeat(100));
    chmodSync(join(top, path), 0o666);
  }
  symlinkSync('a', join(top, 'link'));
  return top;
}

/** One line for each file of a tree, with all that could have changed. */
function fingerprint(path: string): string[] {
  const status = lstatSync(path, { bigint: true });
  const { mode, uid, gid, size, nlink, mtimeNs, ctimeNs } = status;
  const content = status.isFile() ? readFileSync(path) : status.isSymbolicLink() ? readlinkSync(path) : '';
  const line = [
    path,
    mode,
    uid,
    gid,
    size,
    nlink,
    mtimeNs,
    ctimeNs,
    createHash('sha256').update(content).digest('hex'),
  ];
  const below = status.isDirectory() ? readdirSync(path).sort() : [];
  return [line.join(' '), ...below.flatMap((name) => fingerprint(join(path, name)))];
}

for (const user of ['nobody', 'root']) {
  test(`hostile arguments of every call, as ${user} (seed ${seed})`, async () => {
    const tree = makeTree(user);
    const before = fingerprint(tree);
    const name = hostname();
    const log = join(directory, `log-${user}`);
    writeFileSync(log, '');
    const sandbox = new Sandbox(['--bind', `${log}:${log}`]);
    const command = `${program} ${seed} ${seconds} 4 ${tree} ${user} ${log} </dev/null`;
    // Root may well stop or kill the program that counts, and the shell: then only the sentry and the host are looked at.
    const outcome = sandbox.run(command, seconds * 1000 + 30_000);
    const { output, status } =
      user === 'nobody' ? await outcome : await outcome.catch(() => ({ output: '', status: 137 }));
    if (status < 128) {
      assert.equal(status, 0, `${output}\n${sandbox.errors}`);
      const calls = Number(/(\d+) calls by \d+ processes\n$/.exec(output)?.[1]);
      assert.ok(calls > 200 * seconds, output);
    }
    if (user === 'nobody') assert.equal(status, 0);
    if (user === 'nobody') await sandbox.assertWell();
    if (/bug|sentry was killed|invariant/.test(sandbox.errors)) assert.fail(`${sandbox.errors}\n${lastCalls(log)}`);
    const pids = sandbox.processes().map(({ pid }) => pid);
    if (user === 'nobody') assert.equal(await sandbox.end(), 42);
    else if (pids.length > 0) process.kill(sandbox.launcher, 'SIGKILL');
    await assertGone(pids);
    assert.deepEqual(fingerprint(tree), before);
    assert.equal(hostname(), name);
  });
}

test(`guest processes make no host calls but the vetted ones (seed ${seed})`, async () => {
  const vetted = new Set(STUB_CALLS.map((call) => call.name));
  for (const { name, disposition } of ENTRIES) if (disposition === 'native') vetted.add(name);
  const logs = join(directory, 'logs');
  mkdirSync(logs);
  // Whoever is traced by strace(1) cannot be by the sentry.
  const sandbox = new Sandbox(['--platform', 'notify'], ['strace', '-ff', '-qq', '-s', '0', '-o', join(logs, 'log')]);
  const tree = makeTree('traced');
  const { output, status } = await sandbox.run(`${program} ${seed} 5 3 ${tree} </dev/null`, 120_000);
  assert.equal(status, 0, output);
  await sandbox.assertWell();
  assert.equal(await sandbox.end(), 42);

  const seen = new Map<string, number>();
  let trapped = 0;
  for (const log of readdirSync(logs).map((file) => readFileSync(join(logs, file), 'latin1'))) {
    if (!log.includes('\nsyscall_0x3e8(')) continue; // nobody but a guest's stub rings
    // The zygote's own start, before it has its filter.
    const filtered = log.indexOf('\nseccomp(');
    const lines = log.slice(filtered < 0 ? 0 : log.indexOf('\n', filtered + 1) + 1).split('\n');
    for (const [i, line] of lines.entries()) {
      const name = nameOf(/^(\w+)\(/.exec(line)?.[1]);
      if (name === undefined || name === 'syscall_0x3e8') continue;
      // The process ended when it was about to be made: nobody knows what would have become of it.
      if (/ = \?$/.test(line) && /^\+\+\+ (killed|exited)/.test(lines[i + 1] ?? '')) continue;
      if (/^--- SIGSYS \{si_signo=SIGSYS, si_code=SYS_SECCOMP/.test(lines[i + 1] ?? '')) trapped++;
      else seen.set(name, (seen.get(name) ?? 0) + 1);
    }
  }
  assert.ok(trapped > 500, `only ${trapped} calls were trapped`);
  assert.ok((seen.get('rt_sigreturn') ?? 0) + (seen.get('mmap') ?? 0) > 100, 'the log of the guests is not there');
  const strange = [...seen].filter(([name]) => !vetted.has(name) && !UNFILTERED.has(name));
  assert.deepEqual(strange, []);
});
