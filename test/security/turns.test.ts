// Long calls are served in turns (src/kernel/turns.ts): they answer what they answer on the host, and none of them keeps
// the sentry's loop for longer than a few milliseconds, in which nobody else is served.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CLOISTER } from '../cli/cloister.ts';
import { compile, sharedDirectory } from './programs.ts';

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
    const turns = /longest turns of the sentry's loop, ms: (.*)/.exec(stderr)?.[1]?.split(', ') ?? [];
    assert.ok(turns.length > 5, stderr);
    const long = turns.filter((turn) => Number(/ ([\d.]+) of /.exec(turn)?.[1]) > MOST);
    assert.deepEqual(long, []);
  });
}
