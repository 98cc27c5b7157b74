// Random DNS messages: whatever comes is read or is nothing, and what was read was there.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAnswer, parseQuery, refusal } from '../../src/net/outside/dns.ts';
import { dnsAnswer, dnsQuery } from '../support/dns.ts';
import { below, bytes, pick, repeatedly, seed } from './random.ts';

const NAMES = ['a.test', 'web.example.test', 'x.y.z.w.v.test'];
const ALIAS = '\x01b\x04test\0';

/** Some bytes changed, pointers among them; some cut off, some put behind. */
function damaged(message: Buffer): Buffer {
  const changed = Buffer.from(message);
  for (let n = below(6); n > 0; n--)
    changed[below(changed.length)] = below(3) ? below(256) : pick([0, 0xc0, 0xff, 63, 64]);
  const cut = below(4) === 0 ? changed.subarray(0, below(changed.length + 1)) : changed;
  return below(4) === 0 ? Buffer.concat([cut, Buffer.from(bytes(40), 'latin1')]) : cut;
}

test(`queries (seed ${seed})`, () => {
  let read = 0;
  repeatedly(5000, () => {
    const message = below(8) ? damaged(dnsQuery(below(65536), pick(NAMES))) : Buffer.from(bytes(300), 'latin1');
    const query = parseQuery(message);
    if (!query) return;
    read++;
    assert.ok(query.end <= message.length && query.name.length < 256);
    assert.equal(query.id, message.readUInt16BE(0));
    // What was read is all of it: written again it is the same question.
    const again = dnsQuery(query.id, query.name).subarray(12, -4);
    if (query.name !== '')
      assert.equal(message.toString('latin1', 12, query.end - 4).toLowerCase(), again.toString('latin1').toLowerCase());
    const answer = parseAnswer(Buffer.from(refusal(message, query), 'latin1'));
    assert.deepEqual(answer, { id: query.id, name: query.name, addresses: [] });
  });
  assert.ok(read > 100);
});

test(`answers (seed ${seed})`, () => {
  let read = 0;
  repeatedly(5000, () => {
    const records = Array.from({ length: below(6) }, () =>
      pick([
        { type: 1, data: '\x0a\x01\x02\x03' },
        { type: 28, data: `\xfd${'\0'.repeat(15)}` },
        { type: 5, data: ALIAS },
        { type: 5, data: '\xc0\x0c' },
        { owner: 'b.test', type: 1, data: bytes(6) },
        { owner: 'b.test', type: below(300), data: bytes(30) },
      ]),
    );
    const message = damaged(dnsAnswer(dnsQuery(below(65536), pick(NAMES)), records));
    const answer = parseAnswer(message);
    if (!answer) return;
    read++;
    assert.ok(answer.addresses.length <= message.readUInt16BE(6));
    for (const { address, seconds } of answer.addresses) {
      assert.ok(address.length === 4 || address.length === 16);
      assert.ok(message.includes(Buffer.from(address, 'latin1')) && seconds >= 0);
    }
  });
  assert.ok(read > 100);
});
