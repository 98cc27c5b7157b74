// The systemd cgroup driver: the names of its scopes, and the call for one as systemd gets it. A server in systemd's place
// reads the message by the rules of D-Bus, and makes the scope's cgroup where this machine has a hierarchy for it.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseScope, startScope, updateScope } from '../../src/oci/systemd.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-systemd-'));
const HIERARCHY = '/sys/fs/cgroup/systemd';
const UNIT = `cri-${process.pid}.scope`;
after(() => rmSync(scratch, { recursive: true }));

test('the name of a scope', () => {
  assert.deepEqual(parseScope('machine.slice:libpod:abc', 'x'), { slice: 'machine.slice', unit: 'libpod-abc.scope' });
  assert.deepEqual(parseScope(undefined, 'x'), { slice: 'system.slice', unit: 'cloister-x.scope' });
  assert.deepEqual(parseScope(':cri:x', 'y'), { slice: 'system.slice', unit: 'cri-x.scope' });
  for (const wrong of [
    '/a/b',
    'a:b',
    'a.slice:b:c:d',
    'a.slice:b:c.slice',
    'a:b:c',
    'a.slice:b:c/d',
    '../x.slice:b:c',
  ]) {
    assert.throws(() => parseScope(wrong, 'x'), { name: 'LaunchError', message: /^config.json: linux.cgroupsPath: / });
  }
});

/** Reads values of a message, each at its alignment. */
class MessageReader {
  at = 0;
  private readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  align(to: number): void {
    this.at = Math.ceil(this.at / to) * to;
  }

  read(type: string): unknown {
    if (type === 'y') return this.bytes[this.at++];
    if (type === 'u' || type === 'b') {
      this.align(4);
      this.at += 4;
      return this.bytes.readUInt32LE(this.at - 4);
    }
    if (type === 't') {
      this.align(8);
      this.at += 8;
      return Number(this.bytes.readBigUInt64LE(this.at - 8));
    }
    if (type === 's' || type === 'o') return this.text(this.read('u') as number);
    if (type === 'g') return this.text(this.read('y') as number);
    if (type === 'v') return this.read(this.read('g') as string);
    if (type === 'au') return this.array(4, () => this.read('u'));
    throw new Error(`the test does not know ${type}`);
  }

  private text(length: number): string {
    const text = this.bytes.toString('utf8', this.at, this.at + length);
    assert.equal(this.bytes[this.at + length], 0);
    this.at += length + 1;
    return text;
  }

  array<T>(alignment: number, element: () => T): T[] {
    const length = this.read('u') as number;
    this.align(alignment);
    const end = this.at + length;
    const found: T[] = [];
    while (this.at < end) found.push(element());
    assert.equal(this.at, end);
    return found;
  }

  /** An array of (sv). */
  properties(): Record<string, unknown> {
    const pairs = this.array(8, () => {
      this.align(8);
      return [this.read('s'), this.read('v')] as const;
    });
    return Object.fromEntries(pairs);
  }
}

interface Received {
  readonly header: readonly unknown[];
  readonly name: string;
  readonly mode: string;
  readonly properties: Record<string, unknown>;
}

function decode(bytes: Buffer): Received {
  const reader = new MessageReader(bytes);
  const [endian, type, , version] = [0, 0, 0, 0].map(() => reader.read('y'));
  assert.deepEqual([endian, type, version], [0x6c, 1, 1]);
  const length = reader.read('u') as number;
  reader.read('u');
  const header = reader.array(8, () => {
    reader.align(8);
    return [reader.read('y'), reader.read('v')];
  });
  reader.align(8);
  const body = new MessageReader(bytes.subarray(reader.at));
  assert.equal(bytes.length - reader.at, length);
  const isUpdate = header.some(([, value]) => value === 'SetUnitProperties');
  const [name, mode] = [
    body.read('s'),
    isUpdate ? (body.read('b') === 1 ? 'runtime' : '') : body.read('s'),
  ] as string[];
  const properties = body.properties();
  if (isUpdate) return { header, name: name ?? '', mode: mode ?? '', properties };
  assert.deepEqual(
    body.array(8, () => null),
    [],
  );
  assert.equal(body.at, length);
  return { header, name: name ?? '', mode: mode ?? '', properties };
}

