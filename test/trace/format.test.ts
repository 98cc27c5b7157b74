// Lines look as strace(1) prints them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatCall, formatResult, formatUnknown, formatWithoutResult } from '../../src/trace/format.ts';
import { ENTRIES, entryByName } from '../../syscall-tables/table.ts';
import { TestMemory } from './memory.ts';

/** The line of a call; `meanwhile` changes memory as the kernel would between the call and its result. */
function line(
  memory: TestMemory,
  name: string,
  args: readonly number[],
  result: number,
  meanwhile: () => void = () => {},
): string {
  const entry = entryByName(name);
  const before = formatCall(entry, args, memory);
  meanwhile();
  return unpadded(formatResult(entry, args, before, result, memory));
}

const unpadded = (text: string): string => text.replace(/\) +=/, ') =');

test('results stand below each other', () => {
  const memory = new TestMemory();
  const close = entryByName('close');
  assert.equal(formatResult(close, [3], formatCall(close, [3], memory), 0, memory), `close(3)${' '.repeat(31)} = 0`);
});

test('files', () => {
  const memory = new TestMemory();
  const path = memory.put('/etc/passwd');
  assert.equal(
    line(memory, 'openat', [-100, path, 0o2000000, 0], 3),
    'openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3',
  );
  assert.equal(
    line(memory, 'openat', [-100, path, 0o1101, 0o644], -2),
    'openat(AT_FDCWD, "/etc/passwd", O_WRONLY|O_CREAT|O_TRUNC, 0644) = -1 ENOENT (No such file or directory)',
  );
  assert.equal(
    line(memory, 'openat', [5, path, 0o20200000, 0o600], 3),
    'openat(5, "/etc/passwd", O_RDONLY|O_TMPFILE, 0600) = 3',
  );
  assert.equal(line(memory, 'access', [path, 4], 0), 'access("/etc/passwd", R_OK) = 0');
  assert.equal(line(memory, 'access', [path, 0], -13), 'access("/etc/passwd", F_OK) = -1 EACCES (Permission denied)');
  assert.equal(line(memory, 'chdir', [0], -14), 'chdir(NULL) = -1 EFAULT (Bad address)');
  assert.equal(line(memory, 'chdir', [0x10], -14), 'chdir(0x10) = -1 EFAULT (Bad address)');
  assert.equal(line(memory, 'lseek', [3, -10, 2], 90), 'lseek(3, -10, SEEK_END) = 90');
  assert.equal(line(memory, 'umask', [0o22], 0o77), 'umask(022) = 077');
  assert.equal(line(memory, 'chmod', [path, 0o4755], 0), 'chmod("/etc/passwd", 04755) = 0');
  assert.equal(
    line(memory, 'mknod', [path, 0o20666, 0x103], 0),
    'mknod("/etc/passwd", S_IFCHR|0666, makedev(0x1, 0x3)) = 0',
  );
  assert.equal(line(memory, 'chown', [path, 0xffffffff, 5], 0), 'chown("/etc/passwd", -1, 5) = 0');
});

test('long paths are printed whole, data is cut at 32 bytes', () => {
  const memory = new TestMemory();
  const long = memory.put(`/${'x'.repeat(60)}`);
  assert.equal(line(memory, 'rmdir', [long], 0), `rmdir("/${'x'.repeat(60)}") = 0`);
  assert.equal(line(memory, 'write', [1, long, 61], 61), `write(1, "/${'x'.repeat(31)}"..., 61) = 61`);
  const odd = memory.put('a\n\t"\\\x01\x007\xff');
  assert.equal(line(memory, 'write', [1, odd, 9], 9), 'write(1, "a\\n\\t\\"\\\\\\1\\0007\\377", 9) = 9');
});

