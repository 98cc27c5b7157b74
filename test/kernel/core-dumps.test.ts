// Core files: a debugger finds in them what a program was when it crashed in the sandbox.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { cloister } from '../cli/cloister.ts';

const PROGRAM = `
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int global = 4711;
static int inner(int value) {
  char word[16] = "findme";
  return *(volatile int *)16 + value + word[1];
}
static int outer(int value) { return inner(value + 1) * 2; }
static void *waiter(void *unused) {
  sleep(100);
  return unused;
}
int main(int argc, char **argv) {
  pthread_t thread;
  pthread_create(&thread, 0, waiter, 0);
  usleep(200000);
  if (argc > 1) abort();
  (void)argv;
  return outer(global);
}
`;

let directory = '';

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'core-'));
  writeFileSync(join(directory, 'crash.c'), PROGRAM);
  execFileSync('cc', ['-g', '-O0', '-pthread', '-o', join(directory, 'crash'), join(directory, 'crash.c')]);
});

after(() => rmSync(directory, { recursive: true, force: true }));

function inside(script: string) {
  return cloister(['do', '--bind', `${directory}:${directory}`, '--', 'sh', '-c', `cd ${directory}; ${script}`]);
}

function debug(core: string, ...commands: string[]): string {
  const args = ['-nx', '-batch', ...commands.flatMap((command) => ['-ex', command])];
  return execFileSync('gdb', [...args, join(directory, 'crash'), join(directory, core)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

test('a debugger reads a core file', () => {
  const { stdout } = inside('ulimit -c unlimited; ./crash; echo $?; mv core first; ./crash abort; echo $?');
  assert.equal(stdout, '139\n134\n');
  const text = debug('first', 'bt', 'p global', 'p word', 'p $_siginfo.si_signo', 'p $_siginfo._sifields._sigfault');
  assert.match(text, /Program terminated with signal SIGSEGV/);
  assert.match(text, /#0 .* inner \(value=4712\)[^#]*#1 .* outer \(value=4711\)[^#]*#2 .* main \(argc=1,/);
  assert.match(text, /\$1 = 4711\n\$2 = "findme/);
  assert.match(text, /\$3 = 11\n\$4 = \{si_addr = 0x10/);
  const threads = debug('core', 'info threads', 'thread apply all bt');
  assert.match(threads, /signal SIGABRT/);
  assert.match(threads, /nanosleep/);
  assert.match(threads, /abort \(\)/);
  rmSync(join(directory, 'core'));
});

test('limits, names, and processes that may not be dumped', () => {
  const { stdout } = inside(`
    ulimit -Sc 0; ./crash; echo $?
    ulimit -Sc 20; ./crash; echo $?
    ulimit -Sc unlimited
    echo 'dump.%e.%s' >/proc/sys/kernel/core_pattern; cat /proc/sys/kernel/core_pattern
    ./crash; echo '|/bin/cat' >/proc/sys/kernel/core_pattern || echo refused
    mkdir -m 555 closed; cd closed; chmod 755 ../crash; setpriv --reuid 65534 ../crash; echo $?`);
  assert.equal(stdout, '139\n139\ndump.%e.%s\nrefused\n139\n');
  assert.ok(!existsSync(join(directory, 'closed/core')));
  assert.equal(statSync(join(directory, 'core')).size <= 20 * 1024, true);
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.startsWith('dump')),
    ['dump.crash.11'],
  );
});

test('the filter, and memory that is not to be dumped, keep things out of a core file', () => {
  writeFileSync(
    join(directory, 'filter.c'),
    `
    #include <fcntl.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <unistd.h>
    static char *fill(int flags, int fd, const char *name) {
      char *at = mmap(0, 8192, PROT_READ | PROT_WRITE, flags, fd, 0);
      strcpy(at, "kind:");
      strcat(at, name);
      return at;
    }
    int main(int argc, char **argv) {
      int fd = open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0600);
      if (argc < 2 || ftruncate(fd, 8192)) return 1;
      fill(MAP_PRIVATE | MAP_ANONYMOUS, -1, "private");
      fill(MAP_SHARED | MAP_ANONYMOUS, -1, "shared");
      fill(MAP_SHARED, fd, "file");
      madvise(fill(MAP_PRIVATE | MAP_ANONYMOUS, -1, "secret"), 8192, MADV_DONTDUMP);
      FILE *filter = fopen("/proc/self/coredump_filter", "r+");
      char text[16];
      fprintf(filter, "%s", argv[1]);
      rewind(filter);
      if (fgets(text, sizeof(text), filter)) printf("%s", text);
      fflush(stdout);
      abort();
    }`,
  );
  execFileSync('cc', ['-o', join(directory, 'filter'), join(directory, 'filter.c')]);
  const script = `
    ulimit -c unlimited
    for filter in 0x33 0 1 2 0x9 0xfff x; do
      ./filter $filter 2>/dev/null; strings -n 8 core | sed -n 's/^kind:/  /p' | sort | tr '\\n' ' '; rm -f core mapped; echo
    done
    cat /proc/self/coredump_filter; echo 0x1f >/proc/self/coredump_filter; cat /proc/self/coredump_filter`;
  const { stdout } = inside(script.replaceAll('./filter $filter', './filter $filter || true'));
  assert.equal(
    stdout,
    [
      '00000033',
      '  private   shared ',
      '00000000',
      '',
      '00000001',
      '  private ',
      '00000002',
      '  shared ',
      '00000009',
      '  file   private ',
      '000001ff',
      '  file   private   shared ',
      '00000033',
      '  private   shared ',
      '00000033',
      '0000001f',
      '',
    ].join('\n'),
  );
});
