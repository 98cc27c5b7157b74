// Containers of one sandbox against each other (pods.c): what one has in files, memory, sockets, segments, queues and
// descriptors the other does not get at, though it is root with many capabilities. An observer outside looks at the victim.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { needsRoot, Pod } from './pod.ts';
import { compile, sharedDirectory } from './programs.ts';

const TOKEN = `secret-${process.pid}-${Date.now()}`;
let pod: Pod | undefined;
after(() => pod?.end()); // before its directories go
const directory = sharedDirectory();
const programs = sharedDirectory();

test("a container looks for what is another one's, and an exec is in the one that it names", {
  skip: needsRoot,
}, async () => {
  compile('pods', programs);
  pod = new Pod(directory, programs);
  pod.start('victim', ['/programs/pods', 'victim', TOKEN]);
  for (let i = 0; i < 200 && pod.said('victim') === ''; i++) await sleep(20);
  assert.equal(pod.said('victim'), 'ready\n');
  pod.start('attacker', ['/programs/pods', 'attacker', TOKEN]);
  for (let i = 0; i < 1000 && pod.state('attacker').status !== 'stopped'; i++) await sleep(50);
  assert.equal(pod.said('attacker'), 'held\n');
  assert.equal(pod.state('victim').status, 'running');
  assert.equal(pod.state('pod').status, 'running');

  pod.start('third', ['sleep', '100000']);
  for (const name of ['third', 'victim', 'pod']) {
    assert.equal(pod.succeed('exec', name, 'cat', '/etc/name', '/proc/1/root/etc/name'), `${name}\n`.repeat(2));
    assert.equal(pod.succeed('exec', name, 'sh', '-c', 'cd ../../..; cat etc/name'), `${name}\n`);
    assert.equal(pod.run('exec', '--cwd', '/proc/1/root/../../../..', name, 'cat', 'etc/name').text, `${name}\n`);
    // There are two of them: the container's own first process, and this one. The sandbox's own sees all.
    if (name === 'pod') continue;
    assert.match(pod.succeed('exec', name, 'sh', '-c', 'cd /proc; echo [0-9]*'), /^1 \d+\n$/);
  }
  assert.doesNotMatch(pod.succeed('exec', 'third', 'cat', '/proc/1/cmdline'), /pods/);
});