test('data that comes out is read after the call, up to what was returned', () => {
  const memory = new TestMemory();
  const buffer = memory.put(new Uint8Array(100));
  const fill = (text: string) => () => {
    for (const [at, character] of [...text].entries())
      memory.readMemory(buffer, 1) && memory.setShort(buffer + at, character.charCodeAt(0));
  };
  assert.equal(line(memory, 'read', [0, buffer, 100], 3, fill('abc')), 'read(0, "abc", 100) = 3');
  assert.equal(line(memory, 'read', [0, buffer, 100], 0), 'read(0, "", 100) = 0');
  assert.equal(
    line(memory, 'read', [0, buffer, 100], -11),
    `read(0, 0x${buffer.toString(16)}, 100) = -1 EAGAIN (Resource temporarily unavailable)`,
  );
  assert.equal(
    line(memory, 'read', [0, buffer, 100], -512),
    `read(0, 0x${buffer.toString(16)}, 100) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)`,
  );
});

test('stat and statx', () => {
  const memory = new TestMemory();
  const path = memory.put('f');
  const stat = memory.put(new Uint8Array(144));
  memory.setHalf(stat + 24, 0o100644);
  memory.setWord(stat + 48, 1234);
  assert.equal(line(memory, 'stat', [path, stat], 0), 'stat("f", {st_mode=S_IFREG|0644, st_size=1234, ...}) = 0');
  memory.setHalf(stat + 24, 0o21777);
  memory.setWord(stat + 40, 0x8803);
  assert.equal(
    line(memory, 'newfstatat', [-100, path, stat, 0x1000], 0),
    'newfstatat(AT_FDCWD, "f", {st_mode=S_IFCHR|S_ISVTX|0777, st_rdev=makedev(0x88, 0x3), ...}, AT_EMPTY_PATH) = 0',
  );
  const statx = memory.put(new Uint8Array(256));
  memory.setHalf(statx, 0x7ff);
  memory.setShort(statx + 28, 0o40755);
  assert.match(
    line(memory, 'statx', [-100, path, 0, 0xfff, statx], 0),
    /^statx\(AT_FDCWD, "f", 0, STATX_ALL, \{stx_mask=STATX_BASIC_STATS, stx_attributes=0, stx_mode=S_IFDIR\|0755, stx_size=0, \.\.\.\}\) = 0$/,
  );
});

test('memory', () => {
  const memory = new TestMemory();
  assert.equal(
    line(memory, 'mmap', [0, 8192, 3, 0x22, -1, 0], 0x7f1234560000),
    'mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f1234560000',
  );
  assert.equal(
    line(memory, 'mmap', [0x400000, 4096, 5, 0x812, 3, 0x1000], 0x400000),
    'mmap(0x400000, 4096, PROT_READ|PROT_EXEC, MAP_PRIVATE|MAP_FIXED|MAP_DENYWRITE, 3, 0x1000) = 0x400000',
  );
  assert.equal(line(memory, 'brk', [0], 0x555555000000), 'brk(NULL) = 0x555555000000');
  assert.equal(line(memory, 'mprotect', [0x1000, 4096, 0], 0), 'mprotect(0x1000, 4096, PROT_NONE) = 0');
  assert.equal(line(memory, 'madvise', [0x1000, 4096, 4], 0), 'madvise(0x1000, 4096, MADV_DONTNEED) = 0');
});

test('signals', () => {
  const memory = new TestMemory();
  const act = memory.words(0x401000, 0x14000000, 0x402000, 0x10002);
  const old = memory.put(new Uint8Array(32));
  assert.equal(
    line(memory, 'rt_sigaction', [2, act, old, 8], 0),
    'rt_sigaction(SIGINT, {sa_handler=0x401000, sa_mask=[INT CHLD], sa_flags=SA_RESTORER|SA_RESTART, sa_restorer=0x402000}, ' +
      '{sa_handler=SIG_DFL, sa_mask=[], sa_flags=0}, 8) = 0',
  );
  assert.equal(
    line(memory, 'rt_sigprocmask', [0, memory.halves(0xfffbfeff, 0xffffffff), 0, 8], 0),
    'rt_sigprocmask(SIG_BLOCK, ~[KILL STOP], NULL, 8) = 0',
  );
  assert.equal(line(memory, 'kill', [-5, 15], 0), 'kill(-5, SIGTERM) = 0');
  assert.equal(line(memory, 'kill', [5, 0], -3), 'kill(5, 0) = -1 ESRCH (No such process)');
  assert.equal(line(memory, 'tgkill', [5, 6, 34], 0), 'tgkill(5, 6, SIGRT_2) = 0');
  const info = memory.put(new Uint8Array(128));
  for (const [at, value] of [
    [0, 17],
    [8, 1],
    [16, 42],
    [20, 1000],
    [24, 3],
  ] as const)
    memory.setHalf(info + at, value);
  assert.equal(
    line(memory, 'waitid', [1, 42, info, 0x1000004, 0], 0),
    'waitid(P_PID, 42, {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=42, si_uid=1000, si_status=3, si_utime=0, si_stime=0}, WEXITED|WNOWAIT, NULL) = 0',
  );
});

