// The system call table as text or JSON: what `cloister syscalls` prints, and the source of the compatibility page.

import { STUB_CALLS } from '../../syscall-tables/stub.ts';
import { ENTRIES } from '../../syscall-tables/table.ts';
import type { Disposition, SyscallEntry } from '../../syscall-tables/types.ts';
import { aligned } from './columns.ts';

const MEANINGS: Readonly<Record<Disposition, string>> = {
  kernel: 'answered by the sandbox',
  native: 'run by the host where the rule lets them, else answered by the sandbox',
  enosys: 'not there (ENOSYS)',
  eperm: 'refused (EPERM)',
};

/** The whole table, ending with a newline: aligned text with counts at the end, or one JSON document. */
export function formatTable(json: boolean): string {
  return json ? jsonTable() : textTable();
}

function textTable(): string {
  const rows = ENTRIES.map((entry) => [String(entry.nr), entry.name, entry.disposition, remarks(entry)]);
  const lines = aligned([['NR', 'NAME', 'HOW', 'RULE AND NOTE'], ...rows], [true, false, false, false]);
  const counts = (Object.keys(MEANINGS) as Disposition[]).map((disposition) => {
    const count = ENTRIES.filter((entry) => entry.disposition === disposition).length;
    return [String(count), disposition, MEANINGS[disposition]];
  });
  const stub = STUB_CALLS.map(({ name, rule, reason }) => [name, rule.text, reason]);
  return [
    ...lines,
    '',
    ...aligned([...counts, [String(ENTRIES.length), 'in all', '']], [true, false, false]),
    '',
    "What the sandbox's own stub, in the guest's address space, may ask of the host:",
    ...aligned([['NAME', 'RULE', 'REASON'], ...stub], [false, false, false]),
    '',
  ].join('\n');
}

function remarks({ rule, note }: SyscallEntry): string {
  const parts = rule === null ? [] : [`native: ${rule.text}`];
  if (note !== '') parts.push(note);
  return parts.join('; ');
}

function jsonTable(): string {
  const calls = ENTRIES.map(({ nr, name, args, disposition, rule, note }) => ({
    nr,
    name,
    arguments: args.map((argument) => ({ name: argument.name, type: argument.spec })),
    disposition,
    ...(rule === null ? {} : { rule: rule.text }),
    ...(note === '' ? {} : { note }),
  }));
  const stub = STUB_CALLS.map(({ name, rule, reason }) => ({ name, rule: rule.text, reason }));
  return `${JSON.stringify({ architecture: 'amd64', calls, stub }, null, 2)}\n`;
}
