// Egress policies at work: a sandbox with a veth pair, on whose other end are a server and a resolver.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CLOISTER } from '../cli/cloister.ts';
import { dnsAnswer, dnsQuestion } from '../support/dns.ts';
import { makeVeth, skipsVeth, type Veth } from '../support/veth.ts';

const PROGRAM = join(import.meta.dirname, 'egress.py');
const NAMES = ['web.good.test', 'evil.test'];
/** Names whose answers are meant to deceive. */
const NEAR = new Map([
  ['near.good.test', '\x7f\0\0\x01'],
  ['metadata.good.test', '\xa9\xfe\xa9\xfe'],
]);

describe('egress policies', { skip: skipsVeth }, () => {
  let veth: Veth;
  let server: Server;
  let tcpResolver: Server;
  let resolver: UdpSocket;
  const asked: string[] = [];
  const directory = mkdtempSync(join(tmpdir(), 'egress-'));

  function answer(query: Buffer): Buffer {
    const { name, type } = dnsQuestion(query);
    asked.push(name);
    const address = String.fromCharCode(...veth.outside.split('.').map(Number));
    const near = NEAR.get(name);
    if (near && type === 1) return dnsAnswer(query, [{ type: 1, data: near }]);
    if (name === 'chain.good.test' && type === 1)
      return dnsAnswer(query, [
        { type: 5, data: '\x05alias\x04evil\x04test\0' },
        { owner: 'alias.evil.test', type: 5, data: '\x03end\x04evil\x04test\0' },
        { owner: 'end.evil.test', type: 1, data: address },
      ]);
    return dnsAnswer(query, NAMES.includes(name) && type === 1 ? [{ type: 1, data: address }] : []);
  }

  before(async () => {
    veth = makeVeth(2);
    server = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, veth.outside);
    resolver = createSocket('udp4', (query, from) => {
      if (query.length > 12) resolver.send(answer(query), from.port, from.address);
    });
    resolver.bind(53, veth.outside);
    tcpResolver = createServer((socket) => {
      socket.on('error', () => {});
      let text = '';
      socket.on('data', (data) => {
        text += data.toString('latin1');
        const bytes = Buffer.from(text, 'latin1');
        if (bytes.length < 2 || bytes.length < 2 + bytes.readUInt16BE(0)) return;
        const reply = answer(bytes.subarray(2));
        socket.end(Buffer.concat([Buffer.from([reply.length >> 8, reply.length & 255]), reply]));
      });
    }).listen(53, veth.outside);
    await Promise.all([once(server, 'listening'), once(resolver, 'listening'), once(tcpResolver, 'listening')]);
    writeFileSync(join(directory, 'resolv.conf'), `nameserver ${veth.outside}\n`);
  });

  after(() => {
    server?.close();
    tcpResolver?.close();
    resolver?.close();
    rmSync(directory, { recursive: true, force: true });
    veth?.remove();
  });

  async function run(policy: string): Promise<{ lines: string[]; log: string }> {
    asked.length = 0;
    const port = String((server.address() as AddressInfo).port);
    const network = ['--network', veth.path, '--bind', `${directory}/resolv.conf:/etc/resolv.conf`, '--egress', policy];
    const child = spawn(CLOISTER, ['do', ...network, '--', 'python3', PROGRAM, veth.outside, port], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), 20000);
    const client = createSocket('udp4');
    let text = '';
    let log = '';
    child.stdout.setEncoding('latin1').on('data', (part: string) => {
      text += part;
      if (part.includes('serving')) client.send('x', 5000, veth.inside);
    });
    child.stderr.setEncoding('latin1').on('data', (part: string) => (log += part));
    await once(child, 'close');
    clearTimeout(timer);
    client.close();
    return { lines: text.trimEnd().split('\n'), log };
  }

  test('only what names lead to', async () => {
    const { port } = server.address() as AddressInfo;
    const { lines, log } = await run(`allow=tcp://*.good.test:${port},default=deny`);
    assert.deepEqual(lines, [
      'address before its name 1',
      'mapped before its name 1',
      "name b'hi'",
      "address after its name b'hi'",
      'mapped after its name None',
      "by aliases b'hi'",
      'a name that leads back 111',
      'a name that leads to credentials 1',
      'the machine itself 111',
      'by a translator 1',
      'several -1',
      'a group 1',
      'sent to a group 1',
      'other port 1',
      'other name -2',
      'udp 1',
      'udp connected 1',
      'udp to the port of tcp 1',
      'other resolver 1',
      'no query 1',
      'query by tcp True',
      'other query by tcp 1',
      'ping 1',
      'loopback 111',
      'metadata 1',
      'serving',
      'answer 2',
      'another port 1',
    ]);
    assert.ok(!asked.includes('evil.test'), 'the name itself did not get out');
    assert.match(log, /egress: refused tcp 169\.254\.169\.254:80 to python3 \(\d+\): default=deny/);
    assert.match(log, /egress: refused icmp [\d.]+:0 to python3 \(\d+\): default=deny/);
    assert.match(log, /egress: refused igmp 239\.1\.2\.3:0 to python3 \(\d+\): default=deny/);
    assert.match(log, /refused udp [\d.]+\.19:53 .*: names are resolved by the configured servers only/);
  });

  test('everything but', async () => {
    const { lines, log } = await run('deny=metadata,deny=evil.test,deny=udp://*:9');
    assert.equal(lines[0], "address before its name b'hi'");
    assert.ok(lines.includes('other name -2'));
    assert.ok(lines.includes('udp 1'));
    assert.ok(lines.includes('metadata 1'));
    assert.ok(lines.includes('several -1'));
    assert.match(log, /: deny=metadata$/m);
  });

  test('several destinations in one call, and what lies in the own namespace', async () => {
    const { port } = server.address() as AddressInfo;
    const near = await run(`allow=udp://${veth.outside}:9,deny=10.9.9.9,deny=127.0.0.0/8,deny=[64:ff9b::]/96`);
    assert.ok(near.lines.includes('several 1'), near.lines.join());
    assert.ok(near.lines.includes('loopback 1'), 'nobody listens inside, and what listens beside is not to be asked');
    assert.match(near.log, new RegExp(`refused tcp 127\\.0\\.0\\.1:${port} to python3`));
    assert.match(near.log, /refused udp 10\.9\.9\.9:9 to python3 \(\d+\): deny=10\.9\.9\.9/);
  });
});

test("a policy against the machine's loopback holds for 0.0.0.0, too, wherever it is given", async (t) => {
  const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const script = `import socket, sys
for host in ('127.0.0.1', '0.0.0.0'):
    try: socket.create_connection((host, ${port})); print('connected')
    except OSError as error: print(error.errno)`;
  const outcome = async (before: string[], own: string[]): Promise<string> => {
    const child = spawn(CLOISTER, [...before, 'do', ...own, '--', 'python3', '-c', script]);
    let text = '';
    child.stdout.on('data', (data) => {
      text += data;
    });
    await once(child, 'close');
    return text;
  };
  const host = ['--network', 'host'];
  const policy = ['--egress', 'deny=tcp://127.0.0.0/8,default=allow'];
  assert.equal(await outcome([], host), 'connected\nconnected\n');
  assert.equal(await outcome([], [...host, ...policy]), '1\n1\n');
  assert.equal(await outcome([...host, ...policy], []), '1\n1\n');
});
