// /proc and /sys in a sandbox, compared in shape with the host's: the same fields in the same places, so that whatever
// reads the one can read the other.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { cloister } from '../../cli/cloister.ts';

/** What a shell script in a sandbox prints. */
function inside(script: string): string {
  const { status, stdout, stderr } = cloister(['do', '--hostname', 'inside', '--', 'sh', '-c', script]);
  assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
  return stdout;
}

/** Several files of the sandbox, read by one cat each. */
function files<Name extends string>(...names: Name[]): Record<Name, string> {
  const parts = inside(names.map((name) => `cat ${name}; printf '\\001'`).join(';')).split('\u0001');
  return Object.fromEntries(names.map((name, i) => [name, parts[i]])) as Record<Name, string>;
}

function host(name: string): string {
  return readFileSync(name, 'latin1');
}

/** Names before the colon. */
function keys(text: string): string[] {
  return text.split('\n').flatMap((line) => (line.includes(':') ? [line.slice(0, line.indexOf(':'))] : []));
}

/** A text with every number replaced by one digit and runs of spaces by one. */
function shape(text: string): string {
  return text.replace(/\d+/g, '0').replace(/ +/g, ' ');
}

test('the files of a process have the fields of the host', () => {
  const names = [
    'stat',
    'statm',
    'status',
    'limits',
    'io',
    'cmdline',
    'comm',
    'oom_score_adj',
    'wchan',
    'cgroup',
  ].filter((name) => name !== 'io');
  const read = files(...names.map((name) => `/proc/self/${name}`));
  const fields = read['/proc/self/stat'].trimEnd().split(' ');
  assert.equal(
    fields.length,
    host('/proc/self/stat')
      .trimEnd()
      .replace(/\(.*\)/, 'x')
      .split(' ').length,
  );
  assert.equal(fields[1], '(cat)');
  assert.equal(fields[2], 'R');
  assert.equal(read['/proc/self/statm'].split(' ').length, 7);
  assert.deepEqual(
    keys(read['/proc/self/status']).filter((key) => !keys(host('/proc/self/status')).includes(key)),
    [],
  );
  assert.ok(keys(read['/proc/self/status']).includes('VmRSS'));
  const titles = (text: string): string[] => text.split('\n').map((line) => line.slice(0, 25));
  assert.deepEqual(titles(read['/proc/self/limits']), titles(host('/proc/self/limits')));
  assert.equal(read['/proc/self/cmdline'], 'cat\0/proc/self/cmdline\0');
  assert.equal(read['/proc/self/comm'], 'cat\n');
});

test('mappings name guest files, and show nothing of the stub', () => {
  const { '/proc/self/maps': maps, '/proc/self/smaps': smaps } = files('/proc/self/maps', '/proc/self/smaps');
  const lines = maps.trimEnd().split('\n');
  for (const line of lines) {
    assert.match(
      line,
      /^[0-9a-f]{8,16}-[0-9a-f]{8,16} [r-][w-][x-][ps] [0-9a-f]{8} [0-9a-f]{2}:[0-9a-f]{2} \d+ (?: *\S.*)?$/,
    );
    assert.doesNotMatch(line, /^7e00[0-9a-f]{8}-/);
    if (/ \S+$/.test(line) && !line.endsWith(' ')) assert.equal(line.slice(72, 73), ' ');
  }
  for (const name of ['/cat', '/ld-linux', '/libc.so', '[heap]', '[stack]', '[vdso]']) {
    assert.ok(
      lines.some((line) => line.includes(name)),
      `${name} is not in ${maps}`,
    );
  }
  const order = lines.map((line) => BigInt(`0x${line.split('-')[0]}`));
  assert.deepEqual(
    order,
    [...order].sort((a, b) => (a < b ? -1 : 1)),
  );
  const known = new Set(keys(host('/proc/self/smaps').replace(/^[0-9a-f]+-.*$/gm, '')));
  assert.deepEqual(
    keys(smaps.replace(/^[0-9a-f]+-.*$/gm, '')).filter((key) => !known.has(key)),
    [],
  );
});

