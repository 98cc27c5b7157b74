// Which functions are compiled ahead, and how. V8 compiles a function when it is first called, which took a fifth of a
// sandbox's start. So the snapshots hold those compiled that a start and first programs call, and no others: all of them
// would take longer to read. Which they are is seen here, with snapshots that say at their end what was called: of the
// command line, which goes as far as to the launcher, and of the sentry in a sandbox. All are made with
// --allow-natives-syntax.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A dynamic program and its libraries, processes, pipes, files. */
const COMMAND = ['sh', '-c', 'cat /etc/passwd | (read line; ls -l / >/dev/null; exit 3) || (exit 0)'];
const MARK = '\ncalled: ';

/** Names in the program that may be those of functions, classes, or objects with functions. */
function namesIn(program: string): string[] {
  const found = program.matchAll(
    /\bfunction\*?\s+([\w$]+)\(|(?:\bvar\s+|,\s*)([\w$]+)=\s*(?:class\b|async\b|\{|\(|[\w$]+=>)/g,
  );
  return [...new Set([...found].map(([, first, second]) => first ?? second ?? ''))];
}

/**
 * A program that builds a snapshot of the sentry's. In `then`, `main` is what the sentry does when it is thawed, and
 * `functions()` are functions by NAME, NAME.PROPERTY or NAME.prototype.METHOD, for names of the outermost scope.
 */
function builder(program: string, names: readonly string[], then: string): string {
  const table = names.map((name) => `${name}:typeof ${name}==='undefined'?null:${name}`);
  return `'use strict';
const v8 = require('node:v8');
let main, named;
const startupSnapshot = { isBuildingSnapshot: () => true, setDeserializeMainFunction(start) { main = start; } };
(function (require, $functions) {
$functions(() => ({${table.join(',\n')}}));
${program}
})((name) => (name === 'node:v8' ? { ...v8, startupSnapshot } : require(name)), (all) => { named = all; });
function functions() {
  const all = new Map();
  const add = (name, value) => {
    if (typeof value === 'function') all.set(name, value);
  };
  const addAll = (name, object) => {
    for (const [key, { value, get, set }] of Object.entries(Object.getOwnPropertyDescriptors(object))) {
      if (key !== 'constructor') add(name + '.' + key, value ?? get);
      add(name + '.' + key + '=', set);
    }
  };
  for (const [name, value] of Object.entries({ ...named(), fs: require('node:fs'), bytes: Buffer.prototype })) {
    add(name, value);
    if (typeof value === 'function') addAll(name, value);
    if (typeof value === 'function' && value.prototype) addAll(name + '.prototype', value.prototype);
    if (value !== null && typeof value === 'object') addAll(name, value);
  }
  return all;
}
${then}
`;
}

/** V8 tells by a bit of its status whether a function has not been compiled. */
const TELL = `
const status = new Function('f', 'return %GetOptimizationStatus(f)');
const { writeSync } = require('node:fs');
const LAZY = status(function () {}) & ~status(Math.max);
function tell(to) {
  const called = [...functions()].filter(([, value]) => !(status(value) & LAZY)).map(([name]) => name);
  writeSync(to, ${JSON.stringify(MARK)} + called.join(' ') + '\\n');
}
`;

const TELL_SENTRY = `${TELL}
v8.startupSnapshot.setDeserializeMainFunction(() => {
  const log = Number(process.argv.find((argument) => argument.startsWith('--log-fd=')).slice(9));
  const { dlopen } = process;
  process.dlopen = (module, path) => {
    dlopen.call(process, module, path);
    const { exit } = module.exports.host;
    module.exports.host.exit = (code) => {
      tell(log);
      exit(code);
    };
  };
  main();
});
`;

const TELL_COMMAND_LINE = `${TELL}
v8.startupSnapshot.setDeserializeMainFunction(() => {
  process.execve = () => process.exit();
  process.on('exit', () => tell(2));
  main();
});
`;

/** What was compiled until here, to load Node and the sentry, is forgotten first. */
const compile = (names: readonly string[]) => `
v8.setFlagsFromString('--stress-flush-code');
class Nothing {}
for (let i = 0; i < 3; i++) v8.queryObjects(Nothing, { format: 'count' }); // collects garbage
v8.setFlagsFromString('--no-stress-flush-code');
v8.setFlagsFromString('--no-flush-bytecode');
const compile = new Function('f', '%CompileLazy(f)');
const all = functions();
for (const name of ${JSON.stringify(names)}) if (all.has(name)) compile(all.get(name));
named = null;
v8.startupSnapshot.setDeserializeMainFunction(main);
`;

/** A program that builds a snapshot of one that says what was called. */
export function tellingBuilder(program: string, isSentry: boolean): string {
  return builder(program, namesIn(program), isSentry ? TELL_SENTRY : TELL_COMMAND_LINE);
}

/** A program that builds a snapshot of one, with these compiled. */
export function compilingBuilder(program: string, names: readonly string[]): string {
  return builder(program, [...new Set(names.map((name) => name.split('.')[0] ?? ''))], compile(names));
}

const FLAGS = ['--allow-natives-syntax', '--no-flush-bytecode'];

/** What was called according to a run of the command line, or null. */
function calledIn(args: readonly string[]): string[] | null {
  const { stderr } = spawnSync(process.execPath, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    timeout: 20_000,
    killSignal: 'SIGKILL',
  });
  const [, called] = stderr.split(MARK);
  return called?.trim().split(' ') ?? null;
}

/** What is called in a sandbox with the sentry's telling snapshot, or null if none can be started here. */
export function calledInSentry(dist: string, snapshot: string): string[] | null {
  const here = mkdtempSync(join(tmpdir(), 'cloister-build-'));
  try {
    for (const name of ['cli.js', 'cli.blob', 'cloister.node', 'stub', 'runtime.json']) {
      symlinkSync(join(dist, name), join(here, name));
    }
    symlinkSync(snapshot, join(here, 'sentry.blob'));
    const flags = FLAGS.map((flag) => `--node-arg=${flag}`).join(' ');
    writeFileSync(join(here, 'boot'), `#!/bin/sh\nexec '${join(dist, 'boot')}' ${flags} "$@"\n`, { mode: 0o755 });
    return calledIn(['--snapshot-blob', join(dist, 'cli.blob'), join(here, 'cli.js'), 'do', '--', ...COMMAND]);
  } finally {
    rmSync(here, { recursive: true, force: true });
  }
}

/**
 * What the command line calls according to its telling snapshot, on its way to the launcher and, with a configuration that
 * it refuses when it has read it, for the verbs of containers. Null if that cannot be found out.
 */
export function calledInCommandLine(dist: string, snapshot: string): string[] | null {
  const here = mkdtempSync(join(tmpdir(), 'cloister-build-'));
  const start = [...FLAGS, '--snapshot-blob', snapshot, join(dist, 'cli.js'), '--root', here];
  try {
    calledIn([...start, 'spec', '--bundle', here]); // whose program wants a terminal
    mkdirSync(join(here, 'rootfs'));
    const runs = [
      calledIn([...start, 'do', '--', ...COMMAND]),
      calledIn([...start, 'create', '--bundle', here, 'one']),
      calledIn([...start, 'delete', '--force', 'none']),
    ];
    return runs.every((called) => called !== null) ? [...new Set(runs.flat())] : null;
  } finally {
    rmSync(here, { recursive: true, force: true });
  }
}
