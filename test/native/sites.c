// Call sites under patching: eight threads make calls through the same site while it is being patched, in the aligned
// and the straddling form; libc's syscall() and a plain mov; a jump straight to the syscall instruction; a site used by
// a program that has set gs for itself. Prints one line for each; any wrong result says so.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define THREADS 8
#define CALLS   2000

long aligned_site(void), straddling_site(void), direct_jump(void);
__asm__(
    ".text\n"
    ".balign 64\naligned_site: mov $111, %eax\n syscall\n ret\n"
    ".balign 64\n .skip 62, 0x90\nstraddling_site: mov $111, %eax\n syscall\n ret\n"
    ".balign 64\ndirect_jump: mov $111, %ecx\n mov %ecx, %eax\n jmp 2f\n nop\n1: mov $-1, %eax\n2: syscall\n ret\n");

// Forms other than mov $number, %eax right before the syscall, and one that looks like it: mov $111, %r8d.
long register_form(void), wide_form(void), stack_form(void), store_form(void), lookalike(void);
__asm__(
    ".text\n"
    ".balign 64\nregister_form: mov $111, %eax\n mov $7, %edi\n syscall\n ret\n"
    ".balign 64\nwide_form: mov $111, %ecx\n mov $111, %rax\n syscall\n ret\n"
    ".balign 64\nstack_form: sub $16, %rsp\n movq $111, 8(%rsp)\n mov 8(%rsp), %rax\n syscall\n add $16, %rsp\n ret\n"
    ".balign 64\nstore_form: sub $16, %rsp\n mov $111, %eax\n mov %r11, 8(%rsp)\n syscall\n add $16, %rsp\n ret\n"
    ".balign 64\nlookalike: mov $111, %eax\n xor %r8d, %r8d\n mov $111, %r8d\n syscall\n"
    " cmp $111, %r8\n je 1f\n mov $-1, %rax\n1: ret\n");

// Instructions too short for a jump, with room for one behind the function: a long nop, or int3; and a straddling site.
long read_form(void), move_form(void), straddling_with_room(void);
__asm__(".text\n"
        ".balign 64\nread_form: mov $-1, %edi\n xor %eax, %eax\n syscall\n ret\n"
        " .byte 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0\n .balign 64, 0xcc\n"
        "move_form: mov $111, %ecx\n mov %rcx, %rax\n syscall\n ret\n .balign 64, 0xcc\n"
        " .skip 62, 0xcc\nstraddling_with_room: mov $111, %eax\n syscall\n ret\n .balign 64, 0xcc\n");

// Sites that no single store can change, without room near by: those of a read, which has two instructions for one
// jump, with and without a REX prefix, entered before, at and behind the second one; and one whose prefix is none.
long read_pair(void), wide_pair(void), between_pair(void), no_prefix(void);
__asm__(
    ".text\n"
    ".skip 256, 0x90\n.balign 64\nread_pair: sub $16, %rsp\n movl $-1, 8(%rsp)\n mov %eax, %r8d\n mov 8(%rsp), %edi\n"
    " xor %eax, %eax\n syscall\n add $16, %rsp\n ret\n"
    ".balign 64\nwide_pair: sub $16, %rsp\n movq $-1, 8(%rsp)\n mov %eax, %r8d\n mov 8(%rsp), %rdi\n"
    " xor %eax, %eax\n syscall\n add $16, %rsp\n ret\n"
    ".balign 64\nbetween_pair: sub $16, %rsp\n movl $-1, 8(%rsp)\n mov $-1, %edi\n rdtsc\n test $64, %al\n jz 1f\n"
    " mov 8(%rsp), %edi\n1: xor %eax, %eax\n syscall\n add $16, %rsp\n ret\n"
    ".balign 64\nno_prefix: sub $80, %rsp\n mov $111, %eax\n movq $111, 72(%rsp)\n movl $7, 8(%rsp)\n"
    " mov 72(%rsp), %rdx\n mov 8(%rsp), %edi\n syscall\n cmp $111, %rdx\n je 1f\n mov $-1, %rax\n"
    "1: add $80, %rsp\n ret\n"
    ".balign 64\n.skip 256, 0x90\n");

