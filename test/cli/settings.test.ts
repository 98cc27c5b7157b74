// Settings of Cloister itself (command line, environment, configuration file), and making it known to docker.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CLOISTER } from './cloister.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-settings-'));
after(() => rmSync(scratch, { recursive: true }));
const file = join(scratch, 'config.json');

function run(env: Readonly<Record<string, string>>, ...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(CLOISTER, args, { encoding: 'utf8', env: { ...process.env, ...env } });
  return { status, stdout, stderr };
}

test('the command line goes before the environment, and that before the file', () => {
  const log = (name: string): string => join(scratch, name);
  writeFileSync(file, JSON.stringify({ root: join(scratch, 'none'), log: log('file'), 'log-format': 'json' }));
  const env = { CLOISTER_CONFIG: file };
  assert.equal(run(env, 'state', 'x').status, 1);
  assert.equal(run({ ...env, CLOISTER_LOG: log('environment') }, 'state', 'x').status, 1);
  assert.equal(run({ ...env, CLOISTER_LOG: log('environment') }, '--log', log('option'), 'state', 'x').status, 1);
  for (const name of ['file', 'environment', 'option']) {
    const lines = readFileSync(log(name), 'utf8').trim().split('\n');
    assert.equal(lines.length, 1, name);
    assert.equal((JSON.parse(lines[0] ?? '') as { level: string }).level, 'error');
  }
});

test('what is wrong in the environment or the file is named', () => {
  const refused: readonly (readonly [Record<string, string>, object, RegExp])[] = [
    [{}, { spin: 'fast' }, /config\.json: spin: /],
    [{}, { colour: 'red' }, /config\.json: .*colour/],
    [{}, { network: 'moon' }, /config\.json: network: Expected none/],
    [{ CLOISTER_PATCH: 'maybe' }, {}, /^cloister: CLOISTER_PATCH: expected true or false/],
    [{ CLOISTER_PLATFORM: 'kvm' }, {}, /^cloister: CLOISTER_PLATFORM: expected one of notify, ptrace/],
  ];
  for (const [env, document, message] of refused) {
    writeFileSync(file, JSON.stringify(document));
    const { status, stderr } = run({ CLOISTER_CONFIG: file, ...env }, 'list');
    assert.match(stderr, message);
    assert.equal(status, 1);
  }
  assert.match(run({ CLOISTER_CONFIG: join(scratch, 'absent') }, 'list').stderr, /CLOISTER_CONFIG: .*does not exist/);
});

test('install and uninstall change nothing else of a daemon.json', () => {
  const daemon = join(scratch, 'daemon.json');
  const before = { 'log-driver': 'json-file', runtimes: { runsc: { path: '/usr/bin/runsc' } } };
  writeFileSync(daemon, JSON.stringify(before));
  const docker = ['--docker-config', daemon, '--name', 'box'];
  assert.match(run({}, 'install', ...docker, '--path', '/opt/cloister').stdout, /names it now/);
  assert.deepEqual(JSON.parse(readFileSync(daemon, 'utf8')), {
    ...before,
    runtimes: { ...before.runtimes, box: { path: '/opt/cloister' } },
  });
  assert.match(run({}, 'install', ...docker, '--path', '/opt/cloister').stdout, /names it already/);
  assert.match(run({}, 'uninstall', ...docker).stdout, /names it no more/);
  assert.deepEqual(JSON.parse(readFileSync(daemon, 'utf8')), before);
  writeFileSync(daemon, '{ broken');
  assert.equal(run({}, 'install', ...docker).status, 1);
  assert.equal(readFileSync(daemon, 'utf8'), '{ broken');
});

test('what others are to be told', () => {
  assert.match(run({}, 'install', 'containerd').stdout, /BinaryName = "\/.*\/bin\/cloister"/);
  assert.match(run({}, 'install', 'crio', '--name', 'box').stdout, /\[crio\.runtime\.runtimes\.box\]/);
  assert.match(
    run({}, 'install', 'kubernetes').stdout,
    /kind: RuntimeClass\n.*\n {2}name: cloister\nhandler: cloister/,
  );
  assert.match(run({}, 'install', 'lxc').stderr, /^cloister: install: lxc is not known/);
});