test('processes', () => {
  const memory = new TestMemory();
  const status = memory.halves(0x300);
  assert.equal(
    line(memory, 'wait4', [-1, status, 1, 0], 42),
    'wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], WNOHANG, NULL) = 42',
  );
  assert.equal(line(memory, 'wait4', [-1, status, 1, 0], 0), `wait4(-1, 0x${status.toString(16)}, WNOHANG, NULL) = 0`);
  memory.setHalf(status, 0x8b);
  assert.equal(
    line(memory, 'wait4', [-1, status, 0, 0], 42),
    'wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)}], 0, NULL) = 42',
  );
  const argv = memory.words(memory.put('ls'), memory.put('-l'), 0);
  const envp = memory.words(memory.put('A=1'), 0);
  assert.equal(
    line(memory, 'execve', [memory.put('/bin/ls'), argv, envp], 0),
    `execve("/bin/ls", ["ls", "-l"], 0x${envp.toString(16)} /* 1 var */) = 0`,
  );
  assert.equal(
    line(memory, 'clone', [0x1200011, 0, 0, 0, 0x7f0000000a10], 7),
    'clone(SIGCHLD|CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID, NULL, NULL, NULL, 0x7f0000000a10) = 7',
  );
  const args = memory.words(0x1_0000_4100, 0, 0, 0, 17, 0x7000, 0x9000, 0, 0, 0, 0);
  assert.equal(
    line(memory, 'clone3', [args, 88], 8),
    'clone3({flags=CLONE_VM|CLONE_VFORK|CLONE_CLEAR_SIGHAND, exit_signal=SIGCHLD, stack=0x7000, stack_size=0x9000}, 88) = 8',
  );
  assert.equal(
    line(memory, 'futex', [0x5000, 0x81, 1, 0, 0, 0], 1),
    'futex(0x5000, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) = 1',
  );
  assert.equal(
    line(memory, 'futex', [0x5000, 0x189, 1, 0, 0, 0], -110).slice(0, 67),
    'futex(0x5000, FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME, 1, NU',
  );
  assert.equal(line(memory, 'prctl', [15, memory.put('worker'), 1, 2, 3], 0), 'prctl(PR_SET_NAME, "worker") = 0');
  assert.equal(
    line(memory, 'prlimit64', [0, 7, 0, memory.words(1024, -1)], 0),
    'prlimit64(0, RLIMIT_NOFILE, NULL, {rlim_cur=1024, rlim_max=RLIM64_INFINITY}) = 0',
  );
  const exit = entryByName('exit_group');
  assert.equal(unpadded(formatWithoutResult(exit, [3], formatCall(exit, [3], memory))), 'exit_group(3) = ?');
});