/** Answers one call: a return, or an error with a text. */
async function fakeSystemd(path: string, answer: (received: Received) => string | null): Promise<Server> {
  const serve = (socket: Socket): void => {
    let bytes = Buffer.alloc(0);
    let begun = false;
    socket.on('data', (data: Buffer) => {
      bytes = Buffer.concat([bytes, data]);
      if (!begun && bytes.includes('\r\n') && !bytes.includes('BEGIN\r\n')) {
        assert.match(bytes.toString('latin1'), /^\0AUTH EXTERNAL [0-9a-f]+\r\n$/);
        socket.write('OK 0123456789abcdef\r\n');
      }
      const begin = bytes.indexOf('BEGIN\r\n');
      if (!begun && begin >= 0) {
        begun = true;
        bytes = bytes.subarray(begin + 7);
      }
      if (!begun || bytes.length < 16) return;
      const text = answer(decode(bytes));
      const body = Buffer.alloc(text === null ? 0 : 5 + text.length);
      if (text !== null) {
        body.writeUInt32LE(text.length, 0);
        body.write(text, 4);
      }
      const head = Buffer.from([0x6c, text === null ? 2 : 3, 0, 1, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
      head.writeUInt32LE(body.length, 4);
      socket.write(Buffer.concat([head, body]));
    });
    socket.on('error', () => {});
  };
  const server = createServer(serve);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return server;
}

const RESOURCES = { memory: { limit: 200_000_000 }, pids: { limit: 10 }, cpu: { quota: 50_000, period: 100_000 } };

test('a scope is made, and its cgroups are found', {
  skip: !existsSync(`${HIERARCHY}/tasks`) && 'no hierarchy',
}, async () => {
  const path = join(scratch, 'private');
  let received: Received | null = null;
  const server = await fakeSystemd(path, (call) => {
    received = call;
    mkdirSync(join(HIERARCHY, call.name));
    writeFileSync(join(HIERARCHY, call.name, 'cgroup.procs'), String((call.properties.PIDs as number[])[0]));
    return null;
  });
  const { cgroups, release } = await startScope(path, { slice: 'a-b.slice', unit: UNIT }, RESOURCES);
  release();
  server.close();
  for (let tries = 0; tries < 100; tries++) {
    try {
      rmdirSync(join(HIERARCHY, UNIT));
      break;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  assert.equal(cgroups.directories['name=systemd'], join(HIERARCHY, UNIT));
  const { header, name, mode, properties } = received as unknown as Received;
  assert.deepEqual(header, [
    [1, '/org/freedesktop/systemd1'],
    [2, 'org.freedesktop.systemd1.Manager'],
    [3, 'StartTransientUnit'],
    [8, 'ssa(sv)a(sa(sv))'],
  ]);
  assert.deepEqual([name, mode, properties.Slice, properties.Delegate], [UNIT, 'replace', 'a-b.slice', 1]);
  assert.deepEqual(
    [properties.CPUQuotaPerSecUSec, properties.TasksMax, properties.MemoryLimit],
    [500_000, 34, 200_000_000],
  );
});

test('systemd is told of new limits', async () => {
  const calls: Received[] = [];
  const server = await fakeSystemd(join(scratch, 'updated'), (call) => {
    calls.push(call);
    return null;
  });
  await updateScope(
    join(scratch, 'updated'),
    UNIT,
    { memory: { limit: 1e8 }, cpu: { quota: -1 }, pids: { limit: 10 } },
    2,
  );
  await updateScope(join(scratch, 'updated'), UNIT, { blockIO: { weight: 10 } }, 2); // nothing that it would undo
  server.close();
  assert.equal(calls.length, 1);
  const { name, mode, properties } = calls[0] as Received;
  assert.deepEqual([name, mode], [UNIT, 'runtime']);
  assert.deepEqual(properties, { MemoryMax: 100_000_000, CPUQuotaPerSecUSec: 2 ** 64, TasksMax: 34 });
});

test('what systemd refuses is said, and where it does not run', async () => {
  const path = join(scratch, 'refusing');
  const server = await fakeSystemd(path, () => 'Unit x.scope already exists.');
  const scope = { slice: 'a.slice', unit: 'x.scope' };
  await assert.rejects(startScope(path, scope, {}), { name: 'LaunchError', message: /Unit x\.scope already exists\./ });
  server.close();
  await assert.rejects(startScope(join(scratch, 'nonesuch'), scope, {}), {
    name: 'LaunchError',
    message: /^--systemd-cgroup: systemd does not run here .*--cgroup-manager cgroupfs/,
  });
});
