// What of the host can be reached, as text or JSON: the calls that a guest's program can make, by itself or by a jump
// into the stub, and those that the sentry can make. What `cloister syscalls --host` prints.

import { OPTIONAL_GROUPS, SENTRY_GROUPS, type SentryCall, type SentryGroup } from '../../syscall-tables/sentry.ts';
import { STUB_CALLS } from '../../syscall-tables/stub.ts';
import { ENTRIES } from '../../syscall-tables/table.ts';
import { errnoName } from '../abi/errno.ts';
import { aligned } from './columns.ts';

interface Row {
  readonly name: string;
  readonly rule: string;
  readonly reason: string;
}

const DOORBELL: Row = {
  name: '(doorbell)',
  rule: 'always',
  reason: 'notified to the sentry; no host code runs but that',
};

/** Calls that the guest's filter lets through, from the program's code or the stub's. One row per call and place. */
function guestRows(): { readonly program: Row[]; readonly stub: Row[] } {
  const program = ENTRIES.flatMap(({ name, rule, disposition }) =>
    disposition === 'native' && rule !== null
      ? [{ name, rule: rule.text, reason: "of the program's own memory and threads only" }]
      : [],
  );
  return { program, stub: stubRows(false) };
}

const stubRows = (old: boolean): Row[] =>
  STUB_CALLS.filter(({ withoutFsgsbase }) => old === (withoutFsgsbase ?? false)).map(({ name, rule, reason }) => ({
    name,
    rule: rule.text,
    reason,
  }));

const sentryRow = ({ name, rules, reason, otherwise }: SentryCall): Row => ({
  name,
  rule: rules.length === 0 ? 'always' : rules.map(({ text }) => text).join('; ') + errnoText(otherwise),
  reason,
});

function errnoText(errno: number | null): string {
  return errno === null ? '' : ` (else ${errnoName(errno)})`;
}

/** How many different host calls guests can reach. */
export function guestCallCount(): number {
  const { program, stub } = guestRows();
  return new Set([...program, ...stub].map(({ name }) => name)).size;
}

/** How many the sentry can, without and with its optional groups. */
export function sentryCallCounts(): readonly [number, number] {
  const count = (groups: readonly SentryGroup[]): number => groups.reduce((sum, { calls }) => sum + calls.length, 0);
  return [count(SENTRY_GROUPS), count([...SENTRY_GROUPS, ...OPTIONAL_GROUPS])];
}

/** Both lists, ending with a newline. */
export function formatHostLists(json: boolean): string {
  const { program, stub } = guestRows();
  const groups = [...SENTRY_GROUPS, ...OPTIONAL_GROUPS].map(({ name, calls }) => ({
    group: name,
    optional: OPTIONAL_GROUPS.some((group) => group.name === name),
    calls: calls.map(sentryRow),
  }));
  if (json) {
    const counts = { guest: guestCallCount(), sentry: sentryCallCounts() };
    return `${JSON.stringify({ architecture: 'amd64', counts, program, stub, stubWithoutFsgsbase: stubRows(true), sentry: groups }, null, 2)}\n`;
  }
  const [always, all] = sentryCallCounts();
  return [
    `Host calls that a guest can reach: ${guestCallCount()}. Everything else traps to the stub, and so to the sentry.`,
    '',
    'From its own code:',
    ...table(program),
    '',
    "From the stub's code, which a hostile program can jump into:",
    ...table([...stub, DOORBELL]),
    '',
    'On a processor without FSGSBASE (of before 2012) also:',
    ...table(stubRows(true)),
    '',
    `Host calls that the sentry can reach: ${always}, with all optional groups ${all}. Everything else kills it.`,
    ...groups.flatMap(({ group, optional, calls }) => [
      '',
      `${group}${optional ? ' (only where the sandbox needs it)' : ''}: ${calls.length}`,
      ...table(calls),
    ]),
    '',
  ].join('\n');
}

function table(rows: readonly Row[]): string[] {
  return aligned([['NAME', 'RULE', 'REASON'], ...rows.map(({ name, rule, reason }) => [name, rule, reason])], []);
}
