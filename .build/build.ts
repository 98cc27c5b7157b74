// `npm run build`: compiles native/ with make, bundles the two programs (dist/cli.js outside, dist/sentry.js inside)
// and writes down which files the sentry's Node needs, for the launcher builds a root of nothing else around it. Run
// by the pinned Node.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, realpathSync, renameSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Plugin } from 'esbuild';
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

/**
 * Bundles a program into one CommonJS file, which starts faster than a module (28 ms against 34) and than a start-up
 * snapshot (37). What it imports dynamically becomes a file of its own beside it, read only when it is needed.
 */
async function bundle(entry: string, outfile: string): Promise<void> {
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
  const { outputFiles } = await build({
    entryPoints: [entry],
    write: false,
    bundle: true,
    platform: 'node',
    target: 'node26',
    format: 'cjs',
    legalComments: 'none',
    logLevel: 'warning',
    plugins: [apart],
  });
  for (const { contents } of outputFiles) replace(outfile, (temporary) => writeFileSync(temporary, contents));
  for (const [path, file] of lazy) await bundle(path, file);
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
  bundle(join(top, 'src/sentry/main.ts'), 'sentry.js'),
]).catch(() => fail('the programs could not be bundled'));
snapshot('sentry.js', 'sentry.blob');
writeRuntime();