// Many that straddle, each to be patched while the process forks.
#define FRESH 64
extern char fresh_sites[];
__asm__(".text\n .balign 64\nfresh_sites: .rept 64\n .skip 12, 0x90\n mov $111, %eax\n syscall\n ret\n .skip 44, 0x90\n"
        ".endr\n");

long own_page(void);
__asm__(".text\n .balign 4096\nown_page: mov $111, %eax\n syscall\n ret\n .balign 4096\n");

static long expected;

static long (*site)(void);
static void *hammer(void *wrong) {
  for (int i = 0; i < CALLS; i++)
    if (site() != expected) ++*(long *)wrong;
  return NULL;
}

static void run(const char *name, long (*function)(void)) {
  pthread_t thread[THREADS];
  long wrong[THREADS] = {0}, sum = 0;
  site = function;
  for (int i = 0; i < THREADS; i++) pthread_create(&thread[i], NULL, hammer, &wrong[i]);
  for (int i = 0; i < THREADS; i++) {
    pthread_join(thread[i], NULL);
    sum += wrong[i];
  }
  printf("%s: %ld wrong\n", name, sum);
}

static long generic(void) { return syscall(SYS_getpgrp); }

static long failing(void) { return syscall(SYS_read, -1, NULL, 0) == -1 ? expected : 0; }

static long reading(void) { return read_form() == -9 ? expected : 0; }

static long reading_pair(void) { return read_pair() == -9 ? expected : 0; }
static long reading_wide_pair(void) { return wide_pair() == -9 ? expected : 0; }
static long reading_between(void) { return between_pair() == -9 ? expected : 0; }

static long fresh(int i) { return ((long (*)(void))(fresh_sites + 64 * i))(); }

static void *use_fresh(void *wrong) {
  for (int i = 0; i < FRESH; i++)
    for (int call = 0; call < 40; call++)
      if (fresh(i) != expected) ++*(long *)wrong;
  return NULL;
}

/** The child may have been made in the middle of a patch, and nobody there finishes it. */
static void forks_meanwhile(void) {
  pthread_t thread[2];
  long wrong[2] = {0}, bad = 0;
  int status;
  for (int i = 0; i < 2; i++) pthread_create(&thread[i], NULL, use_fresh, &wrong[i]);
  for (int n = 0; n < 60; n++) {
    pid_t pid = fork();
    if (pid == 0) {
      for (int i = 0; i < FRESH; i++)
        if (fresh(i) != expected || fresh(i) != expected) _exit(1);
      _exit(0);
    }
    bad += waitpid(pid, &status, 0) != pid || status != 0;
  }
  for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
  printf("forks meanwhile: %ld wrong\n", bad + wrong[0] + wrong[1]);
}

static void *nothing(void *argument) { return argument; }

/** Descriptors that come with an answer are for the thread that asked: each maps its own files and makes threads. */
static void *map_and_make(void *wrong) {
  int files[2];
  for (int i = 0; i < 2; i++) {
    files[i] = memfd_create("own", 0);
    if (pwrite(files[i], &(char){i + (long)wrong % 251}, 1, 0) != 1) ++*(long *)wrong;
  }
  for (int i = 0; i < 100; i++) {
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, files[i & 1], 0);
    if (page == MAP_FAILED || *page != (char)((i & 1) + (long)wrong % 251)) ++*(long *)wrong;
    munmap(page, 4096);
    pthread_t thread;
    if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL)) ++*(long *)wrong;
  }
  return NULL;
}

static void side_by_side(void) {
  pthread_t thread[THREADS];
  static long wrong[THREADS], sum;
  for (int i = 0; i < THREADS; i++) pthread_create(&thread[i], NULL, map_and_make, &wrong[i]);
  for (int i = 0; i < THREADS; i++) {
    pthread_join(thread[i], NULL);
    sum += wrong[i];
  }
  printf("side by side: %ld wrong\n", sum);
}

