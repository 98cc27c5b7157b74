// Settings of containers that are not the bundle's: each has one name, and is given before the verb (--NAME), or in the
// environment (CLOISTER_NAME), or in the configuration file (/etc/cloister/config.json, or where CLOISTER_CONFIG says);
// some also by an annotation of the bundle (dev.cloister.NAME). What is named first here overrides the rest; of lists
// (egress) all are put together by those who read them.

import { existsSync, readFileSync } from 'node:fs';
import type { Command, Option } from 'commander';
import { bytesOfText } from '../oci/bytes.ts';
import { LaunchError } from '../oci/launch-error.ts';

/** By their names as options before the verb. */
const SETTINGS = ['root', 'log', 'log-format', 'debug', 'network', 'egress', 'platform', 'patch', 'spin'] as const;
const CONFIG_FILE = '/etc/cloister/config.json';

/** A file's value as one would write it on the command line; a list stands for several. */
type Value = string | boolean | readonly string[];

/** Gives the options before the verb that are not on the command line the values that are elsewhere. */
export async function applySettings(program: Command): Promise<void> {
  const file = await readConfigFile();
  for (const name of SETTINGS) {
    const option = program.options.find(({ long }) => long === `--${name}` || long === `--no-${name}`);
    if (option === undefined || program.getOptionValueSource(option.attributeName()) === 'cli') continue;
    const variable = `CLOISTER_${name.toUpperCase().replaceAll('-', '_')}`;
    const text = process.env[variable];
    if (text !== undefined && text !== '') setOption(program, option, text, variable);
    else if (file[name] !== undefined) setOption(program, option, file[name], `${configFile()}: ${name}`);
  }
}

function configFile(): string {
  return process.env.CLOISTER_CONFIG || CONFIG_FILE;
}

async function readConfigFile(): Promise<Readonly<Partial<Record<string, Value>>>> {
  const path = configFile();
  if (!existsSync(path)) {
    if (path !== CONFIG_FILE) throw new LaunchError(`CLOISTER_CONFIG: ${path} does not exist`);
    return {};
  }
  const { parseSettings } = await import('../oci/settings.ts');
  return parseSettings(readFileSync(path, 'utf8'), path);
}

/** Throws a LaunchError that names the source. */
function setOption(program: Command, option: Option, value: Value, source: string): void {
  try {
    program.setOptionValueWithSource(option.attributeName(), parse(option, value), 'config');
  } catch (error) {
    throw new LaunchError(`${source}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function parse(option: Option, value: Value): unknown {
  if (option.isBoolean() || option.negate) {
    if (value === true || value === 'true' || value === '1') return true;
    if (value === false || value === 'false' || value === '0') return false;
    throw new Error('expected true or false');
  }
  const { parseArg } = option;
  const texts = (typeof value === 'object' ? value : [String(value)]).map(bytesOfText);
  if (option.argChoices !== undefined && !option.argChoices.includes(texts[0] ?? '')) {
    throw new Error(`expected one of ${option.argChoices.join(', ')}`);
  }
  if (parseArg === undefined) return texts[0];
  return texts.reduce<unknown>((previous, text) => parseArg(text, previous), undefined);
}
