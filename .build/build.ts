// `npm run build`: compiles native/ with make, bundles the programs (dist/cli.js and containers.js outside, dist/sentry.js
// inside), makes start-up snapshots of them, and writes down which files the sentry's Node needs, for the launcher builds
// a root of nothing else around it. Run by the pinned Node.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Plugin } from 'esbuild';
import { build } from 'esbuild';
import { fixedArguments } from '../src/oci/launch.ts';
import { calledInCommandLine, calledInSentry, compilingBuilder, tellingBuilder } from './ahead.ts';

const top = join(import.meta.dirname, '..');
const dist = join(top, 'dist');

/** Ends the build with a message for whoever ran it; a stack trace would not help them. */
function fail(message: string): never {
  process.stderr.write(`cloister: ${message}\n`);
  process.exit(1);
}

function requireTool(tool: string, packages: string): void {
  const found = spawnSync(tool, ['--version'], { stdio: 'ignore' });
  if (found.error !== undefined) {
    fail(`${tool} is missing, and native/ is compiled with it. On Debian: apt-get install ${packages}`);
  }
}

function run(command: string, ...args: string[]): void {
  const { status, error } = spawnSync(command, args, { cwd: top, stdio: 'inherit' });
  if (status !== 0) fail(`${command} ${args.join(' ')} failed${error ? `: ${error.message}` : ''}`);
}

/** Makes a file of dist/ anew, in one step for whoever starts a sandbox meanwhile. */
function replace(name: string, write: (temporary: string) => void): void {
  const temporary = join(dist, `.${process.pid}-${name}`);
  write(temporary);
  renameSync(temporary, join(dist, name));
}

/** What is built, for `--version`; empty outside a repository. */
function commit(): string {
  if (!existsSync(join(top, '.git'))) return '';
  const options = ['--always', '--dirty', '--abbrev=12', '--exclude=*'];
  const { status, stdout } = spawnSync('git', ['describe', ...options], { cwd: top, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : '';
}

/** Bundles a program into one CommonJS file, without comments and blanks. */
async function bundle(entry: string, outfile: string): Promise<void> {
  // Commander can start subcommands as processes, which nothing here does; Node's module for it takes 3 ms to load.
  const idle: Plugin = {
    name: 'idle',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^node:child_process$/ }, ({ importer }) =>
        importer.includes('/commander/') ? { path: 'child_process', namespace: 'idle' } : undefined,
      );
      onLoad({ filter: /.*/, namespace: 'idle' }, () => ({ contents: 'export default {};' }));
    },
  };
  const { outputFiles } = await build({
    entryPoints: [entry],
    write: false,
    bundle: true,
    platform: 'node',
    target: 'node26',
    format: 'cjs',
    minifyWhitespace: true, // the text is part of the snapshot: V8 takes one byte for a character if it is ASCII, else two
    lineLimit: 120,
    legalComments: 'none',
    logLevel: 'warning',
    define: { BUILD_COMMIT: JSON.stringify(commit()) },
    plugins: [idle],
  });
  for (const { contents } of outputFiles) replace(outfile, (temporary) => writeFileSync(temporary, contents));
}

/**
 * A program as a start-up snapshot: loaded, and waiting for what it is to do. With `keepCode` it holds compiled what has been
 * compiled. Then Node also puts in compiled code of all its own modules, which is taken out: to read those 5 MB costs more
 * than they save.
 */
function snapshot(builder: string, outfile: string, keepCode = false): void {
  const config = join(dist, `.${process.pid}-snapshot.json`);
  writeFileSync(config, JSON.stringify({ builder: join(dist, builder), withoutCodeCache: !keepCode }));
  replace(outfile, (temporary) => {
    // Node warns that not all of its modules are known to work in a snapshot.
    const flags = ['--no-warnings', '--allow-natives-syntax'];
    run(process.execPath, ...flags, '--snapshot-blob', temporary, '--build-snapshot-config', config);
    rmSync(config);
    if (!keepCode) return;
    const blob = readFileSync(temporary);
    const end = startOfCodeCache(blob);
    if (end < 0) fail(`${outfile}: not a snapshot of the pinned Node`);
    writeFileSync(temporary, Buffer.concat([blob.subarray(0, end), Buffer.alloc(8)]));
  });
}

