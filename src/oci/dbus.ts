// One call over D-Bus, as systemd's own socket takes it: the message format of the D-Bus specification, little-endian,
// without a bus between. No more types than systemd.ts needs.

import { createConnection, type Socket } from 'node:net';
import { LaunchError } from './launch-error.ts';

/** Writes values at the alignment that D-Bus wants. */
export class DbusWriter {
  private bytes = Buffer.alloc(256);
  length = 0;

  private room(size: number): number {
    const at = this.length;
    this.length += size;
    if (this.length > this.bytes.length) this.bytes = Buffer.concat([this.bytes, Buffer.alloc(this.length * 2)]);
    return at;
  }

  align(to: number): this {
    this.room((to - (this.length % to)) % to);
    return this;
  }

  byte(value: number): this {
    const at = this.room(1);
    this.bytes[at] = value;
    return this;
  }

  /** Also a boolean. */
  u32(value: number): this {
    const at = this.align(4).room(4);
    this.bytes.writeUInt32LE(value, at);
    return this;
  }

  u64(value: bigint): this {
    const at = this.align(8).room(8);
    this.bytes.writeBigUInt64LE(value, at);
    return this;
  }

  /** Also an object path. */
  string(text: string): this {
    const bytes = Buffer.from(`${text}\0`, 'utf8');
    this.u32(bytes.length - 1);
    const at = this.room(bytes.length);
    bytes.copy(this.bytes, at);
    return this;
  }

  signature(text: string): this {
    this.byte(text.length);
    const at = this.room(text.length + 1);
    this.bytes.write(text, at, 'latin1');
    return this;
  }

  /** `alignment`: that of the elements. */
  array(alignment: number, elements: () => void): this {
    this.u32(0);
    const at = this.length - 4;
    const start = this.align(alignment).length;
    elements();
    this.bytes.writeUInt32LE(this.length - start, at);
    return this;
  }

  append(other: DbusWriter): this {
    const bytes = other.done();
    const at = this.room(bytes.length);
    bytes.copy(this.bytes, at);
    return this;
  }

  done(): Buffer {
    return Buffer.from(this.bytes.subarray(0, this.length));
  }
}

export interface DbusCall {
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature: string;
  readonly body: DbusWriter;
}

const METHOD_CALL = 1;
const METHOD_RETURN = 2;
const ERROR = 3;
const SERIAL = 1;
const TIMEOUT = 10_000;

/** The message of a call. */
export function encodeCall(call: DbusCall): Buffer {
  const message = new DbusWriter();
  message.byte(0x6c).byte(METHOD_CALL).byte(0).byte(1).u32(call.body.length).u32(SERIAL);
  const field = (code: number, type: string, write: () => void): void => {
    message.align(8).byte(code).signature(type);
    write();
  };
  message.array(8, () => {
    field(1, 'o', () => message.string(call.path));
    field(2, 's', () => message.string(call.interface));
    field(3, 's', () => message.string(call.member));
    field(8, 'g', () => message.signature(call.signature));
  });
  return message.align(8).append(call.body).done();
}

/** Asks whoever listens at a socket. Resolves when it has agreed; throws a LaunchError with its reason. */
export async function callDbus(socketPath: string, call: DbusCall): Promise<void> {
  const connection = createConnection(socketPath);
  connection.setTimeout(TIMEOUT, () => connection.destroy(new Error('no answer')));
  const reader = new Reader(connection);
  try {
    connection.write(`\0AUTH EXTERNAL ${Buffer.from(String(process.geteuid?.())).toString('hex')}\r\n`);
    const answer = await reader.line();
    if (!answer.startsWith('OK ')) throw new Error(`not authenticated: ${answer}`);
    connection.write('BEGIN\r\n');
    connection.write(encodeCall(call));
    for (;;) {
      const { type, text } = await reader.message();
      if (type === METHOD_RETURN) return;
      if (type === ERROR) throw new Error(text);
    }
  } catch (error) {
    throw new LaunchError(`${call.member}: ${socketPath}: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    connection.destroy();
  }
}

class Reader {
  private readonly source: AsyncIterator<Buffer>;
  private bytes: Buffer = Buffer.alloc(0);

  constructor(connection: Socket) {
    this.source = connection[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  private async more(): Promise<void> {
    const { value, done } = await this.source.next();
    if (done) throw new Error('the connection was closed');
    this.bytes = Buffer.concat([this.bytes, value]);
  }

  async line(): Promise<string> {
    for (;;) {
      const end = this.bytes.indexOf('\r\n');
      if (end >= 0) {
        const text = this.bytes.toString('latin1', 0, end);
        this.bytes = this.bytes.subarray(end + 2);
        return text;
      }
      await this.more();
    }
  }

  /** Its kind, and of an error what is said. */
  async message(): Promise<{ type: number; text: string }> {
    while (this.bytes.length < 16) await this.more();
    const body = this.bytes.readUInt32LE(4);
    const start = 16 + Math.ceil(this.bytes.readUInt32LE(12) / 8) * 8;
    while (this.bytes.length < start + body) await this.more();
    const type = this.bytes[1] ?? 0;
    const text = body > 4 ? this.bytes.toString('utf8', start + 4, start + 4 + this.bytes.readUInt32LE(start)) : '';
    this.bytes = this.bytes.subarray(start + body);
    return { type, text };
  }
}
