// `npm run build`: compiles native/ with make, bundles the two programs (dist/cli.js outside, dist/sentry.js inside)
// and writes down which files the sentry's Node needs, for the launcher builds a root of nothing else around it. Run
// by the pinned Node.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync, renameSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';
import type { BuildOptions, Plugin } from 'esbuild';
import { build } from 'esbuild';

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

/**
 * Bundles a program into one CommonJS file, which starts faster than a module (28 ms against 34) and than a start-up
 * snapshot (37). What it imports dynamically becomes a file of its own beside it, read only when it is needed.
 */
async function bundle(
  entry: string,
  outfile: string,
  more: Pick<BuildOptions, 'minifyWhitespace' | 'lineLimit'> = {},
): Promise<void> {
  const lazy = new Map<string, string>();
  const apart: Plugin = {
    name: 'apart',
    setup({ onResolve }) {
      onResolve({ filter: /^\.\.?\// }, ({ kind, path, resolveDir }) => {
        if (kind !== 'dynamic-import') return undefined;
        const file = `${basename(path, '.ts')}.js`;
        lazy.set(join(resolveDir, path), file);
        return { path: `./${file}`, external: true };
      });
    },
  };
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
    legalComments: 'none',
    logLevel: 'warning',
    supported: { 'dynamic-import': false }, // require, which is there also for a script from the code cache
    define: { BUILD_COMMIT: JSON.stringify(commit()) },
    plugins: [apart, idle],
    ...more,
  });
  for (const { contents } of outputFiles) replace(outfile, (temporary) => writeFileSync(temporary, contents));
  for (const [path, file] of lazy) await bundle(path, file);
}

const loaderOf = (name: string) => `'use strict';
const data = require('node:fs').readFileSync(__dirname + '/${name}.code');
const end = 8 + data.readUInt32LE(0);
const source = data.latin1Slice(8, end);
const script = new (require('node:vm').Script)(source, { filename: __dirname + '/${name}.code', cachedData: data.subarray(end) });
script.runInThisContext()(exports, require, module, __filename, __dirname);
`;

/**
 * Puts a loader in the place of a program that takes it compiled, from V8's code cache (3 ms of each start; a
 * cache of another V8 is passed over by it). Program and cache are one file, NAME.code: length, program, cache.
 */
function compileAhead(name: string): void {
  const program = readFileSync(join(dist, `${name}.js`), 'latin1');
  const wrapped = `(function(exports,require,module,__filename,__dirname){${program}\n})`;
  const source = wrapped.padEnd(Math.ceil(wrapped.length / 8) * 8);
  setFlagsFromString('--no-lazy');
  const script = new Script(source, { filename: join(dist, `${name}.code`) });
  setFlagsFromString('--lazy');
  const length = Buffer.alloc(8);
  length.writeUInt32LE(source.length);
  const code = Buffer.concat([length, Buffer.from(source, 'latin1'), script.createCachedData()]);
  replace(`${name}.code`, (temporary) => writeFileSync(temporary, code));
  replace(`${name}.js`, (temporary) => writeFileSync(temporary, loaderOf(name)));
}

/**
 * The sentry as a start-up snapshot: to load its bundle each time would take 20 ms longer. Without V8's code cache,
 * because reading those 5 MB costs more than they save.
 */
function snapshot(bundled: string, outfile: string): void {
  const config = join(dist, 'snapshot.json');
  writeFileSync(config, JSON.stringify({ builder: join(dist, bundled), withoutCodeCache: true }));
  replace(outfile, (temporary) => {
    run(process.execPath, '--snapshot-blob', temporary, '--build-snapshot-config', config);
  });
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
  writeFileSync(join(dist, 'runtime.json'), `${JSON.stringify({ node, libraries }, null, 2)}\n`);
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
  // Its text is part of the snapshot: without comments that is a quarter, because V8 takes one byte for a character.
  bundle(join(top, 'src/sentry/main.ts'), 'sentry.js', { minifyWhitespace: true, lineLimit: 120 }),
]).catch(() => fail('the programs could not be bundled'));
// The command line, and the verbs that read a configuration, whose schema is large.
for (const name of ['cli', 'create', 'run', 'exec']) compileAhead(name);
snapshot('sentry.js', 'sentry.blob');
writeRuntime();
