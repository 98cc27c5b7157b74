// Servers in a sandbox, used from outside through a veth pair, and clients in a sandbox that use a server there.

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CLOISTER } from '../cli/cloister.ts';
import { makeVeth, skipsVeth, type Veth } from '../support/veth.ts';

const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

describe('programs that talk to the outside', { skip: skipsVeth }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'outside-programs-'));
  const large = randomBytes(10 << 20);
  const running: ChildProcess[] = [];
  let veth: Veth;
  let server: Server;

  before(async () => {
    veth = makeVeth(4);
    writeFileSync(join(directory, 'large'), large);
    writeFileSync(join(directory, 'small'), 'small\n');
    server = createServer((request, response) => {
      if (request.url === '/large') response.end(large);
      else request.pipe(response);
    }).listen(0, veth.outside);
    await once(server, 'listening');
  });

  after(async () => {
    for (const child of running) {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
    }
    server.closeAllConnections();
    server.close();
    veth.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  function serve(...program: string[]): void {
    const args = ['do', '--network', veth.path, '--bind', `${directory}:/srv:ro`, '--', ...program];
    running.push(spawn(CLOISTER, args, { stdio: 'ignore' }));
  }

  async function eventually(command: string, args: readonly string[]): Promise<string> {
    for (let tries = 0; ; tries++) {
      try {
        return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 5000 });
      } catch (error) {
        if (tries >= 50) throw error;
        await sleep(100);
      }
    }
  }

  test('redis', async () => {
    serve('redis-server', '--bind', '0.0.0.0', '--protected-mode', 'no', '--save', '', '--dir', '/tmp');
    const cli = ['-h', veth.inside];
    assert.equal(await eventually('redis-cli', [...cli, 'ping']), 'PONG\n');
    const value = large.subarray(0, 1 << 20).toString('base64');
    assert.equal(execFileSync('redis-cli', [...cli, '-x', 'set', 'big'], { input: value, encoding: 'utf8' }), 'OK\n');
    assert.equal(
      execFileSync('redis-cli', [...cli, 'get', 'big'], { encoding: 'utf8', maxBuffer: 1 << 24 }).trim(),
      value,
    );
    const bench = ['-h', veth.inside, '-n', '2000', '-c', '30', '-P', '4', '-t', 'get,set,lpush', '-q'];
    assert.doesNotThrow(() => execFileSync('redis-benchmark', bench, { stdio: 'pipe', timeout: 20000 }));
  });

  test('nginx', async () => {
    const conf = `daemon off; pid /tmp/pid; error_log /dev/null; user root; worker_processes 2;
      events { worker_connections 256; }
      http { access_log off; sendfile on; tcp_nopush on; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p;
        fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
        server { listen 80; listen [::]:80; root /srv; } }`;
    writeFileSync(join(directory, 'conf'), conf);
    serve('nginx', '-p', '/tmp', '-c', '/srv/conf');
    assert.equal(await eventually('curl', ['-sSf', `http://${veth.inside}/small`]), 'small\n');
    assert.equal(await eventually('curl', ['-sSf', `http://[${veth.inside6}]/small`]), 'small\n');
    const url = `http://${veth.inside}/large`;
    const got = execFileSync('curl', ['-sSf', url], { maxBuffer: 32 << 20 });
    assert.equal(sha256(got), sha256(large));
    const part = execFileSync('curl', ['-sSf', '-r', '1000-1999', url]);
    assert.deepEqual(part, large.subarray(1000, 2000));
    const many = Array.from({ length: 10 }, async () => {
      const response = await fetch(url);
      return sha256(Buffer.from(await response.arrayBuffer()));
    });
    assert.deepEqual(new Set(await Promise.all(many)), new Set([sha256(large)]));
  });

  test('curl', async () => {
    const url = `http://${veth.outside}:${(server.address() as AddressInfo).port}`;
    // Several over one connection, as package managers do; a large one each way.
    const script = `curl -sSf ${url}/large ${url}/large | sha256sum; head -c 3000000 /srv/large | curl -sSf --data-binary @- ${url}/echo | sha256sum`;
    const bind = ['--bind', `${directory}:/srv:ro`];
    const child = spawn(CLOISTER, ['do', '--network', veth.path, ...bind, '--', 'sh', '-c', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    running.push(child);
    let stdout = '';
    child.stdout.setEncoding('latin1').on('data', (text: string) => (stdout += text));
    await once(child, 'close');
    const wanted = [Buffer.concat([large, large]), large.subarray(0, 3000000)];
    assert.deepEqual(
      stdout.trimEnd().split('\n'),
      wanted.map((data) => `${sha256(data)}  -`),
    );
  });
});
