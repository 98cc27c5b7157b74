// The import rule of the house, checked: imports point downwards in LAYERS, never up, and the outside and inside
// towers never import each other (the ground floor is for both). A type-only import may point upwards within its
// tower, because it is gone at run time. Run as a program it checks src/ and exits 1 on a violation.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';

type Tower = 'outside' | 'inside' | 'ground';

const LAYERS: readonly (readonly [Tower, readonly string[]])[] = [
  ['outside', ['cli', 'sdk', 'oci', 'image']],
  ['inside', ['sentry', 'syscalls', 'fs', 'net', 'kernel', 'loader', 'vfs', 'mm', 'platform']],
  ['ground', ['trace', 'base', 'host', 'abi']],
];

const place = new Map<string, { readonly tower: Tower; readonly rank: number }>();
for (const [tower, folders] of LAYERS) {
  for (const folder of folders) place.set(folder, { tower, rank: place.size });
}

const IMPORT =
  /^\s*(?:import|export)\s+(type\s+)?(?:[^'"`;]*?\bfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm;

/** What is wrong with the imports of one file of `src/` (path relative to it), one message each. */
export function importViolations(path: string, source: string): string[] {
  const own = path.split('/')[0] ?? '';
  const from = place.get(own);
  if (from === undefined) return [`${path}: no layer is called ${own}; the layers are ${[...place.keys()].join(', ')}`];
  const violations: string[] = [];
  for (const match of source.matchAll(IMPORT)) {
    const specifier = match[2] ?? match[3] ?? '';
    if (!specifier.startsWith('.')) continue;
    const target = normalize(join(dirname(path), specifier));
    const folder = target.split('/')[0] ?? '';
    const to = place.get(folder);
    if (to === undefined || folder === own) continue;
    if (to.tower !== 'ground' && to.tower !== from.tower) {
      violations.push(`${path}: imports ${target}: the ${from.tower} never imports the ${to.tower}`);
    } else if (to.rank < from.rank && match[1] === undefined) {
      violations.push(`${path}: imports ${target}: ${own} stands below ${folder}`);
    }
  }
  return violations;
}

/** Checks every TypeScript file under `root` (the path of `src`). */
export function checkTree(root: string): string[] {
  const files = readdirSync(root, { recursive: true, withFileTypes: true });
  return files
    .filter((file) => file.isFile() && file.name.endsWith('.ts'))
    .map((file) => join(file.parentPath, file.name))
    .sort()
    .flatMap((file) => importViolations(relative(root, file), readFileSync(file, 'utf8')));
}

if (import.meta.main) {
  const violations = checkTree(join(import.meta.dirname, '../src'));
  for (const violation of violations) console.error(violation);
  process.exitCode = violations.length === 0 ? 0 : 1;
}
