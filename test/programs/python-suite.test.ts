// The quick part of Python's own tests: the outcome of each is the native one. `npm run test:python` does all of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needPackages } from './packages.ts';
import { compare, isKnown, PYTHON_PACKAGES } from './python-suite.ts';

const skip = needPackages(...PYTHON_PACKAGES);

/** Modules, with patterns of tests that are left out because they take long. */
const QUICK: readonly (readonly string[])[] = [
  ['test_os'],
  ['test_pipes', 'test_epoll', 'test_mmap', 'test_popen', 'test_pty', 'test_fileio', 'test_fcntl', 'test_resource'],
  ['test_tempfile', 'test_shutil', 'test_posix'],
  ['test_threading', '-i', 'test_*_after_*fork*', '-i', '*Barrier*', '-i', '*Cond*', '-i', '*Semaphore*'],
  ['test_subprocess', '-m', 'POSIXProcessTestCase'],
  ['test_signal', '-i', 'StressTest', '-i', '*itimer_*', '-i', '*getsignal*', '-i', 'SiginterruptTest'],
  ['test_selectors', '-m', '*EpollSelector*'],
];

for (const args of QUICK) {
  test(`python -m test ${args.join(' ')}`, { skip: skip || false }, async () => {
    const { tests, differences } = await compare(args);
    assert.ok(tests > 0, 'the native run gave no report');
    assert.deepEqual(
      differences.filter((line) => !isKnown(line)),
      [],
    );
  });
}
