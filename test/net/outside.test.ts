// The outside: a sandbox in a network namespace with a veth pair, compared with a program that runs there natively.

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CLOISTER, cloister } from '../cli/cloister.ts';
import { makeVeth, skipsVeth, type Veth } from '../support/veth.ts';

const PROGRAM = join(import.meta.dirname, 'outside.py');
const MORE = join(import.meta.dirname, 'outside-more.py');

describe('the outside', { skip: skipsVeth }, () => {
  let veth: Veth;
  let tcp: Server;
  let udp: UdpSocket;

  before(async () => {
    veth = makeVeth(1);
    tcp = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('data', (data) => socket.write(data.toString('latin1').toUpperCase(), 'latin1'));
      socket.on('end', () => socket.end());
      socket.on('error', () => {});
    });
    tcp.listen(0, '::');
    udp = createSocket('udp6', (data, from) =>
      udp.send(data.toString('latin1').toUpperCase(), from.port, from.address),
    );
    udp.bind(0, '::');
    await Promise.all([once(tcp, 'listening'), once(udp, 'listening')]);
  });

  after(() => {
    tcp.close();
    udp.close();
    veth.remove();
  });

  function run(command: string, args: readonly string[], program = PROGRAM, part = ''): ChildProcess {
    const { inside, inside6, outside, outside6 } = veth;
    const ports = [(tcp.address() as AddressInfo).port, udp.address().port].map(String);
    const all = [...args, 'python3', program, inside, inside6, outside, outside6, ...ports, part];
    return spawn(command, all, { stdio: ['ignore', 'pipe', 'inherit'] });
  }

  /** What the program prints, once it was spoken to from this side. */
  async function talk(child: ChildProcess): Promise<string> {
    let text = '';
    let spoken = false;
    child.stdout?.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (spoken || !text.includes('listening')) return;
      spoken = true;
      const stream = connect(80, veth.inside, () => stream.write('knock'));
      stream.on('data', (data) => {
        assert.equal(data.toString(), 'welcome');
        const datagram = createSocket('udp4', () => datagram.close());
        datagram.send('knock', 81, veth.inside);
      });
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), 20000);
    await once(child, 'close');
    clearTimeout(timer);
    return text;
  }

  test('is as it is natively', async () => {
    const [command = '', ...args] = veth.enter;
    const native = await talk(run(command, args));
    const inside = await talk(run(CLOISTER, ['do', '--network', veth.path, '--']));
    assert.deepEqual(inside.split('\n'), native.split('\n'));
    assert.match(inside, /datagram b'knock'/);
  });

  for (const part of ['groups', 'devices', 'errors', 'options', 'echoes']) {
    test(`more of it: ${part}`, async () => {
      const [command = '', ...args] = veth.enter;
      const native = await talk(run(command, args, MORE, part));
      const inside = await talk(run(CLOISTER, ['do', '--network', veth.path, '--'], MORE, part));
      assert.deepEqual(inside.split('\n'), native.split('\n'));
      assert.ok(native.length > 100, native);
    });
  }

  test('its interfaces are seen', () => {
    const [command = '', ...args] = veth.enter;
    const program = ['python3', join(import.meta.dirname, 'interfaces.py')];
    const native = execFileSync(command, [...args, ...program], { encoding: 'utf8' });
    const inside = cloister(['do', '--network', veth.path, '--', ...program]);
    // Of sysfs a namespace shows what it was mounted in: ip netns exec does that.
    assert.deepEqual(inside.stdout.split('\n'), native.split('\n'), inside.stderr);
  });

  test('nothing of it is seen without --network', () => {
    const inside = cloister(['do', '--', 'ip', '-o', 'link']);
    assert.match(inside.stdout, /^1: lo:[^\n]*\n$/);
  });

  test("--network host shares this machine's network, low ports included", async () => {
    const program = `
import socket, sys
print(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5).getpeername()[0])
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.99", 1013))
s.listen()
c = socket.create_connection(("127.0.0.99", 1013))
print(s.accept()[1][0], s.getsockname())
`;
    const { port } = tcp.address() as AddressInfo;
    const args = ['do', '--network', 'host', '--', 'python3', '-c', program, String(port)];
    const child = spawn(CLOISTER, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
    await once(child, 'close');
    assert.deepEqual(text.trimEnd().split('\n'), ['127.0.0.1', "127.0.0.1 ('127.0.0.99', 1013)"]);
  });

  test('two sandboxes in one namespace, as the containers of a pod', async () => {
    const program = `
import socket, sys, time
if sys.argv[1] == "serve":
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("0.0.0.0", 8500))
    s.listen()
    print("ready", flush=True)
    for i in range(2):
        half = s.accept()[0]
        half.sendall(b"hello")
        half.close()
else:
    for host in "127.0.0.1", sys.argv[2]:
        print(socket.create_connection((host, 8500), 5).recv(5))
    try:
        socket.create_connection(("127.0.0.1", 8501))
    except OSError as error:
        print(error.errno)
`;
    const start = (...args: string[]): ChildProcess =>
      spawn(CLOISTER, ['do', '--network', veth.path, '--', 'python3', '-c', program, ...args], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
    const serving = start('serve');
    if (serving.stdout) await once(serving.stdout, 'data');
    const client = start('ask', veth.inside);
    let text = '';
    client.stdout?.setEncoding('utf8').on('data', (part: string) => (text += part));
    await once(client, 'close');
    serving.kill('SIGKILL');
    assert.deepEqual(text.trimEnd().split('\n'), ["b'hello'", "b'hello'", '111']);
  });
});
