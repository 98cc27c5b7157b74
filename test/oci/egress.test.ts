// Egress policies as they are written, and what the outside takes of resolv.conf.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressBytes, resolversIn } from '../../src/oci/addresses.ts';
import { parseEgress } from '../../src/oci/egress.ts';

test('rules on the command line', () => {
  const [policy] = parseEgress(['allow=tcp://*.Example.com:443,deny=metadata', 'allow=[fd00::]/8:53-60,default=deny']);
  assert.equal(policy?.otherwise, 'deny');
  assert.deepEqual(parseEgress(['allow=tcp://a.test;default=deny']), parseEgress(['allow=tcp://a.test,default=deny']));
  const [name, preset, network] = policy?.rules ?? [];
  assert.deepEqual(name, {
    action: 'allow',
    text: 'allow=tcp://*.Example.com:443',
    protocol: 'tcp',
    ports: [[443, 443]],
    networks: [],
    names: ['.example.com'],
  });
  assert.deepEqual(preset?.networks?.[0], { address: '\xa9\xfe\xa9\xfe', bits: 32 });
  assert.deepEqual(network?.ports, [[53, 60]]);
  assert.deepEqual(network?.networks, [{ address: `\xfd${'\0'.repeat(15)}`, bits: 8 }]);
});

test('the forms of a destination', () => {
  const destination = (text: string) => parseEgress([`allow=${text}`])[0]?.rules[0];
  assert.deepEqual(destination('10.0.0.0/8')?.networks, [{ address: '\x0a\0\0\0', bits: 8 }]);
  assert.deepEqual(destination('fd00::1')?.networks, [{ address: `\xfd${'\0'.repeat(14)}\x01`, bits: 128 }]);
  assert.deepEqual(destination('*')?.networks, null);
  assert.deepEqual(destination('udp://*:123')?.ports, [[123, 123]]);
  assert.deepEqual(destination('host_1.a-b.test')?.names, ['host_1.a-b.test']);
});

test('a policy as JSON', () => {
  const text = JSON.stringify({
    default: 'deny',
    rules: [{ action: 'allow', to: ['a.test', '10.0.0.0/8'], protocol: 'udp', ports: [53, '100-200'] }],
  });
  const [policy] = parseEgress([text]);
  assert.deepEqual(policy?.rules[0], {
    action: 'allow',
    text: 'allow udp a.test 10.0.0.0/8 53,100-200',
    protocol: 'udp',
    ports: [
      [53, 53],
      [100, 200],
    ],
    networks: [{ address: '\x0a\0\0\0', bits: 8 }],
    names: ['a.test'],
  });
});

test('what is wrong is refused', () => {
  const wrong = [
    'permit=*',
    'allow=',
    'default=maybe',
    'allow=10.0.0.0/33',
    'allow=1.2.3.4.5',
    'allow=1.2.3',
    'allow=a..b',
    'allow=-a.test',
    'allow=*.',
    'allow=a.test:0-99999',
    'allow=a.test:9-1',
    'allow=sctp://a.test',
    '{"rules":[{"action":"allow","port":1}]}',
    '{"rules":[{"action":"no"}]}',
    '{',
    '@/nonexistent',
  ];
  for (const source of wrong) assert.throws(() => parseEgress([source]), { name: 'LaunchError' }, source);
});

test('addresses', () => {
  assert.equal(addressBytes('::ffff:1.2.3.4'), '\x01\x02\x03\x04');
  assert.equal(addressBytes('1::2:3'), '\0\x01\0\0\0\0\0\0\0\0\0\0\0\x02\0\x03');
  assert.equal(addressBytes('::'), '\0'.repeat(16));
  for (const text of ['', '1.2.3', 'fe80::1%eth0', 'x']) assert.equal(addressBytes(text), '');
});

test('name servers', () => {
  const text = '# nameserver 9.9.9.9\nnameserver 1.2.3.4\n nameserver\tfd00::1 # here\nsearch a\nnameserver x\n';
  assert.deepEqual(resolversIn(text), ['\x01\x02\x03\x04', `\xfd${'\0'.repeat(14)}\x01`]);
});
