// DNS messages for tests.

export interface DnsRecord {
  /** The name asked for, if it is left out. */
  readonly owner?: string;
  readonly type: number;
  /** Byte string. */
  readonly data: string;
}

const encode = (name: string): string =>
  `${name
    .split('.')
    .map((label) => String.fromCharCode(label.length) + label)
    .join('')}\0`;

const word = (value: number): string => String.fromCharCode(value >> 8, value & 255);

/** A query for an address (or another type). */
export function dnsQuery(id: number, name: string, type = 1): Buffer {
  return Buffer.from(`${word(id)}\x01\0\0\x01\0\0\0\0\0\0${encode(name)}${word(type)}\0\x01`, 'latin1');
}

/** The answer to a query with one question. */
export function dnsAnswer(query: Buffer, records: readonly DnsRecord[]): Buffer {
  const end = query.indexOf(0, 12) + 5;
  const question = query.toString('latin1', 12, end);
  const answers = records.map(({ owner, type, data }) => {
    const name = owner === undefined ? '\xc0\x0c' : encode(owner);
    return `${name}${word(type)}\0\x01\0\0\0\x3c${word(data.length)}${data}`;
  });
  const head = `${query.toString('latin1', 0, 2)}\x81\x80\0\x01${word(records.length)}\0\0\0\0`;
  return Buffer.from(head + question + answers.join(''), 'latin1');
}

/** The name and type that a query asks for. */
export function dnsQuestion(query: Buffer): { name: string; type: number } {
  const labels: string[] = [];
  let at = 12;
  for (; query[at] !== 0; at += query[at] + 1) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]));
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1) };
}
