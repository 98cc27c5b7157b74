// The checker of the import rule catches what it is there for, and src/ passes it.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkTree, importViolations } from '../../.build/imports.ts';

test('an import upwards is a violation, a type-only one is not', () => {
  const upwards = importViolations('mm/user-memory.ts', "import { Task } from '../kernel/task.ts';\n");
  assert.deepEqual(upwards, ['mm/user-memory.ts: imports kernel/task.ts: mm stands below kernel']);
  assert.deepEqual(importViolations('mm/user-memory.ts', "import type { Task } from '../kernel/task.ts';\n"), []);
});

test('imports over several lines, re-exports and dynamic imports are seen', () => {
  const source =
    "import {\n  a,\n  b,\n} from '../vfs/inode.ts';\nexport { c } from '../fs/proc/root.ts';\nimport('../sentry/main.ts');\n";
  assert.equal(importViolations('platform/arena.ts', source).length, 3);
});

test('the towers never import each other, not even for types', () => {
  const source = "import type { Task } from '../kernel/task.ts';\n";
  assert.equal(importViolations('cli/do.ts', source).length, 1);
  assert.equal(importViolations('kernel/task.ts', "import { launch } from '../oci/launch.ts';\n").length, 1);
});

test('downwards, within a layer, to the ground and to packages is allowed', () => {
  const source = `
    import { z } from 'zod';
    import { readFileSync } from 'node:fs';
    import { helper } from './helper.ts';
    import type { SandboxSpec } from '../base/spec.ts';
    import { ENOENT } from '../abi/errno.ts';
    import { launch } from '../oci/launch.ts';
  `;
  assert.deepEqual(importViolations('cli/do.ts', source), []);
});

test('a folder without a place in the house is a violation', () => {
  assert.equal(importViolations('attic/box.ts', '').length, 1);
});

test('src/ keeps the rule', () => {
  assert.deepEqual(checkTree(join(import.meta.dirname, '../../src')), []);
});
