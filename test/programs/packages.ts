// Debian packages that the tests of programs need. What is missing is installed once, by root on a Debian; where that
// cannot be done the tests are skipped and say why. In CI (CI=1) there are no excuses.

import { spawnSync } from 'node:child_process';

const attempted = new Set<string>();

function isInstalled(name: string): boolean {
  const { stdout } = spawnSync('dpkg-query', ['-W', '-f', `\${Status}`, name], { encoding: 'utf8' });
  return stdout === 'install ok installed';
}

function aptGet(...args: string[]): string {
  const { status, error, stderr } = spawnSync('apt-get', ['-qq', ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
    // RUNLEVEL=1: packages of servers do not start them.
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
  });
  if (status === 0) return '';
  return error?.message ?? (stderr.trim().split('\n').at(-1) || `apt-get ended with status ${status}`);
}

function install(names: readonly string[]): string {
  if (process.getuid?.() !== 0) return 'only root can install them';
  const wanted = ['install', '-y', '--no-install-recommends', ...names];
  const trouble = aptGet(...wanted);
  // The lists may be old or missing.
  return trouble && (aptGet('update') || aptGet(...wanted));
}

/** '' when all packages are there (perhaps only now), else the reason to skip. Throws in CI. */
export function needPackages(...names: string[]): string {
  const missing = names.filter((name) => !isInstalled(name));
  if (missing.length === 0) return '';
  const fresh = missing.filter((name) => !attempted.has(name));
  for (const name of missing) attempted.add(name);
  const trouble = fresh.length > 0 ? install(missing) : 'they could not be installed';
  if (!trouble) return '';
  const reason = `needs the Debian packages ${missing.join(', ')}: ${trouble}`;
  if (process.env.CI) throw new Error(reason);
  return reason;
}
