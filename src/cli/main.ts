// The command line: parse, call, print. Nothing here or in what is imported may look at the caller or the host when it is
// loaded, for that is when Cloister is built.

import { constants } from 'node:os';
import { dirname, resolve } from 'node:path';
import { startupSnapshot } from 'node:v8';
import { Command, CommanderError } from 'commander';
import { isLaunchError, LaunchError } from '../oci/launch-error.ts';
import { callerArguments, print } from './caller.ts';
import { addCompletionCommand } from './completion.ts';
import { addDoCommand } from './do.ts';
import { addExecCommand } from './exec.ts';
import { addGlobalOptions, log, readGlobalOptions } from './globals.ts';
import { addInspectCommands } from './inspect.ts';
import { addInstallCommands } from './install.ts';
import { addLifecycleCommands } from './lifecycle.ts';
import { addResourceCommands } from './resources.ts';
import { addSyscallsCommand } from './syscalls.ts';
import { VERSION_TEXT } from './version.ts';

/** What containers' users know from docker: the failure is Cloister's, not the program's. */
const EXIT_OWN_FAILURE = 125;
/** Verbs whose exit status is otherwise the program's; all others fail with 1, as clients of OCI runtimes expect. */
const FAILURE_STATUS: Readonly<Record<string, number>> = {
  '': EXIT_OWN_FAILURE,
  do: EXIT_OWN_FAILURE,
  exec: 255,
};

function buildProgram(): Command {
  const dist = () => resolve(dirname(process.argv[1] ?? ''));
  const program = new Command('cloister')
    .description('Runs programs in a sandbox whose system calls are answered by a kernel written in TypeScript.')
    .version(VERSION_TEXT, '-v, --version', 'print the version of this program and of the specification')
    .enablePositionalOptions()
    .exitOverride()
    .configureHelp({ minWidthToWrap: 30 })
    .configureOutput({
      writeOut: (text) => print(1, text),
      writeErr: (text) => print(2, text),
      // Told by report, with all other errors.
      outputError: () => {},
    });
  addDoCommand(program, dist);
  addGlobalOptions(program);
  program.hook('preAction', () => readGlobalOptions(program));
  addLifecycleCommands(program, dist);
  addExecCommand(program, dist);
  addInspectCommands(program);
  addResourceCommands(program);
  addInstallCommands(program, dist);
  addSyscallsCommand(program);
  addCompletionCommand(program);
  return program;
}

/** Exit status for what a verb threw, after having told the user about it. */
function report(error: unknown, verb: string): number {
  const status = FAILURE_STATUS[verb] ?? 1;
  if (error instanceof CommanderError) return reportUsage(error, verb, status);
  if (isLaunchError(error) || isHostError(error)) {
    log('error', error.message);
    print(2, `cloister: ${error.message}\n`);
    return (isLaunchError(error) ? error.status : null) ?? status;
  }
  // Node ignores SIGPIPE; anything else that printed into a closed pipe would have died of it.
  if ((error as NodeJS.ErrnoException).code === 'EPIPE') return 128 + constants.signals.SIGPIPE;
  print(2, `cloister: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return EXIT_OWN_FAILURE;
}

/** What is wrong with the command line itself. */
function reportUsage({ exitCode, message }: CommanderError, verb: string, status: number): number {
  if (exitCode === 0) return 0;
  const text = message.replace(/^error: /, '');
  log('error', text);
  print(2, `cloister: ${text}\nSee cloister ${verb === '' ? '' : `${verb} `}--help.\n`);
  return status;
}

/** What the host refused: a file that is not there, a full disk. Its message says what and why. */
function isHostError(error: unknown): error is Error {
  const { code, syscall } = error as NodeJS.ErrnoException;
  return code !== undefined && code !== 'EPIPE' && syscall !== undefined;
}

/** The verb on the command line, for those failures that come before it is known. */
function verbAmong(args: readonly string[], program: Command): string {
  const names = new Set(program.commands.map((command) => command.name()));
  return args.find((argument) => names.has(argument)) ?? '';
}

/** Commander takes `cloister no-such-verb --help` for a question about all verbs. */
function refuseUnknownVerb(program: Command): void {
  const [name] = program.args;
  if (name !== undefined && name !== 'help' && !name.startsWith('-')) {
    throw new LaunchError(`No help topic for '${name}': there is no such command`);
  }
}

const program = buildProgram();

async function main(): Promise<void> {
  const args = callerArguments();
  program.on('beforeHelp', () => refuseUnknownVerb(program));
  try {
    await program.parseAsync(args.length === 0 ? ['--help'] : args, { from: 'user' });
  } catch (error) {
    process.exitCode = report(error, verbAmong(args, program));
  }
}

// What ships is a start-up snapshot with everything above loaded; thawed, it goes on with main.
if (startupSnapshot.isBuildingSnapshot()) startupSnapshot.setDeserializeMainFunction(() => void main());
else void main();
