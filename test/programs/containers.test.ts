// Other runtimes of containers inside a sandbox: runc with its cgroups, device rules, namespaces and seccomp filters.

import { sameAsNative } from './harness.ts';

sameAsNative(
  'runc: a container, its limits and devices, exec, kill, delete',
  `mkdir -p rootfs/bin; cp /bin/busybox rootfs/bin/; for name in sh ls cat id ps sleep echo mknod hostname; do ln -s busybox rootfs/bin/$name; done
   runc spec
   python3 - <<'END'
import json
config = json.load(open('config.json'))
config['process']['terminal'] = False
config['process']['args'] = ['sh', '-c', 'echo hello; id; hostname; ls /dev; cat /dev/full 2>&1 >/dev/null | wc -c; exec sleep 100']
config['linux']['resources'] = {'pids': {'limit': 20}, 'devices': [{'allow': False, 'access': 'rwm'}, {'allow': True, 'type': 'c', 'major': 1, 'minor': 3, 'access': 'rw'}]}
config['linux']['seccomp'] = {'defaultAction': 'SCMP_ACT_ALLOW', 'architectures': ['SCMP_ARCH_X86_64'],
  'syscalls': [{'names': ['getcwd'], 'action': 'SCMP_ACT_ERRNO'}]}
json.dump(config, open('config.json', 'w'))
END
   ID=programs-$$; STATE=$PWD/state
   runc --root $STATE run --detach $ID >out 2>err </dev/null; echo "ran $?"; sleep 0.5; cat out err
   runc --root $STATE exec $ID sh -c 'id -u; ps -o comm | grep -cx sleep; mknod /b b 8 0 2>&1' </dev/null
   runc --root $STATE kill $ID KILL; for i in $(seq 50); do runc --root $STATE state $ID | grep -q stopped && break; sleep 0.1; done
   runc --root $STATE delete $ID; echo "deleted $?"; ls $STATE`,
  { packages: ['runc', 'busybox-static'] },
);
