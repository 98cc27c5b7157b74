// DNS messages as a policy reads them, and the policy itself: what it knows by name, and hostile messages.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EgressSpec } from '../../src/base/spec.ts';
import { parseAnswer, parseQuery, refusal } from '../../src/net/outside/dns.ts';
import { Egress } from '../../src/net/outside/egress.ts';
import { dnsAnswer, dnsQuery } from '../support/dns.ts';
import { setUp } from '../support/fake-guest.ts';

setUp();

const ADDRESS = '\x0a\x01\x02\x03';
const RESOLVER = { host: '\x09\x09\x09\x09', port: 53 };
const asker = { group: { pid: 7 }, name: 'test' };

function policy(spec: Partial<EgressSpec>): { egress: Egress; lines: string[] } {
  const lines: string[] = [];
  const whole: EgressSpec = { otherwise: 'deny', rules: [], ...spec };
  return { egress: new Egress([whole], [RESOLVER.host], (line) => lines.push(line)), lines };
}

const byName = (action: 'allow' | 'deny', name: string): EgressSpec['rules'][number] => {
  return { action, text: `${action}=${name}`, protocol: null, ports: null, networks: [], names: [name] };
};

test('queries', () => {
  const query = dnsQuery(5, 'Web.Example.test');
  assert.deepEqual(parseQuery(query), { id: 5, name: 'web.example.test', end: query.length });
  const edns = Buffer.concat([query, Buffer.from('\0\0\x29\x10\0\0\0\0\0\0\0', 'latin1')]);
  edns[11] = 1;
  assert.equal(parseQuery(edns)?.name, 'web.example.test');
  // Nothing may hide behind what was read.
  assert.equal(parseQuery(Buffer.concat([query, Buffer.from('more')])), null);
  assert.equal(parseQuery(Buffer.concat([edns, Buffer.from('more')])), null);
  for (let length = 0; length < query.length; length++) assert.equal(parseQuery(query.subarray(0, length)), null);
  const pointer = Buffer.from(query);
  pointer[12] = 0xc0;
  assert.equal(parseQuery(pointer), null);
});

test('answers', () => {
  const answer = dnsAnswer(dnsQuery(5, 'a.test'), [
    { type: 5, data: '\x01b\x04test\0' },
    { owner: 'b.test', type: 1, data: ADDRESS },
    { owner: 'other.test', type: 1, data: '\x08\x08\x08\x08' },
  ]);
  assert.deepEqual(parseAnswer(answer), { id: 5, name: 'a.test', addresses: [{ address: ADDRESS, seconds: 60 }] });
  const loop = dnsAnswer(dnsQuery(5, 'a.test'), [{ type: 1, data: ADDRESS }]);
  loop.writeUInt16BE(0xc000 + 12 + 8, 12 + 8 + 4);
  assert.doesNotThrow(() => parseAnswer(loop));
  for (let length = 0; length < answer.length; length++)
    assert.doesNotThrow(() => parseAnswer(answer.subarray(0, length)));
});

test('a refusal is an answer to the query', () => {
  const query = dnsQuery(5, 'a.test');
  const parsed = parseQuery(query);
  assert.ok(parsed);
  const answer = Buffer.from(refusal(query, parsed), 'latin1');
  assert.deepEqual([answer.readUInt16BE(0), answer[2] & 0x80, answer[3] & 15], [5, 0x80, 3]);
  assert.deepEqual(parseAnswer(answer), { id: 5, name: 'a.test', addresses: [] });
});

test('a name stands for what it was resolved to', () => {
  const { egress, lines } = policy({ rules: [byName('allow', '.good.test')] });
  const to = { host: ADDRESS, port: 80 };
  assert.equal(egress.check(asker, 'tcp', to), -1);
  const query = dnsQuery(1, 'web.good.test');
  const pending = new Set<string>();
  assert.equal(egress.check(asker, 'udp', RESOLVER), 0);
  assert.equal(egress.check(asker, 'udp', { ...RESOLVER, host: '\x08\x08\x08\x08' }), -1);
  const answer = dnsAnswer(query, [{ type: 1, data: ADDRESS }]);
  egress.takeAnswer(answer, pending);
  assert.equal(egress.check(asker, 'tcp', to), -1, 'nobody has asked');
  assert.equal(egress.admitQuery(asker, 'udp', RESOLVER, query, pending), true);
  egress.takeAnswer(answer, pending);
  assert.equal(egress.check(asker, 'tcp', to), 0);
  for (const near of ['\xa9\xfe\xa9\xfe', '\x7f\0\0\x01', '\0\0\0\0']) {
    egress.admitQuery(asker, 'udp', RESOLVER, query, pending);
    egress.takeAnswer(dnsAnswer(query, [{ type: 1, data: near }]), pending);
    assert.equal(egress.check(asker, 'tcp', { host: near, port: 80 }), -1, 'no name leads here');
  }
  assert.equal(egress.admitQuery(asker, 'udp', RESOLVER, dnsQuery(2, 'good.test'), pending), false);
  assert.equal(egress.admitQuery(asker, 'udp', RESOLVER, dnsQuery(2, 'secret.evil.test'), pending), false);
  assert.match(
    lines.at(-1) ?? '',
    /refused udp 9\.9\.9\.9:53 to test \(7\): default=deny, asked for secret\.evil\.test/,
  );
});

test('what is near is refused by who names it only, and translators do not hide anybody', () => {
  const network = (action: 'allow' | 'deny', address: string, bits: number): EgressSpec['rules'][number] => {
    return { action, text: `${action}=network`, protocol: null, ports: null, networks: [{ address, bits }], names: [] };
  };
  const near = { host: '\x7f\0\0\x01', port: 80 };
  assert.equal(policy({ otherwise: 'deny' }).egress.check(asker, 'tcp', near, true), 0);
  const { egress } = policy({ otherwise: 'allow', rules: [network('deny', '\x7f\0\0\0', 8)] });
  assert.equal(egress.check(asker, 'tcp', near, true), -1);
  assert.equal(egress.check(asker, 'tcp', { host: `\0\x64\xff\x9b${'\0'.repeat(8)}\x7f\0\0\x01`, port: 80 }), -1);
  const only = policy({ otherwise: 'deny', rules: [network('allow', ADDRESS, 32)] });
  const translated = { host: `\0\x64\xff\x9b${'\0'.repeat(8)}${ADDRESS}`, port: 80 };
  assert.equal(only.egress.check(asker, 'tcp', translated), -1, 'who allows the one does not allow the other');
});

test('every policy has to allow it, and the log is bounded', () => {
  const lines: string[] = [];
  const open: EgressSpec = { otherwise: 'allow', rules: [] };
  const shut: EgressSpec = { otherwise: 'deny', rules: [] };
  const egress = new Egress([shut, open], [], (line) => lines.push(line));
  for (let i = 0; i < 1000; i++) assert.equal(egress.check(asker, 'udp', { host: ADDRESS, port: 1 }), -1);
  assert.ok(lines.length < 200);
});
