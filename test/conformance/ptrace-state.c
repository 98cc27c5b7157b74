// What is inside of a tracee: registers, single steps, breakpoints and debug registers, text. Each part prints lines
// that must be the same natively and in a sandbox.
#include "ptrace.h"

// ---- steps and breakpoints ----

__attribute__((naked)) static void steps(void) {
  __asm__("mov $1, %eax\n inc %eax\n add $5, %eax\n mov $39, %eax\n syscall\n mov $24, %eax\n syscall\n nop\n nop\n "
          "int3\n nop\n ret");
}

static void step_along(void) {
  steps();
  signal(SIGUSR1, handler);
  raise(SIGUSR1);
}

static void part_steps(void) {
  pid_t pid = start(step_along);
  wait_stop(pid);
  long word = ptrace(PTRACE_PEEKTEXT, pid, steps, 0);
  SAY(ptrace(PTRACE_POKETEXT, pid, steps, (word & ~0xffl) | 0xcc));
  SAY(trace(PTRACE_CONT, pid, 0, 0));
  wait_stop(pid);
  show_signal(pid);
  struct user_regs_struct r = registers_of(pid);
  printf("at %ld\n", (long)r.rip - (long)steps);
  r.rip--;
  set(pid, &r);
  SAY(ptrace(PTRACE_POKETEXT, pid, steps, word));
  for (int i = 0; i < 12; i++) {
    trace(PTRACE_SINGLESTEP, pid, 0, 0);
    wait_stop(pid);
    show_signal(pid);
    r = registers_of(pid);
    printf("step %d: at %ld rax %ld flags %llx\n", i, (long)r.rip - (long)steps, i == 4 || i == 5 ? 0 : (long)r.rax,
           r.eflags & 0x100);
  }
  trace(PTRACE_CONT, pid, 0, 0);
  wait_stop(pid);
  // Into the handler: a stop before its first instruction.
  trace(PTRACE_SINGLESTEP, pid, 0, SIGUSR1);
  wait_stop(pid);
  show_signal(pid);
  r = registers_of(pid);
  printf("in the handler: %d %d\n", r.rip == (unsigned long)handler, (int)r.rdi);
  trace(PTRACE_SINGLESTEP, pid, 0, 0);
  wait_stop(pid);
  show_signal(pid);
  follow(pid, PTRACE_CONT, 5);
}

// ---- vector registers ----

static void load_vectors(void) {
  static const double values[2] = {1.5, -2.25};
  __asm__ volatile("movupd %0, %%xmm7\n fld1\n mov $0x1234567812345678, %%r15\n int3" : : "m"(values) : "xmm7", "r15");
  double seen[2];
  __asm__ volatile("movupd %%xmm7, %0" : "=m"(seen));
  _exit(seen[0] == 8.0 && seen[1] == 16.0 ? 42 : 1);
}

static void part_vectors(void) {
  pid_t pid = start(load_vectors);
  wait_stop(pid);
  trace(PTRACE_CONT, pid, 0, 0);
  wait_stop(pid);
  struct user_fpregs_struct fp;
  SAY(trace(PTRACE_GETFPREGS, pid, 0, (long)&fp));
  double seen[2];
  memcpy(seen, (char *)fp.xmm_space + 7 * 16, 16);
  printf("xmm7 %f %f mxcsr %x cwd %x ftw %x r15 %llx\n", seen[0], seen[1], fp.mxcsr, fp.cwd, fp.ftw,
         registers_of(pid).r15);
  static unsigned char state[16384];
  struct iovec iov = {state, sizeof state};
  SAY(trace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, (long)&iov) == 0 && iov.iov_len >= 576);
  printf("xcr0 %d same %d\n", *(uint64_t *)(state + 464) != 0, !memcmp(state, &fp, 416));
  double fresh[2] = {8.0, 16.0};
  memcpy(state + 160 + 7 * 16, fresh, 16);
  SAY(trace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, (long)&iov));
  state[520] = 1;
  SAY(trace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, (long)&iov));
  iov = (struct iovec){state, 16};
  SAY(trace(PTRACE_GETREGSET, pid, NT_PRSTATUS, (long)&iov));
  printf("length %zu\n", iov.iov_len);
  iov = (struct iovec){state, sizeof state};
  SAY(trace(PTRACE_GETREGSET, pid, NT_PRSTATUS, (long)&iov));
  printf("length %zu\n", iov.iov_len);
  SAY(trace(PTRACE_GETREGSET, pid, 0x777, (long)&iov));
  SAY(trace(PTRACE_GETFPREGS, pid, 0, (long)&fp));
  memcpy(seen, (char *)fp.xmm_space + 7 * 16, 16);
  printf("xmm7 %f %f\n", seen[0], seen[1]);
  fp.mxcsr = 0xffffffff;
  SAY(trace(PTRACE_SETFPREGS, pid, 0, (long)&fp));
  follow(pid, PTRACE_CONT, 5);
}

