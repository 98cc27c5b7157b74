// Loop devices as losetup(8) and blockdev(8) use them: the file behind one, its size, block size and being read-only.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cloister } from '../cli/cloister.ts';

const SCRIPT = `
cd /dev/shm
truncate -s 1M image; truncate -s 1M other; truncate -s 2M bigger
losetup /dev/loop0 image
cat /sys/block/loop0/size /sys/block/loop0/ro /sys/block/loop0/loop/backing_file
losetup --list --noheadings -O BACK-FILE,SIZELIMIT,RO /dev/loop0
losetup -b 4096 --sizelimit 524288 -r /dev/loop1 other
cat /sys/block/loop1/size /sys/block/loop1/ro /sys/block/loop1/queue/logical_block_size
blockdev --getsize64 --getss --getro /dev/loop1
echo data >/dev/loop1 || echo refused
echo data >/dev/loop0 && head -c 4 image && echo
blockdev --setro /dev/loop0
echo more >/dev/loop0 || echo refused
blockdev --setrw /dev/loop0
losetup -d /dev/loop0; losetup -d /dev/loop1
ls /sys/block/loop0/loop || echo free
`;

test('loop devices', () => {
  const { stdout } = cloister(['do', '--', 'sh', '-c', SCRIPT]);
  assert.deepEqual(stdout.split('\n'), [
    '2048',
    '0',
    '/dev/shm/image',
    '/dev/shm/image         0  0',
    '1024',
    '1',
    '4096',
    '524288',
    '4096',
    '1',
    'refused',
    'data',
    'refused',
    'free',
    '',
  ]);
});
