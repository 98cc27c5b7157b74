// The table as a report, and the log of what is not implemented.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatHostLists, guestCallCount, sentryCallCounts } from '../../src/trace/host-report.ts';
import { formatTable } from '../../src/trace/table-report.ts';
import { Unimplemented } from '../../src/trace/unimplemented.ts';
import { ENTRIES } from '../../syscall-tables/table.ts';

test('the report names every call and adds up', () => {
  const text = formatTable(false);
  for (const { name } of ENTRIES) assert.match(text, new RegExp(`\\b${name}\\b`));
  const counts = [...text.matchAll(/^ *(\d+) {2}(kernel|native|enosys|eperm|in all)/gm)].map(([, count]) =>
    Number(count),
  );
  const all = counts.pop();
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    all,
  );
  assert.equal(all, ENTRIES.length);
});

test('as JSON it holds the same', () => {
  const { calls, stub } = JSON.parse(formatTable(true));
  assert.equal(calls.length, ENTRIES.length);
  assert.deepEqual(calls[0], {
    nr: 0,
    name: 'read',
    arguments: [
      { name: 'fd', type: 'fd' },
      { name: 'buf', type: 'buf-out(count)' },
      { name: 'count', type: 'size' },
    ],
    disposition: 'kernel',
  });
  assert.ok(stub.length > 0);
});

test('what of the host can be reached, with counts that are true and within bounds', () => {
  const text = formatHostLists(false);
  const { counts, program, stub, sentry } = JSON.parse(formatHostLists(true));
  assert.ok(guestCallCount() <= 25, String(guestCallCount()));
  assert.equal(counts.guest, new Set([...program, ...stub].map(({ name }) => name)).size);
  const all = sentry.flatMap((group: { calls: { name: string }[] }) => group.calls);
  assert.equal(sentryCallCounts()[1], all.length);
  const usual = sentry.filter(({ group }: { group: string }) => !group.startsWith('guests traced'));
  assert.ok(usual.reduce((sum: number, { calls }: { calls: unknown[] }) => sum + calls.length, 0) <= 96);
  for (const { name, reason } of all) {
    assert.match(text, new RegExp(`^${name} `, 'm'));
    assert.ok(reason.length > 0, name);
  }
  assert.ok(
    text.includes(`a guest can reach: ${counts.guest}.`) && text.includes(`all optional groups ${all.length}.`),
  );
});

test('what is not implemented is said once, and not for ever', () => {
  const lines: string[] = [];
  const unimplemented = new Unimplemented((line) => lines.push(line));
  unimplemented.note('inotify_init1');
  unimplemented.note('inotify_init1');
  unimplemented.note('ioctl TIOCLINUX', 'fd 0');
  assert.deepEqual(lines, ['not implemented: inotify_init1', 'not implemented: ioctl TIOCLINUX (fd 0)']);
  for (let i = 0; i < 5000; i++) unimplemented.note(`ioctl ${i}`);
  assert.ok(lines.length < 1010);
  assert.match(lines[lines.length - 1] as string, /too many/);
});
