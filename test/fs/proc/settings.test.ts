// Settings below /proc/sys and files beside them that programs write, and what obeys them. Sandboxes only: on the host they
// would be everyone's.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { cloister } from '../../cli/cloister.ts';

/** What a script prints in a sandbox. */
function inside(command: 'sh' | 'python3', script: string): string {
  const { status, stdout, stderr } = cloister(['do', '--', command, '-c', script]);
  assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
  return stdout;
}

test('the number of the next process can be chosen', () => {
  const printed = inside(
    'sh',
    `echo 4999 >/proc/sys/kernel/ns_last_pid; sh -c 'echo $$'
     stat -c %i /proc/self/ >/tmp/first
     echo 4999 >/proc/sys/kernel/ns_last_pid; sh -c 'echo $$; stat -c %i /proc/$$/ >/tmp/second; :'
     cmp -s /tmp/first /tmp/second && echo 'the same inode'
     echo 40000 2>&- >/proc/sys/kernel/ns_last_pid || echo refused
     setpriv --reuid 65534 --clear-groups sh -c 'echo 1 2>&- >/proc/sys/kernel/ns_last_pid' || echo refused`,
  );
  assert.equal(printed, '5000\n5000\nrefused\nrefused\n');
});

test('names that nobody needs are forgotten, files that are open are not', () => {
  const printed = inside(
    'sh',
    `mkdir -p /tmp/d/e; for i in $(seq 500); do echo $i >/tmp/d/e/$i; done
     exec 3</tmp/d/e/7; mount -t tmpfs none /tmp/d/e/../ -o size=1m; umount /tmp/d; cd /tmp/d/e
     for what in 1 2 3; do echo $what >/proc/sys/vm/drop_caches || echo failed; done
     cat /proc/sys/vm/drop_caches; cat <&3; cat 500; ls | wc -l; pwd; rm 8; ls 8 2>/dev/null || echo gone
     for what in 0 5 x ''; do echo "$what" 2>&- >/proc/sys/vm/drop_caches || echo refused; done
     setpriv --reuid 65534 --clear-groups sh -c 'echo 3 2>&- >/proc/sys/vm/drop_caches' || echo refused`,
  );
  assert.equal(printed, `3\n7\n500\n500\n/tmp/d/e\ngone\n${'refused\n'.repeat(5)}`);
});

test('nobody has more descriptors than fs.nr_open', () => {
  const printed = inside(
    'python3',
    `
import errno, os, resource
def attempt(call, *args):
    try: return call(*args)
    except (OSError, ValueError) as e: return type(e).__name__ + ' ' + errno.errorcode.get(getattr(e, 'errno', 0) or 0, '')
def set_most(value):
    with open('/proc/sys/fs/nr_open', 'w') as file: file.write(value)
os.dup2(1, 300)
print(attempt(set_most, '63'), attempt(set_most, '2000000'), attempt(set_most, 'x'))
set_most('200')
print(open('/proc/sys/fs/nr_open').read().strip(), attempt(os.dup2, 1, 200), os.dup2(1, 199))
print(attempt(resource.setrlimit, resource.RLIMIT_NOFILE, (201, 201)), attempt(os.fork))
os.close(300)
pid = os.fork()
if pid == 0: os._exit(7)
print(os.waitpid(pid, 0)[1] >> 8)
fds = [3]
try:
    while True: fds.append(os.open('/', os.O_PATH))
except OSError as e: print(e.errno == errno.EMFILE, max(fds) < 200)
`,
  );
  assert.equal(
    printed,
    'OSError EINVAL OSError EINVAL OSError EINVAL\n200 OSError EBADF 199\nValueError  OSError EMFILE\n7\nTrue True\n',
  );
});

test('the kernel tells what it has', () => {
  const config = gunzipSync(Buffer.from(inside('sh', 'base64 /proc/config.gz'), 'base64')).toString();
  const lines = config.trimEnd().split('\n');
  assert.ok(
    lines.every((line) => /^(CONFIG_[A-Z0-9_]+=(y|\d+|".*")|# CONFIG_[A-Z0-9_]+ is not set|# Cloister)$/.test(line)),
  );
  assert.ok(lines.includes('CONFIG_USER_NS=y') && lines.includes('CONFIG_OVERLAY_FS=y'));
  // Filesystems that are listed can be mounted, the others cannot.
  const types = inside('sh', 'cat /proc/filesystems')
    .split('\n')
    .map((line) => line.split('\t')[1]);
  for (const type of ['overlay', 'tmpfs', 'proc', 'sysfs', 'fuse', 'ext4', 'xfs', 'btrfs']) {
    const name = `CONFIG_${type.toUpperCase()}${/^(tmpfs|sysfs)$/.test(type) ? '' : '_FS'}`;
    assert.equal(lines.includes(`${name}=y`), types.includes(type), type);
  }
});

test('keys that are gone leave their keyrings after the delay', () => {
  const printed = inside(
    'python3',
    `
import ctypes, time
libc = ctypes.CDLL(None, use_errno=True)
def keyctl(*args): return libc.syscall(250, *args)
ring = libc.syscall(248, b'keyring', b'mine', None, 0, -1)
key = libc.syscall(248, b'user', b'short', b'x', 1, ring)
keyctl(15, key, 1)
open('/proc/sys/kernel/keys/gc_delay', 'w').write('1')
print(open('/proc/sys/kernel/keys/gc_delay').read().strip())
count = lambda: keyctl(11, ring, None, 0) // 4
before = count()
time.sleep(2.3)
libc.syscall(248, b'user', b'other', b'x', 1, -2)
print(before, count())
`,
  );
  assert.equal(printed, '1\n1 0\n');
});
