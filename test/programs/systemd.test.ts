// systemd as the init of a sandbox, over this machine's root with units of the test's own: a service that notifies, one
// that is started by a socket, a mount, a failure, and the end. The host has an init already, so there is nothing to
// compare with: what must come is what the units say.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cloister } from '../cli/cloister.ts';
import { needPackages } from './packages.ts';

const UNITS: Readonly<Record<string, string>> = {
  'all.target': '[Unit]\nWants=report.service\nDefaultDependencies=no\n',
  'notifying.service':
    '[Unit]\nDefaultDependencies=no\n[Service]\nType=notify\nNotifyAccess=all\n' +
    'ExecStart=sh -c "sleep 0.1; touch /run/notified; systemd-notify --ready; exec sleep 100"\n',
  'greeter.socket': '[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/greeter\nAccept=yes\n',
  'greeter@.service':
    '[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=-echo greetings\nStandardInput=socket\nStandardOutput=socket\n',
  'srv-memory.mount': '[Unit]\nDefaultDependencies=no\n[Mount]\nWhat=none\nWhere=/srv/memory\nType=tmpfs\n',
  'failing.service': '[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=sh -c "exit 3"\n',
  'report.service':
    '[Unit]\nDefaultDependencies=no\nSuccessAction=exit-force\nFailureAction=exit-force\n' +
    'Wants=failing.service greeter.socket notifying.service srv-memory.mount\n' +
    'After=notifying.service failing.service greeter.socket srv-memory.mount\n' +
    '[Service]\nType=oneshot\nExecStart=sh /srv/test/report.sh\n',
};

const REPORT = `exec >/srv/test/out 2>&1
ls /run/notified; findmnt -no FSTYPE /srv/memory
systemctl show -P SubState notifying.service failing.service greeter.socket
systemctl show -P ExecMainStatus failing.service
socat -u UNIX-CONNECT:/run/greeter -
systemctl stop srv-memory.mount notifying.service; findmnt /srv/memory || echo unmounted
systemctl show -P ActiveState notifying.service
ls /sys/fs/cgroup/system.slice | grep -c notifying || echo 'no cgroup left'
echo done
`;

const reason = needPackages('systemd', 'socat');

describe('systemd', { skip: reason || (process.getuid?.() !== 0 && 'its root is this machine’s') }, () => {
  let directory = '';
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'systemd-'));
    const units = join(directory, 'units');
    mkdirSync(units);
    for (const [name, text] of Object.entries(UNITS)) writeFileSync(join(units, name), text);
    writeFileSync(join(directory, 'report.sh'), REPORT);
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  test('boots, runs services, mounts, and ends', () => {
    const script = `mount -t tmpfs none /run; mkdir -p /srv/memory; export container=cloister
export SYSTEMD_UNIT_PATH=/srv/test/units; exec /lib/systemd/systemd --unit=all.target --show-status=no`;
    const { status, stderr } = cloister(['do', '--bind', `${directory}:/srv/test`, '--', 'sh', '-c', script]);
    assert.equal(status, 0, stderr);
    const out = readFileSync(join(directory, 'out'), 'utf8');
    const expected = [
      ...['/run/notified', 'tmpfs', 'running', '', 'failed', '', 'listening', '3', 'greetings', 'unmounted'],
      ...['inactive', '0', 'no cgroup left', 'done', ''],
    ];
    assert.deepEqual(out.split('\n'), expected, stderr);
  });
});
