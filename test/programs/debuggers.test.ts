// gdb, gdbserver and strace on small programs.

import { sameAsNative } from './harness.ts';

const GDB = { packages: ['gdb', 'gcc'], ignoreErrors: true };
/** Addresses and process ids differ from run to run. */
const mask = (output: string): string =>
  output.replaceAll(/0x[0-9a-f]+/g, 'ADDRESS').replaceAll(/\b(process|LWP|pid =|pid=) ?\d+/g, '$1 N');
/** Standard output of program and debugger goes to one pipe: the program's own must not come in between. */
const quiet = 'set pagination off\nset confirm off\nset debuginfod enabled off\n';

const FACTORIAL = `
cat > a.c <<'END'
#include <stdio.h>
int counter;
int factorial(int n) { counter++; return n < 2 ? 1 : n * factorial(n - 1); }
int main(void) {
  double half = 0.5;
  int result = factorial(5);
  half *= result;
  for (int i = 0; i < 3; i++) counter += i;
  return result == 120 && half == 60 ? 3 : 1;
}
END
gcc -g -O0 -o a a.c
cat > commands <<'END'
${quiet}set can-use-hw-watchpoints 0
break factorial
run
bt
print n
print counter
next
step
bt
finish
delete
watch counter
continue
continue
delete
info threads
print factorial(3)
info registers eflags cs
continue
END
`;

sameAsNative(
  'gdb: breakpoints, steps, a watchpoint, a call into the program',
  `${FACTORIAL}gdb -nx -batch -x commands ./a`,
  {
    ...GDB,
    mask: (output) =>
      mask(output)
        .replaceAll(/ +Frame/g, ' Frame')
        .replaceAll(/(Thread ADDRESS \(LWP N\) "a") +/g, '$1 '),
  },
);

sameAsNative(
  'gdb: catches forks, programs and calls',
  `
cat > a.c <<'END'
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
  if (fork() == 0) _exit(4);
  wait(0);
  if (vfork() == 0) { execl("/bin/true", "true", (char *)0); _exit(1); }
  wait(0);
  execl("/bin/false", "false", (char *)0);
}
END
gcc -g -O1 -o a a.c
gdb -nx -batch -ex 'set pagination off' -ex 'catch fork' -ex 'catch vfork' -ex 'catch exec' -ex 'catch syscall wait4' -ex run -ex c -ex c -ex c -ex c -ex c -ex c -ex c -ex 'info inferiors' ./a`,
  {
    ...GDB,
    mask: (output) =>
      mask(output)
        .replaceAll(/forked (\w+) \d+/g, 'forked $1 N')
        .replaceAll(/ +(Description|Connection)/g, ' $1'),
  },
);

sameAsNative(
  'gdb attaches to threads that run and wait, and leaves',
  `
cat > a.c <<'END'
#include <pthread.h>
#include <unistd.h>
static volatile int stop;
static volatile long n;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
void *spin(void *p) { while (!stop) n++; return p; }
void *lock(void *p) { pthread_mutex_lock(&m); pthread_mutex_unlock(&m); return p; }
int main(void) {
  pthread_t a, b;
  pthread_mutex_lock(&m);
  pthread_create(&a, 0, spin, 0);
  pthread_create(&b, 0, lock, 0);
  while (access("go", F_OK)) usleep(10000);
  pthread_mutex_unlock(&m);
  stop = 1;
  pthread_join(a, 0);
  pthread_join(b, 0);
  return n > 0 ? 7 : 1;
}
END
gcc -g -O1 -pthread -o a a.c
./a & sleep 0.3
for i in 1 2; do
  gdb -nx -batch -ex 'set pagination off' -ex 'thread apply all -q bt 1' -ex 'print n > 0' -ex detach -p $! 2>&1 | grep -E '^.?. ?[=#]|detached'
done
touch go
wait $!
echo $?`,
  { ...GDB, mask: (output) => mask(output).replaceAll(/#0 .*/g, '#0') },
);

sameAsNative(
  'strace: calls of a process, of a pipeline to a file, a summary, one that runs already',
  `
strace -e trace=execve,openat,close,read,exit_group cat /etc/hostname 2>&1 >/dev/null | sed -E 's/0x[0-9a-f]+.*//; s/read\\(3, "\\\\177ELF.*/ELF/'
strace -f -o trace sh -c 'ls / | wc -l' >/dev/null
grep -c 'execve("' trace; grep -c 'exited with 0' trace; grep -q -e '--- SIGCHLD' trace && echo told; grep -o 'pipe2*(' trace
strace -c -o summary true; grep -c -E ' (mmap|execve|brk|close)$' summary
strace -e trace=none -e signal=all sh -c 'kill -USR1 $$' 2>&1 | sed -E 's/[0-9]+/N/g'
mkfifo fifo
(read x < fifo; exit 5) & reader=$!
(sleep 1; echo > fifo) & sleep 0.4
strace -qq -e trace=exit_group -p $reader 2>&1; wait`,
  { packages: ['strace'], ignoreErrors: true },
);