test('descriptors', () => {
  const memory = new TestMemory();
  const fds = memory.halves(3, 4);
  assert.equal(line(memory, 'pipe2', [fds, 0o2000000], 0), 'pipe2([3, 4], O_CLOEXEC) = 0');
  assert.equal(line(memory, 'fcntl', [3, 3, 0], 0o100002), 'fcntl(3, F_GETFL) = 0x8002 (flags O_RDWR|O_LARGEFILE)');
  assert.equal(line(memory, 'fcntl', [3, 1, 0], 1), 'fcntl(3, F_GETFD) = 0x1 (flags FD_CLOEXEC)');
  assert.equal(line(memory, 'fcntl', [3, 2, 1], 0), 'fcntl(3, F_SETFD, FD_CLOEXEC) = 0');
  assert.equal(line(memory, 'fcntl', [3, 1030, 10], 10), 'fcntl(3, F_DUPFD_CLOEXEC, 10) = 10');
  const lock = memory.put(new Uint8Array(32));
  memory.setShort(lock, 1);
  memory.setWord(lock + 16, 100);
  assert.equal(
    line(memory, 'fcntl', [3, 6, lock], 0),
    'fcntl(3, F_SETLK, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=0, l_len=100}) = 0',
  );
  const size = memory.put(new Uint8Array(8));
  const resize = () => {
    memory.setShort(size, 24);
    memory.setShort(size + 2, 80);
  };
  assert.equal(
    line(memory, 'ioctl', [1, 0x5413, size], 0, resize),
    'ioctl(1, TIOCGWINSZ, {ws_row=24, ws_col=80, ws_xpixel=0, ws_ypixel=0}) = 0',
  );
  assert.equal(
    line(memory, 'ioctl', [1, 0x5401, size], -25),
    `ioctl(1, TCGETS, 0x${size.toString(16)}) = -1 ENOTTY (Inappropriate ioctl for device)`,
  );
  assert.equal(line(memory, 'ioctl', [1, 0x80045430, fds], 0), 'ioctl(1, TIOCGPTN, [3]) = 0');
  assert.equal(
    line(memory, 'ioctl', [1, 0xc0de1234, 5], -25).slice(0, 62),
    'ioctl(1, _IOC(_IOC_READ|_IOC_WRITE, 0x12, 0x34, 0xde), 0x5) = ',
  );
  const offset = memory.words(0);
  assert.equal(
    line(memory, 'sendfile', [1, 3, offset, 100], 100, () => memory.setWord(offset, 100)),
    'sendfile(1, 3, [0] => [100], 100) = 100',
  );
});

test('vectors', () => {
  const memory = new TestMemory();
  const iov = memory.words(memory.put('hello '), 6, memory.put('world'), 5);
  assert.equal(
    line(memory, 'writev', [1, iov, 2], 11),
    'writev(1, [{iov_base="hello ", iov_len=6}, {iov_base="world", iov_len=5}], 2) = 11',
  );
  assert.equal(
    line(memory, 'readv', [1, iov, 2], 8),
    'readv(1, [{iov_base="hello ", iov_len=6}, {iov_base="wo", iov_len=5}], 2) = 8',
  );
  const message = memory.words(0, 0, iov, 1, 0, 0, 0);
  assert.equal(
    line(memory, 'sendmsg', [3, message, 0x4000], 6),
    'sendmsg(3, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="hello ", iov_len=6}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, MSG_NOSIGNAL) = 6',
  );
});

test('waiting', () => {
  const memory = new TestMemory();
  const fds = memory.halves(3, 1, 4, 4);
  const ready = () => memory.setHalf(fds + 4, 1 | (0x11 << 16));
  assert.equal(
    line(memory, 'poll', [fds, 2, -1], 1, ready),
    'poll([{fd=3, events=POLLIN}, {fd=4, events=POLLOUT}], 2, -1) = 1 ([{fd=3, revents=POLLIN|POLLHUP}])',
  );
  assert.equal(line(memory, 'poll', [0, 0, 5], 0), 'poll(NULL, 0, 5) = 0 (Timeout)');
  const set = memory.put(new Uint8Array(128));
  memory.setWord(set, 0b1001);
  const timeout = memory.words(1, 0);
  const left = () => {
    memory.setWord(set, 0b1000);
    memory.setWord(timeout, 0);
  };
  assert.equal(
    line(memory, 'select', [4, set, 0, 0, timeout], 1, left),
    'select(4, [0 3], NULL, NULL, {tv_sec=1, tv_usec=0}) = 1 (in [3], left {tv_sec=0, tv_usec=0})',
  );
  const event = memory.halves(0x80000001, 7, 0);
  assert.equal(
    line(memory, 'epoll_ctl', [5, 1, 7, event], 0),
    'epoll_ctl(5, EPOLL_CTL_ADD, 7, {events=EPOLLIN|EPOLLET, data={u32=7, u64=7}}) = 0',
  );
  assert.equal(
    line(memory, 'epoll_wait', [5, event, 10, -1], 1),
    'epoll_wait(5, [{events=EPOLLIN|EPOLLET, data={u32=7, u64=7}}], 10, -1) = 1',
  );
  assert.equal(line(memory, 'epoll_wait', [5, event, 10, 0], 0), 'epoll_wait(5, [], 10, 0) = 0');
  assert.equal(
    line(memory, 'clock_nanosleep', [1, 1, timeout, 0], 0),
    'clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, {tv_sec=0, tv_nsec=0}, NULL) = 0',
  );
});

