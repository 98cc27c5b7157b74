// Options of mounts as config.json has them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMountOptions } from '../../src/oci/mount-options.ts';

const FIELD = 'mounts[0]';

test('later options override earlier ones, recursive forms mean the plain ones', () => {
  const parsed = parseMountOptions('tmpfs', ['ro', 'nosuid', 'rw', 'suid', 'rnodev', 'size=1m', 'strictatime'], FIELD);
  assert.deepEqual(parsed.options, ['nodev', 'strictatime', 'size=1m']);
  assert.equal(parsed.readonly, false);
  assert.equal(parseMountOptions('bind', ['rbind', 'rro'], FIELD).readonly, true);
  assert.deepEqual(parseMountOptions('proc', ['noatime', 'relatime'], FIELD).options, []);
  assert.equal(parseMountOptions('tmpfs', ['rprivate'], FIELD).propagation, 'private');
  assert.equal(parseMountOptions('tmpfs', ['tmpcopyup'], FIELD).copyUp, true);
});

test('what is no option is refused by name, except for binds, where the kernel passes over it', () => {
  const refused: [string, string][] = [
    ['tmpfs', 'sizes=1m'],
    ['tmpfs', 'size=lots'],
    ['tmpfs', 'mode=9'],
    ['tmpfs', 'bind=1'],
    ['proc', 'size=1m'],
    ['sysfs', 'hidepid=2'],
    ['devpts', 'newinstance=1'],
    ['tmpfs', 'idmap'],
  ];
  for (const [type, option] of refused) {
    assert.throws(() => parseMountOptions(type, ['ro', option], FIELD), {
      name: 'LaunchError',
      message: /^config.json: mounts\[0\]\.options\[1\]: /,
    });
  }
  assert.deepEqual(parseMountOptions('bind', ['bind', 'mode=755'], FIELD).ignored, ['mode=755']);
  assert.equal(parseMountOptions('bind', ['bind', 'idmap'], FIELD).idMap, 'top');
  assert.equal(parseMountOptions('bind', ['rbind', 'ridmap'], FIELD).idMap, 'all');
});
