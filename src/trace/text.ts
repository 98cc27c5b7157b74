// The small change of strace's language: quoted strings, pointers, numbers read from bytes.

/** Longest string printed in full, as strace's -s 32. */
export const STRING_MAX = 32;

const ESCAPES: Readonly<Record<number, string>> = {
  7: '\\a',
  8: '\\b',
  9: '\\t',
  10: '\\n',
  11: '\\v',
  12: '\\f',
  13: '\\r',
  34: '\\"',
  92: '\\\\',
};

/** Bytes in double quotes, escaped as C does it, cut at `max` bytes. `more`: the original is longer than `bytes`. */
export function quoteBytes(bytes: Uint8Array, max = STRING_MAX, more = false): string {
  const shown = Math.min(bytes.length, max);
  let text = '"';
  for (let at = 0; at < shown; at++) {
    const byte = bytes[at];
    const escaped = ESCAPES[byte];
    if (escaped !== undefined) text += escaped;
    else if (byte >= 32 && byte < 127) text += String.fromCharCode(byte);
    else text += octal(byte, at + 1 < shown ? bytes[at + 1] : 0);
  }
  return `${text}"${more || shown < bytes.length ? '...' : ''}`;
}

// The shortest octal escape that the next character does not prolong.
function octal(byte: number, next: number): string {
  const digits = byte.toString(8);
  return `\\${next >= 48 && next <= 55 ? digits.padStart(3, '0') : digits}`;
}

/** A byte string (one character a byte) in double quotes, whole unless `max` says otherwise. */
export function quoteString(text: string, max = Number.POSITIVE_INFINITY): string {
  return quoteBytes(
    Uint8Array.from(text, (character) => character.charCodeAt(0)),
    max,
  );
}

/** A user address: NULL or hexadecimal. */
export function pointer(address: number): string {
  return address === 0 ? 'NULL' : `0x${address.toString(16)}`;
}

export const hex = (value: number): string => (value === 0 ? '0' : `0x${value.toString(16)}`);

/** Permissions as strace writes them: '0644', '022', '000'. */
export const octalMode = (mode: number): string => `0${(mode & 0o7777).toString(8)}`.padStart(3, '0');

/** Little-endian fields of a struct. 64-bit ones are doubles, exact up to 2^53. */
export class Fields {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u16(at: number): number {
    return this.#view.getUint16(at, true);
  }

  /** In network byte order. */
  u16be(at: number): number {
    return this.#view.getUint16(at, false);
  }

  s16(at: number): number {
    return this.#view.getInt16(at, true);
  }

  u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  s32(at: number): number {
    return this.#view.getInt32(at, true);
  }

  u64(at: number): number {
    return this.u32(at) + this.u32(at + 4) * 2 ** 32;
  }

  s64(at: number): number {
    return this.u32(at) + this.s32(at + 4) * 2 ** 32;
  }

  /** Exact, for data that is no number of Linux's but the program's own. */
  exact(at: number): bigint {
    return this.#view.getBigUint64(at, true);
  }

  pointer(at: number): string {
    return pointer(this.u64(at));
  }

  /** Text up to a NUL, at most `max` bytes. */
  text(at: number, max: number): string {
    const field = this.bytes.subarray(at, at + max);
    const end = field.indexOf(0);
    return quoteBytes(end < 0 ? field : field.subarray(0, end), max);
  }
}
