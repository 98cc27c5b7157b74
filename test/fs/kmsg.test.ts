// The kernel's log: what is written to /dev/kmsg is read there and by syslog(2), by those who may.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cloister } from '../cli/cloister.ts';

const SCRIPT = `
mknod /dev/kmsg c 1 11
echo '<3>bad \\ thing' >/dev/kmsg
echo plain >/dev/kmsg
timeout 0.3 cat /dev/kmsg; echo $?
dmesg -C
echo after >/dev/kmsg
dmesg
dmesg -Sr
dd if=/dev/zero of=/dev/kmsg bs=1025 count=1 || echo too long
for i in $(seq 90); do printf '%0900d\\n' 0 >/dev/kmsg; done
dmesg -S | wc -l
chmod 644 /dev/kmsg
setpriv --reuid=1000 --clear-groups head -n 1 /dev/kmsg
`;

test('/dev/kmsg and syslog(2)', () => {
  const { stdout, stderr } = cloister(['do', '--', 'sh', '-c', SCRIPT]);
  const [bad, plain, status, seen, after, tooLong, count] = stdout.split('\n');
  assert.match(bad ?? '', /^11,0,\d+,-;bad \\x5c thing$/);
  assert.match(plain ?? '', /^12,1,\d+,-;plain$/);
  assert.equal(status, '124');
  assert.match(seen ?? '', /^\[ *\d+\.\d{6}\] after$/);
  assert.match(after ?? '', /^<12>\[ *\d+\.\d{6}\] after$/);
  assert.equal(tooLong, 'too long');
  // The oldest have made room.
  assert.ok(Number(count) > 60 && Number(count) < 80, stdout);
  assert.match(stderr, /Invalid argument[\s\S]*Operation not permitted/);
});
