// Cgroups that programs make: who is in them, how many they may be, ending them together, and what namespaces show; those
// of version 1 beside them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cloister } from '../cli/cloister.ts';

const SCRIPT = `
mkdir /tmp/cg; mount -t cgroup2 none /tmp/cg; cd /tmp/cg
mkdir a a/b
echo +pids >cgroup.subtree_control
sleep 100 & p=$!
echo $p >a/cgroup.procs
grep -cx $p a/cgroup.procs
cat /proc/$p/cgroup a/cgroup.events a/pids.current
rmdir a 2>/dev/null || echo busy
echo +pids 2>/dev/null >a/cgroup.subtree_control || echo busy
echo 99999 2>/dev/null >a/cgroup.procs || echo nobody
rmdir a/cgroup.procs 2>/dev/null || echo file
echo 2 >a/pids.max
sh -c 'echo 0 >a/cgroup.procs; (:) 2>/dev/null; echo never' 2>/dev/null || echo full
sh -c 'echo 0 >a/cgroup.procs; echo max >a/pids.max; unshare -C cat /proc/self/cgroup'
echo 1 >a/cgroup.kill; wait $p; echo killed $?
cat a/cgroup.events; head -1 cgroup.stat
chown 1000 a a/cgroup.procs && setpriv --reuid 1000 mkdir a/mine && echo delegated
rmdir a/mine a/b a && ls -d a 2>/dev/null || echo gone
`;

test('cgroups', () => {
  const { stdout, stderr } = cloister(['do', '--', 'sh', '-c', SCRIPT]);
  const expected = [
    ...['1', '0::/a', 'populated 1', 'frozen 0', '1', 'busy', 'busy', 'nobody', 'file', 'full', '0::/', 'killed 137'],
    ...['populated 0', 'frozen 0', 'nr_descendants 2', 'delegated', 'gone', ''],
  ];
  assert.deepEqual(stdout.split('\n'), expected, stderr);
});

const VERSION_1 = `
mkdir /tmp/pids /tmp/mem /tmp/name /tmp/two /tmp/again; cd /tmp
mount -t cgroup -o pids none pids; mount -t cgroup -o memory,cpu,cpuacct none mem; mount -t cgroup -o none,name=mine none name
mount -t cgroup2 none two; mount -t cgroup -o memory none again 2>/dev/null || echo taken
mount -t cgroup -o devices none again 2>/dev/null || echo unknown
cat two/cgroup.controllers; findmnt -no FSTYPE,FS-OPTIONS /tmp/mem; cat /proc/cgroups; stat -f -c %t pids
mkdir pids/a name/b mem/c mem/c/d
sleep 100 & p=$!
for to in pids/a name/b mem/c/d; do echo $p >$to/cgroup.procs; done
cat /proc/$p/cgroup; grep -cx $p pids/a/tasks; rmdir name/b 2>/dev/null || echo busy
echo 2 >pids/a/pids.max; sh -c 'echo 0 >pids/a/tasks; (:) 2>/dev/null; echo never' 2>/dev/null || echo full; cat pids/a/pids.current
[ "$(cat mem/c/memory.usage_in_bytes)" -gt 50000 ] && [ "$(cat mem/memory.usage_in_bytes)" -gt "$(cat mem/c/memory.usage_in_bytes)" ] && echo counts
[ "$(cat two/memory.current)" -gt 100000 ] && grep -c '^anon [1-9]' two/memory.stat
sh -c 'echo $$ >mem/c/tasks; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; [ $(cat mem/c/cpuacct.usage) -gt 10000000 ] && echo spent; :'
[ $(cat mem/c/cpuacct.usage) -gt 10000000 ] && [ $(cat mem/cpuacct.usage) -gt $(cat mem/c/cpuacct.usage) ] && echo remembered
cat mem/c/memory.limit_in_bytes mem/memory.limit_in_bytes mem/cpu.cfs_quota_us
echo 64M >mem/c/memory.limit_in_bytes; cat mem/c/memory.limit_in_bytes; echo 1 2>/dev/null >mem/memory.limit_in_bytes || echo 'not bounded'
mkdir second; mount -t cgroup -o name=mine none second; ls -d second/b
kill $p; wait $p; umount second; rmdir name/b pids/a mem/c/d mem/c; umount name pids mem; cat /proc/self/cgroup two/cgroup.controllers
unshare -Ur mount -t cgroup -o pids none pids 2>/dev/null || echo forbidden
`;

test('hierarchies of version 1', () => {
  const { stdout, stderr } = cloister(['do', '--', 'sh', '-c', VERSION_1]);
  assert.deepEqual(
    stdout.split('\n'),
    [
      ...['taken', 'unknown', '', 'cgroup rw,cpu,cpuacct,memory', '#subsys_name\thierarchy\tnum_cgroups\tenabled'],
      ...['cpu\t2\t1\t1', 'cpuacct\t2\t1\t1', 'memory\t2\t1\t1', 'pids\t1\t1\t1', '27e0eb'],
      ...['3:name=mine:/b', '2:cpu,cpuacct,memory:/c/d', '1:pids:/a', '0::/', '1', 'busy', 'full', '1', 'counts', '1'],
      ...['spent', 'remembered', '9223372036854771712', '9223372036854771712', '-1', '67108864'],
      ...['not bounded', 'second/b'],
      ...['0::/', 'cpu memory pids', 'forbidden', ''],
    ],
    stderr,
  );
});

const MEMORY = `
mkdir /tmp/cg; mount -t cgroup2 none /tmp/cg; cd /tmp/cg; echo '+memory +cpu' >cgroup.subtree_control; mkdir a; cat a/cgroup.controllers
cat a/memory.max a/cpu.max; echo 50000 100000 2>/dev/null >a/cpu.max || echo 'no quota'; echo 1x 2>/dev/null >a/memory.max || echo 'no number'
echo 40000001 >a/memory.max; cat a/memory.max; echo 60M >a/memory.max; cat a/memory.max
hog() { sh -c 'echo 0 >a/cgroup.procs; exec python3 -c "
import sys, time
kept = [bytearray(1 << 20) for _ in range($1)]
print(len(kept), flush=True); sys.stdin.read()"' "$1" "$2"; }
hog x 20 </dev/null; echo "small $?"
sleep 100 & p=$!; echo $p >a/cgroup.procs
mkfifo /run/f; hog x 120 </run/f >/dev/null & h=$!; exec 3>/run/f; wait $h; echo "large $?"; exec 3>&-
kill -0 $p && echo 'the small one lives'; grep -v low a/memory.events; echo 1 >a/memory.oom.group
hog x 120 </run/f >/dev/null & h=$!; exec 3>/run/f; wait $h; wait $p; echo "all $?"
[ "$(grep oom_kill a/memory.events)" != 'oom_kill 1' ] && rmdir a && echo gone
`;

test('a limit of memory kills the largest, or all', () => {
  const { stdout, stderr } = cloister(['do', '--', 'sh', '-c', MEMORY]);
  assert.deepEqual(
    stdout.split('\n'),
    [
      ...['cpu memory', 'max', 'max 100000', 'no quota', 'no number', '39997440', '62914560', '20', 'small 0'],
      ...['large 137', 'the small one lives', 'high 0', 'max 1', 'oom 1', 'oom_kill 1', 'all 137', 'gone', ''],
    ],
    stderr,
  );
});
