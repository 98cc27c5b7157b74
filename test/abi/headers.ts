// Asks the machine's C compiler and headers for the values of expressions.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const HEADERS = [
  'stdio.h',
  'stddef.h',
  'string.h',
  'errno.h',
  'fcntl.h',
  'dirent.h',
  'unistd.h',
  'sys/stat.h',
  'sys/statfs.h',
  'sys/statvfs.h',
  'sys/sysmacros.h',
  'sys/xattr.h',
  'sys/vfs.h',
  'signal.h',
  'poll.h',
  'sys/epoll.h',
  'sys/signalfd.h',
  'sys/mman.h',
  'sys/shm.h',
  'sys/ipc.h',
  'sched.h',
  'time.h',
  'sys/time.h',
  'sys/times.h',
  'sys/timerfd.h',
  'sys/ioctl.h',
  'termios.h',
  'sys/resource.h',
  'sys/wait.h',
  'sys/prctl.h',
  'sys/socket.h',
  'sys/un.h',
  'netinet/in.h',
  'netinet/tcp.h',
  'sys/mount.h',
  'sys/syscall.h',
  'sys/random.h',
  'sys/eventfd.h',
  'sys/fanotify.h',
  'sys/inotify.h',
  'sys/personality.h',
  'sys/sysinfo.h',
  'sys/utsname.h',
  'sys/uio.h',
  'elf.h',
  'limits.h',
  'asm/prctl.h',
  'linux/auxvec.h',
  'linux/capability.h',
  'linux/close_range.h',
  'linux/fiemap.h',
  'linux/fs.h',
  'linux/futex.h',
  'linux/limits.h',
  'linux/magic.h',
  'linux/memfd.h',
  'linux/openat2.h',
  'linux/sched.h',
  'linux/seccomp.h',
  'linux/sockios.h',
  'linux/netlink.h',
];

// libc hides it, but the numbers of its ioctls hold its size.
const TERMIOS2 = 'struct termios2 { unsigned mode[4]; unsigned char line, cc[19]; unsigned ispeed, ospeed; };';

/** Compiles and runs a C program that has `body` in main after every header above; returns what it prints. */
export function runC(body: string): string {
  return withSource(body, (source, directory) => {
    const program = join(directory, 'headers');
    execFileSync('cc', ['-w', '-o', program, source], { stdio: 'pipe' });
    return execFileSync(program, { encoding: 'utf8' });
  });
}

/** Every macro of the headers above, as `#define NAME VALUE` lines. */
export function macros(): string {
  return withSource('', (source) =>
    execFileSync('cc', ['-dM', '-E', source], { encoding: 'utf8', maxBuffer: 1 << 24 }),
  );
}

function withSource(body: string, use: (source: string, directory: string) => string): string {
  const directory = mkdtempSync(join(tmpdir(), 'cloister-headers-'));
  try {
    const includes = HEADERS.map((header) => `#include <${header}>\n`).join('');
    const source = join(directory, 'headers.c');
    writeFileSync(source, `#define _GNU_SOURCE\n${includes}${TERMIOS2}\nint main(void) {\n${body}\nreturn 0; }\n`);
    return use(source, directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Values of C expressions by key; if `guarded`, macros that the headers lack are left out. */
export function valuesOf(expressions: Readonly<Record<string, string>>, guarded: boolean): Map<string, number> {
  const lines = Object.entries(expressions).map(([key, expression]) => {
    const print = `printf("${key} %lld\\n", (long long)(${expression}));\n`;
    return guarded ? `#ifdef ${expression}\n${print}#endif\n` : print;
  });
  const rows = runC(lines.join('')).trim().split('\n');
  return new Map(rows.map((row) => [row.split(' ')[0] as string, Number(row.split(' ')[1])]));
}
