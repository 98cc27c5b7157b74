// Nothing is left behind (leaks.c): a sandbox in which things of a kind were made and dropped many times has no more
// tasks, objects, descriptors and host processes than one in which they were made a few times.
// CLOISTER_LEAK_CYCLES=10000 looks harder.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { sharedDirectory } from '../security/programs.ts';
import { Sandbox } from '../security/sandbox.ts';

const MANY = Number(process.env.CLOISTER_LEAK_CYCLES ?? 1000);
/** As many as fill the caches, and have most of the sentry compiled. */
const FEW = 400;
const KINDS = ['processes', 'threads', 'sockets', 'pipes', 'files', 'mounts', 'ipc'] as const;

const directory = sharedDirectory();
const program = join(directory, 'leaks');
const source = join(import.meta.dirname, 'leaks.c');
execFileSync('cc', ['-O1', '-static', '-pthread', '-Wall', '-Wextra', '-Werror', source, '-o', program]);

interface Left {
  readonly descriptors: number;
  readonly guests: number;
  /** Tasks, processes, process groups, sessions. */
  readonly counts: string;
  readonly objects: number;
  /** KiB */
  readonly heap: number;
}

async function leftAfter(kind: string, cycles: number): Promise<Left> {
  const sandbox = new Sandbox(['--stats', '--bind', `${directory}:${directory}:ro`]);
  const { output, status } = await sandbox.run(`${program} ${kind} ${cycles}`, 600_000);
  assert.deepEqual({ output, status }, { output: '', status: 0 }, sandbox.errors);
  // Host processes and what is made ahead of need come and go a little later.
  await sleep(200);
  const guests = sandbox.guests().length;
  const descriptors = readdirSync(`/proc/${sandbox.sentry().pid}/fd`).length;
  assert.equal(await sandbox.end(), 42);
  const found = /left at the end: (.*); (\d+) objects, (\d+) KiB of heap/.exec(sandbox.errors);
  assert.ok(found, sandbox.errors);
  return { descriptors, guests, counts: found[1] as string, objects: Number(found[2]), heap: Number(found[3]) };
}

for (const kind of KINDS) {
  test(kind, async () => {
    const [few, many] = await Promise.all([leftAfter(kind, FEW), leftAfter(kind, MANY)]);
    const told = JSON.stringify({ few, many });
    assert.equal(many.counts, few.counts, told);
    // Blank processes and slots are made ahead of need, and an end may find some more or less of them.
    assert.ok(many.descriptors - few.descriptors <= 12, told);
    assert.ok(many.guests - few.guests <= 4, told);
    // A thing that leaks has several objects; what is compiled later has some hundreds, too.
    assert.ok(many.objects - few.objects < MANY - FEW + 600, told);
    assert.ok(many.heap - few.heap < 1024 + MANY / 20, told);
  });
}
