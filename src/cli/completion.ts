// `cloister completion`: a script for bash that completes verbs, their options and the names of containers. It is made from
// the commands themselves.

import type { Command } from 'commander';
import { print } from './caller.ts';

function optionsOf(command: Command): string {
  const { options } = command;
  return [...options.flatMap(({ long, short, hidden }) => (hidden ? [] : [long, short])), '--help']
    .filter((name) => typeof name === 'string')
    .join(' ');
}

function takesContainer(command: Command): boolean {
  return command.registeredArguments[0]?.name() === 'id' && !['create', 'run'].includes(command.name());
}

function script(program: Command): string {
  const verbs = program.commands.filter((command) => command.name() !== 'help');
  const cases = verbs.map((command) => {
    const names = takesContainer(command) ? ` $("\${COMP_WORDS[0]}" list --quiet 2>/dev/null)` : '';
    return `    ${command.name()}) words="${optionsOf(command)}${names}" ;;`;
  });
  return `# bash completion: eval "$(cloister completion)"
_cloister() {
  local words verb= word current=\${COMP_WORDS[COMP_CWORD]}
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      ${verbs.map((command) => command.name()).join(' | ')}) verb=$word && break ;;
    esac
  done
  case $verb in
${cases.join('\n')}
    *) words="${verbs.map((command) => command.name()).join(' ')} ${optionsOf(program)}" ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -F _cloister cloister
`;
}

export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .summary('print what bash completes the command line with')
    .description('For ~/.bashrc: eval "$(cloister completion)"')
    .action(() => print(1, script(program)));
}
