// Tools that live on namespaces: unshare, nsenter, lsns, ip netns, bubblewrap. What they show in a sandbox must be what
// they show on the host, as root and as an ordinary user.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, type TestContext, test } from 'node:test';
import { cloister } from '../cli/cloister.ts';
import { needPackages } from '../programs/packages.ts';

const COMMANDS: Readonly<Record<string, string>> = {
  'a tree of processes of its own':
    "unshare -Urmpf --mount-proc sh -c 'id; ps -e -o comm=; echo $$; cat /proc/self/uid_map'",
  'one within another':
    "unshare -Urpf --mount-proc unshare -Urpf --mount-proc sh -c 'grep NSpid /proc/self/status; id -u; cat /proc/self/uid_map'",
  'a name': "unshare -Ur --uts sh -c 'hostname inner; hostname; uname -n'; hostname inner 2>&1 | head -c 8",
  'a network': "unshare -Urn sh -c 'ip -o link; ip link set lo up; ip -o addr'",
  'a file system':
    "unshare -Urm sh -c 'mount -t tmpfs none /mnt; echo text >/mnt/file; stat -c %u:%g:%a /mnt /mnt/file; umount /mnt; ls /mnt'",
  'the end of an init': 'unshare -Urpf --kill-child sh -c \'sleep 100 <&0 & exec sh -c "kill -9 1; exit 7"\'; echo $?',
  visitors:
    'unshare -Urpf --mount-proc sh -c \'unshare -u sh -c "hostname there; exec sleep 60" & sleep 0.2; nsenter -t $! -u hostname; nsenter -t $! -a hostname; kill $!\'',
  lists:
    'unshare -Urpfmu --mount-proc sh -c \'unshare -i sleep 60 <&0 & sleep 0.2; list=$(lsns -n -o TYPE,NPROCS); echo "$list" | sort; kill $!\'',
  bubblewrap:
    "bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp sh -c 'id; echo $$; touch /tmp/x /x 2>&1; ip -o link; ls -A /tmp'",
  'capabilities of files':
    "cd $(mktemp -d); cp /bin/true file; unshare -Ur sh -c 'setcap cap_net_raw+ep file; getcap -n file; ./file; echo $?'; getcap -n file; rm file; cd /; rmdir $OLDPWD",
  'what is covered':
    "unshare -Urm sh -c 'mount --bind / /mnt 2>/dev/null || echo refused; mount --rbind / /mnt && ls /mnt/proc/1/comm'",
  clocks: "unshare -UrTf --monotonic 1000000 sh -c 'cat /proc/self/timens_offsets'; cat /proc/self/timens_offsets",
};

const FOR_ROOT: Readonly<Record<string, string>> = {
  'networks by name':
    "unshare -m sh -c 'mount -t tmpfs none /run; ip netns add one; ip netns list; ip netns exec one ip -o link; ip netns del one; ls /run/netns'",
};

/** All commands in one shell, each with its name in front. */
function script(commands: Readonly<Record<string, string>>): string {
  return Object.entries(commands)
    .map(([name, command]) => `echo '== ${name}'; ${command}`)
    .join('\n');
}

function compare(t: TestContext, commands: Readonly<Record<string, string>>, user: string | null): void {
  const reason = needPackages('bubblewrap', 'iproute2', 'libcap2-bin');
  if (reason) return t.skip(reason);
  const shell = ['sh', '-c', script(commands)];
  // Root's name for the machine is to be no other afterwards.
  const as = user === null ? ['unshare', '--uts'] : ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups'];
  const native = [...as, ...shell];
  const expected = execFileSync(native[0], native.slice(1), {
    encoding: 'utf8',
    cwd: '/',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  assert.doesNotMatch(expected, /^==.*\n(==|$)/m, 'a command shows nothing on the host');
  const options = user === null ? [] : ['--uid', user, '--gid', user];
  const inside = cloister(['do', ...options, '--cwd', '/', '--', ...shell]);
  assert.deepEqual(inside.stdout.split('\n'), expected.split('\n'), inside.stderr);
}

describe('tools of namespaces', { skip: process.getuid?.() !== 0 && 'changes users' }, () => {
  test('for root', (t) => compare(t, { ...COMMANDS, ...FOR_ROOT }, null));
  test('for an ordinary user', (t) => compare(t, COMMANDS, '1000'));
});

// On the host it depends on what else is mounted there.
test('what is covered in /proc is not uncovered by a second one in a user namespace', () => {
  const attempt = "unshare -Urmpf sh -c 'mount -t proc none /mnt 2>/dev/null && echo mounted || echo refused'";
  const steps = [attempt, 'mount --bind /dev/null /proc/meminfo', attempt, 'umount /proc/meminfo', attempt];
  const { stdout, stderr } = cloister(['do', '--cwd', '/', '--', 'sh', '-c', steps.join('\n')]);
  assert.deepEqual({ stdout, stderr }, { stdout: 'mounted\nrefused\nmounted\n', stderr: '' });
});