// ---- debug registers ----

static volatile long watched, other;

__attribute__((noinline)) static long landmark(long n) {
  __asm__ volatile("");
  return n + 1;
}

static void touch_watched(void) {
  other = landmark(1);
  watched = 5;
  syscall(SYS_getppid);
  other = landmark(2);
  if (fork() == 0) {
    watched = 6; // nobody watches here
    _exit(landmark(0));
  }
  waitpid(-1, NULL, 0);
  watched = 7;
  _exit(8);
}

static long debug_register(int index) { return offsetof(struct user, u_debugreg) + 8 * index; }

static void part_watches(void) {
  pid_t pid = start(touch_watched);
  wait_stop(pid);
  SAY(trace(PTRACE_POKEUSER, pid, debug_register(0), (long)&watched));
  SAY(trace(PTRACE_POKEUSER, pid, debug_register(1), (long)landmark));
  SAY(trace(PTRACE_POKEUSER, pid, debug_register(2), -4096));
  SAY(trace(PTRACE_POKEUSER, pid, debug_register(4), 0));
  SAY(trace(PTRACE_POKEUSER, pid, debug_register(7), 0x20001));  // input and output
  SAY(trace(PTRACE_POKEUSER, pid, debug_register(7), 0x400004)); // an instruction of two bytes
  SAY(trace(PTRACE_POKEUSER, pid, debug_register(7), 0x90005));  // 8 bytes written, an instruction
  for (int i = 0; i < 10; i++) {
    trace(PTRACE_CONT, pid, 0, 0);
    int status = wait_stop(pid);
    if (!WIFSTOPPED(status)) break;
    show_signal(pid);
    struct user_regs_struct r = registers_of(pid);
    printf("  status %lx control %lx here %d watched %ld\n", ptrace(PTRACE_PEEKUSER, pid, debug_register(6), 0) & 0xf,
           ptrace(PTRACE_PEEKUSER, pid, debug_register(7), 0), r.rip == (unsigned long)landmark,
           ptrace(PTRACE_PEEKDATA, pid, &watched, 0));
    trace(PTRACE_POKEUSER, pid, debug_register(6), 0);
  }
}

// ---- text ----

static void call_often(void) {
  struct timespec time = {0, 1000};
  char bytes[4];
  int fd = open("/dev/zero", O_RDONLY);
  for (;;) {
    getppid();
    lseek(fd, 0, SEEK_SET);
    nanosleep(&time, NULL);
    if (read(fd, bytes, 4) != 4 || pread(fd, bytes, 4, 0) != 4) _exit(1);
  }
}

/** How many system call instructions of a file mapping have something else before them than the file has. */
static int changed_sites(pid_t pid, const char *path, unsigned long start, unsigned long length, off_t offset) {
  unsigned char *memory = malloc(length), *file = malloc(length);
  struct iovec own = {memory, length}, its = {(void *)start, length};
  int fd = open(path, O_RDONLY), changed = 0;
  if (process_vm_readv(pid, &own, 1, &its, 1, 0) != (ssize_t)length) changed = -1;
  ssize_t got = pread(fd, file, length, offset);
  for (ssize_t i = 8; changed >= 0 && i + 2 <= got; i++)
    changed += file[i] == 0x0f && file[i + 1] == 0x05 && memcmp(memory + i - 7, file + i - 7, 9) != 0;
  close(fd);
  free(memory);
  free(file);
  return changed;
}

static void part_text(void) {
  char path[256], line[512];
  int changed = 0;
  pid_t pid = start_untraced(call_often);
  usleep(200000);
  SAY(trace(PTRACE_ATTACH, pid, 0, 0));
  wait_stop(pid);
  snprintf(path, sizeof path, "/proc/%d/maps", pid);
  FILE *maps = fopen(path, "r");
  while (maps && fgets(line, sizeof line, maps)) {
    unsigned long low, high, offset;
    char protection[8];
    if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %255s", &low, &high, protection, &offset, path) != 5) continue;
    if (protection[2] != 'x' || !strstr(path, "/libc.so")) continue;
    int here = changed_sites(pid, path, low, high - low, offset);
    if (here < 0) printf("cannot be read\n");
    else changed += here;
  }
  if (maps) fclose(maps);
  printf("changed: %d\n", changed);
  end(pid);
}

int main(int argc, char **argv) {
  static const struct part parts[] = {
      {"steps", part_steps}, {"vectors", part_vectors}, {"watches", part_watches}, {"text", part_text}, {0},
  };
  return run_part(argc, argv, parts);
}