/** In a child: gs is the program's own, and every call still works. */
static void own_gs(void) {
  static unsigned long data[64];
  if (!(getauxval(AT_HWCAP2) & 2)) {
    printf("own gs: 0 wrong\n");
    return;
  }
  fflush(stdout);
  if (fork() == 0) {
    long wrong = 0, seen;
    data[0] = 4711;
    __asm__ volatile("wrgsbase %0" : : "r"(data));
    for (int i = 0; i < 100; i++) {
      wrong += aligned_site() != getpgrp();
      __asm__ volatile("mov %%gs:0, %0" : "=r"(seen));
      wrong += seen != 4711;
    }
    printf("own gs: %ld wrong\n", wrong);
    fflush(stdout);
    _exit(0);
  }
  wait(NULL);
}

/** Text of this file gives way to code that its program changes: the call's number stands in bytes that patching takes.
 */
static long (*replaced)(void);
static void self_modified(void) {
  static const unsigned char code[] = {0xb8, 111, 0, 0, 0, 0x0f, 0x05, 0xc3};
  static const int numbers[] = {SYS_getpgrp, SYS_getppid, SYS_getuid};
  const long answers[] = {getpgrp(), getppid(), getuid()};
  unsigned char *page = (unsigned char *)((unsigned long)own_page & ~4095ul);
  long wrong = 0;
  for (int i = 0; i < 3; i++) wrong += own_page() != expected;
  munmap(page, 4096);
  if (mmap(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != page)
    return;
  memcpy(page, code, sizeof code);
  replaced = (long (*)(void))page;
  for (int i = 0; i < 300; i++) {
    memcpy(page + 1, &numbers[i % 3], 4);
    wrong += replaced() != answers[i % 3];
  }
  // Written, and then made read-only: still not the file's.
  memcpy(page, code, sizeof code);
  mprotect(page, 4096, PROT_READ | PROT_EXEC);
  for (int i = 0; i < 300; i++) wrong += replaced() != expected;
  wrong += memcmp(page, code, sizeof code) != 0;
  printf("self-modified: %ld wrong\n", wrong);
}

extern char __executable_start, etext;
long answered_site(void);
__asm__(".text\n .balign 64\nanswered_site: mov $110, %eax\n syscall\n ret\n");

#define SIGNALS 300
static volatile long signals, strange;
static void look(int signo, siginfo_t *info, void *context) {
  (void)signo, (void)info;
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  const char *rip = (const char *)registers[REG_RIP];
  signals++;
  strange += rip < &__executable_start || rip > &etext;
}

/** Signals find the program in its own text, not on its way to those who answer its calls. */
static void found_by_signals(void) {
  struct itimerval often = {{0, 200}, {0, 200}}, off = {{0, 0}, {0, 0}};
  sigaction(SIGALRM, &(struct sigaction){.sa_sigaction = look, .sa_flags = SA_SIGINFO}, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
  while (signals < SIGNALS) answered_site();
  setitimer(ITIMER_REAL, &off, NULL);
  printf("found by signals: %ld wrong\n", strange);
}

static void children(void) {
  int status, bad = 0;
  for (int i = 0; i < 50; i++) {
    pid_t pid = fork();
    if (pid == 0) _exit(aligned_site() == getpgrp() && generic() == getpgrp() ? 0 : 1);
    bad += waitpid(pid, &status, 0) != pid || status != 0;
  }
  printf("children: %d wrong\n", bad);
}

int main(int argc, char **argv) {
  (void)argv;
  expected = getpgrp();
  // First, while there is no other room for a jump than theirs.
  run("read pair", reading_pair);
  run("wide pair", reading_wide_pair);
  run("straddling", straddling_site);
  if (argc > 1) return 0;
  run("between", reading_between);
  run("no prefix", no_prefix);
  forks_meanwhile();
  run("aligned", aligned_site);
  run("direct jump", direct_jump);
  run("generic", generic);
  run("register form", register_form);
  run("wide form", wide_form);
  run("stack form", stack_form);
  run("store form", store_form);
  run("lookalike", lookalike);
  run("read form", reading);
  run("move form", move_form);
  run("straddling with room", straddling_with_room);
  run("failing", failing);
  found_by_signals();
  children();
  side_by_side();
  own_gs();
  self_modified();
  return 0;
}