test('the files of the machine have the shape of those of the host', () => {
  const names = [
    'uptime',
    'loadavg',
    'version',
    'swaps',
    'stat',
    'meminfo',
    'cpuinfo',
    'filesystems',
    'partitions',
  ] as const;
  const read = files(...names.map((name) => `/proc/${name}` as const));
  assert.match(read['/proc/uptime'], /^\d+\.\d\d \d+\.\d\d\n$/);
  assert.match(read['/proc/loadavg'], /^\d+\.\d\d \d+\.\d\d \d+\.\d\d \d+\/\d+ \d+\n$/);
  assert.match(read['/proc/version'], /^Linux version \d+\.\d+\.\d+ /);
  assert.equal(read['/proc/swaps'].split('\n')[0], host('/proc/swaps').split('\n')[0]);
  assert.deepEqual(keys(read['/proc/meminfo']), keys(host('/proc/meminfo')));
  assert.deepEqual(keys(read['/proc/cpuinfo'].split('\n\n')[0]), keys(host('/proc/cpuinfo').split('\n\n')[0]));
  const first = (text: string): string[] => text.split('\n').map((line) => line.split(' ')[0]);
  const known = first(host('/proc/stat'));
  assert.deepEqual(
    first(read['/proc/stat']).filter((word) => !known.includes(word)),
    [],
  );
});

test('tables of the network have the headings of the host', () => {
  const names = [
    'tcp',
    'tcp6',
    'udp',
    'udp6',
    'unix',
    'dev',
    'route',
    'arp',
    'netlink',
    'packet',
    'raw',
    'raw6',
  ] as const;
  const there = names.filter((name) => existsSync(`/proc/net/${name}`));
  const read = files(...there.map((name) => `/proc/net/${name}` as const));
  for (const name of there) {
    assert.equal(read[`/proc/net/${name}`].split('\n')[0], host(`/proc/net/${name}`).split('\n')[0], name);
  }
});

test('links and directories of a process lead to what it has', () => {
  const text = inside(`
    cd /usr
    readlink /proc/self/cwd /proc/self/exe /proc/self/root
    exec 5</etc/passwd
    readlink /proc/$$/fd/5
    head -c 4 /proc/$$/fd/5; echo
    sed -n 's/^pos:.*/pos/p; s/^flags:.*/flags/p' /proc/$$/fdinfo/5
    ls /proc/$$/task | wc -l
    tr '\\0' ' ' </proc/$$/cmdline | head -1 | cut -c 1-5
    FOO=bar sh -c 'tr "\\0" "\\n" </proc/self/environ' | grep ^FOO
    stat -L -c %i /proc/self/ns/mnt
    test -e /proc/99999 || echo none
  `);
  const lines = text.trimEnd().split('\n');
  assert.match(lines[1], /\/readlink$/);
  lines.splice(1, 1);
  assert.deepEqual(lines, [
    '/usr',
    '/',
    '/etc/passwd',
    'root',
    'pos',
    'flags',
    '1',
    'sh -c',
    'FOO=bar',
    '4026531841',
    'none',
  ]);
});

test('what may not be seen of others is refused', () => {
  const text = inside(`
    sleep 5 &
    setpriv --reuid 1000 --regid 1000 --clear-groups sh -c "
      cat /proc/$!/environ /proc/$!/maps /proc/$!/mem; readlink /proc/$!/exe; ls /proc/$!/fd; head -c 5 /proc/$!/stat
    " 2>&1 | sed 's/.*: //'
    kill $!
  `);
  assert.equal(text.match(/Permission denied/g)?.length, 4);
});

test('settings show, and the host name can be set', () => {
  const text = inside(`
    cat /proc/sys/kernel/hostname /proc/sys/kernel/ostype /proc/sys/kernel/pid_max
    echo other >/proc/sys/kernel/hostname && hostname
    [ "$(cat /proc/sys/kernel/random/boot_id)" = "$(cat /proc/sys/kernel/random/boot_id)" ] && echo same
    [ "$(cat /proc/sys/kernel/random/uuid)" = "$(cat /proc/sys/kernel/random/uuid)" ] || echo fresh
  `);
  assert.equal(text, 'inside\nLinux\n32768\nother\nsame\nfresh\n');
});

test('sysfs tells of the CPUs', () => {
  const read = files(
    '/sys/devices/system/cpu/online',
    '/sys/devices/system/cpu/cpu0/topology/core_id',
    '/sys/class/net/lo/mtu',
  );
  assert.equal(shape(read['/sys/devices/system/cpu/online']).trim().replace('0-0', '0'), '0');
  assert.match(read['/sys/devices/system/cpu/cpu0/topology/core_id'], /^\d+\n$/);
  assert.equal(read['/sys/class/net/lo/mtu'], '65536\n');
  assert.equal(inside('nproc'), inside('grep -c ^processor /proc/cpuinfo'));
});

test('every file of /proc/self, /proc/sys and /sys can be read', () => {
  const text = inside(`
    cd /proc/self && for f in *; do [ -f $f ] && [ $f != mem ] && [ $f != pagemap ] && { cat $f >/dev/null || echo bad $f; }; done
    find /proc/sys /sys /proc/net/ -type f | while read f; do cat $f >/dev/null || echo bad $f; done
    echo end`);
  assert.equal(text, 'end\n');
});