test('sockets', () => {
  const memory = new TestMemory();
  assert.equal(
    line(memory, 'socket', [1, 0o2004001, 0], 3),
    'socket(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0) = 3',
  );
  const unix = memory.put('\x01\0/run/x\0');
  assert.equal(
    line(memory, 'connect', [3, unix, 110], 0),
    'connect(3, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = 0',
  );
  const abstract = memory.put('\x01\0\0name');
  assert.equal(line(memory, 'bind', [3, abstract, 7], 0), 'bind(3, {sa_family=AF_UNIX, sun_path=@"name"}, 7) = 0');
  const inet = memory.put('\x02\0\x1f\x90\x7f\0\0\x01');
  assert.equal(
    line(memory, 'connect', [3, inet, 16], -111),
    'connect(3, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 ECONNREFUSED (Connection refused)',
  );
  const inet6 = memory.put(`\x0a\0\0\x50\0\0\0\0\xfe\x80${'\0'.repeat(13)}\x01\x02\0\0\0`);
  assert.equal(
    line(memory, 'connect', [3, inet6, 28], 0),
    'connect(3, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "fe80::1", &sin6_addr), sin6_scope_id=2}, 28) = 0',
  );
  const length = memory.halves(110);
  assert.equal(
    line(memory, 'accept4', [3, unix, length, 0o2000000], 4, () => memory.setHalf(length, 2)),
    'accept4(3, {sa_family=AF_UNIX}, [110] => [2], SOCK_CLOEXEC) = 4',
  );
  assert.equal(
    line(memory, 'setsockopt', [3, 1, 2, memory.halves(1), 4], 0),
    'setsockopt(3, SOL_SOCKET, SO_REUSEADDR, "\\1\\0\\0\\0", 4) = 0',
  );
});

test('numbers in no table', () => {
  assert.equal(
    unpadded(formatUnknown(9999, [1, 0x20], -38)),
    'syscall_0x270f(0x1, 0x20) = -1 ENOSYS (Function not implemented)',
  );
});

test('no argument, however hostile, makes the formatter fail or read much', () => {
  const memory = new TestMemory();
  let most = 0;
  const watched = {
    readMemory(address: number, length: number): Uint8Array | null {
      most = Math.max(most, length);
      return (
        memory.readMemory(address, length) ?? (length > 0 && length < 65536 ? new Uint8Array(length).fill(0xff) : null)
      );
    },
    readString: () => '\xff',
  };
  const hostile = [0, 1, -1, 0x7fffffff, -0x80000000, 0xffffffff, 2 ** 47, 2 ** 64, -(2 ** 63), TestMemory.BASE];
  for (const entry of ENTRIES) {
    for (const value of hostile) {
      for (const other of hostile) {
        const args = [value, other, value, other, value, other];
        const before = formatCall(entry, args, watched);
        for (const result of [0, 1, -14, 2 ** 47]) formatResult(entry, args, before, result, watched);
      }
    }
  }
  assert.ok(most <= 4096, `${most} bytes in one go`);
});
