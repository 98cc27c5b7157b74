// `cloister syscalls`: the syscall table as a person or a program reads it.

import type { Command } from 'commander';
import { bytesOfText } from '../oci/bytes.ts';
import { print } from './caller.ts';

export function addSyscallsCommand(program: Command): void {
  program
    .command('syscalls')
    .summary('list what becomes of each system call')
    .description('Lists every system call: answered by the sandbox, native under a rule, or refused.')
    .option('--json', 'as JSON')
    .option('--host', 'list instead what guests and the sandbox itself can ask of the host')
    .action(async (options: { readonly json?: true; readonly host?: true }) => {
      if (options.host) {
        const { formatHostLists } = await import('../trace/host-report.ts');
        print(1, bytesOfText(formatHostLists(options.json ?? false)));
        return;
      }
      const { formatTable } = await import('../trace/table-report.ts');
      print(1, bytesOfText(formatTable(options.json ?? false)));
    });
}
