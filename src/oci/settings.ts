// The configuration file of Cloister itself.

import * as z from 'zod';
import { LaunchError } from './launch-error.ts';

const settings = z.strictObject({
  root: z.string().min(1).optional(),
  log: z.string().min(1).optional(),
  'log-format': z.enum(['text', 'json']).optional(),
  debug: z.boolean().optional(),
  network: z.string().optional(),
  egress: z.union([z.string(), z.array(z.string())]).optional(),
  platform: z.enum(['notify', 'ptrace']).optional(),
  patch: z.boolean().optional(),
  spin: z.enum(['auto', 'off']).optional(),
});

export type Settings = z.infer<typeof settings>;

/** Throws a LaunchError with a line for each key at fault. */
export function parseSettings(text: string, path: string): Settings {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new LaunchError(`${path}: not JSON: ${(error as SyntaxError).message}`);
  }
  const result = settings.safeParse(document);
  if (result.success) return result.data;
  const lines = result.error.issues.map(
    (issue) => `${path}: ${issue.path.join('.') || 'the document'}: ${issue.message}`,
  );
  throw new LaunchError(lines.join('\n'));
}
