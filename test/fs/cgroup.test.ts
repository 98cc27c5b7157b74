// Cgroups that programs make: who is in them, how many they may be, ending them together, and what namespaces show.

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