/**
 * Where the compiled code of Node's modules begins, the last thing in a snapshot: a count, and for each its name and data,
 * both with their length before them. -1: nowhere.
 */
function startOfCodeCache(blob: Buffer): number {
  for (let at = 0; at + 16 <= blob.length; at++) {
    const count = lengthAt(blob, at);
    if (count > 0 && count < 2000 && endOfEntries(blob, at + 8, count) === blob.length) return at;
  }
  return -1;
}

/** A 64-bit number that should be small; -1: it is not. */
function lengthAt(blob: Buffer, at: number): number {
  return at + 8 > blob.length || blob.readUInt32LE(at + 4) !== 0 ? -1 : blob.readUInt32LE(at);
}

/** Where so many names with data end, or -1. */
function endOfEntries(blob: Buffer, at: number, count: number): number {
  for (let i = 0; i < 2 * count; i++) {
    const length = lengthAt(blob, at);
    if (length < 0) return -1;
    at += 8 + length;
  }
  return at;
}

/**
 * The snapshot of a program, NAME.blob of NAME.js, with what a start needs compiled ahead, if `calledIn` can find out what
 * that is, with a snapshot that tells.
 */
function snapshotAhead(name: string, calledIn: (dist: string, snapshot: string) => string[] | null): void {
  const program = readFileSync(join(dist, `${name}.js`), 'utf8');
  const telling = `.${process.pid}-telling`;
  writeFileSync(join(dist, `${telling}.js`), tellingBuilder(program, name === 'sentry'));
  snapshot(`${telling}.js`, `${telling}.blob`);
  const called = calledIn(dist, join(dist, `${telling}.blob`));
  for (const suffix of ['js', 'blob']) rmSync(join(dist, `${telling}.${suffix}`));
  if (called === null) {
    process.stderr.write(
      `cloister: ${name}: what it calls cannot be seen here, where no sandbox starts; it will start slower\n`,
    );
    snapshot(`${name}.js`, `${name}.blob`);
    return;
  }
  replace(`${name}-ahead.js`, (temporary) => writeFileSync(temporary, compilingBuilder(program, called)));
  snapshot(`${name}-ahead.js`, `${name}.blob`, true);
}

/**
 * The Node binary, its ELF interpreter and its libraries. A library is listed under the path the interpreter asks
 * for, because that is where it will look for it inside.
 */
function writeRuntime(): void {
  const node = realpathSync(process.execPath);
  const listing = execFileSync('ldd', [node], { encoding: 'utf8' });
  const missing = [...listing.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1]);
  if (missing.length > 0) {
    fail(`Node's libraries are missing: ${missing.join(', ')}. On Debian: apt-get install libatomic1 libstdc++6`);
  }
  const libraries = [...listing.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1]);
  const runtime = { node, libraries: libraries.map(String) };
  replace('runtime.json', (temporary) => writeFileSync(temporary, `${JSON.stringify(runtime, null, 2)}\n`));
  const options = fixedArguments(dist, runtime);
  replace('boot.options', (temporary) => writeFileSync(temporary, options.map((option) => `${option}\n`).join('')));
}

if (process.platform !== 'linux' || process.arch !== 'x64') {
  fail(`built for Linux on x86-64 so far, not ${process.platform} on ${process.arch}`);
}
requireTool('cc', 'gcc libc6-dev');
requireTool('make', 'make');
mkdirSync(dist, { recursive: true });
writeFileSync(join(dist, 'package.json'), '{ "type": "commonjs" }\n');
run('make', '--silent', '-C', 'native', `NODE=${realpathSync(process.execPath)}`);
// What esbuild complains about it has printed by then.
await Promise.all([
  bundle(join(top, 'src/cli/main.ts'), 'cli.js'),
  bundle(join(top, 'src/cli/containers.ts'), 'containers.js'),
  bundle(join(top, 'src/sentry/main.ts'), 'sentry.js'),
]).catch(() => fail('the programs could not be bundled'));
writeRuntime();
snapshotAhead('cli', calledInCommandLine);
snapshotAhead('containers', calledInCommandLine);
snapshotAhead('sentry', calledInSentry);
