// Executes mutants of ELF files and scripts, thousands of them, in one sandbox. Each must end in an errno of execve or
// in the death of its process. loader SEED ROUNDS DIRECTORY
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_FILE (1 << 20)

static uint64_t state;
static uint64_t random64(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state * 0x2545f4914f6cdd1dull;
}
static uint64_t below(uint64_t limit) { return random64() % limit; }

static const uint64_t BOUNDARIES[] = {0,
                                      1,
                                      2,
                                      7,
                                      0xfff,
                                      0x1000,
                                      0x1001,
                                      0xffff,
                                      0x10000,
                                      0x400000,
                                      0x7fffffff,
                                      0x80000000,
                                      0xffffffff,
                                      0x100000000,
                                      0x555555554000,
                                      0x7cffffffffff,
                                      0x7d0000000000,
                                      0x7d8000000000,
                                      0x7def00000000,
                                      0x7e0000000000,
                                      0x7e0000001000,
                                      0x7e0010000000,
                                      0x7e0040000000,
                                      0x7ffffffff000,
                                      0x7fffffffffff,
                                      0x800000000000,
                                      0x1fffffffffffff,
                                      0x20000000000000,
                                      0x7fffffffffffffff,
                                      0x8000000000000000,
                                      0xfffffffffffff000,
                                      0xffffffffffffffff};
#define BOUNDARY BOUNDARIES[below(sizeof BOUNDARIES / 8)]

static uint8_t original[2][MAX_FILE], mutant[MAX_FILE];
static size_t length[2], mutant_length;
static char path[200], other[200];

static size_t load(const char *name, uint8_t *to) {
  int fd = open(name, O_RDONLY);
  ssize_t n = read(fd, to, MAX_FILE);
  close(fd);
  if (n < 64) {
    printf("cannot read %s\n", name);
    exit(2);
  }
  return n;
}

static void put(const void *bytes, size_t size, size_t at) {
  if (at + size <= mutant_length) memcpy(mutant + at, bytes, size);
}

static Elf64_Phdr *header(int i) { return (Elf64_Phdr *)(mutant + 64) + i; }

static void mutate_header_field(void) {
  // e_type e_machine e_version e_entry e_phoff e_shoff e_flags e_ehsize e_phentsize e_phnum ...
  static const uint8_t fields[][2] = {{4, 1},  {5, 1},  {6, 1},  {16, 2}, {18, 2}, {20, 4}, {24, 8},
                                      {32, 8}, {40, 8}, {48, 4}, {52, 2}, {54, 2}, {56, 2}, {58, 2}};
  const uint8_t *field = fields[below(sizeof fields / 2)];
  uint64_t value = BOUNDARY;
  put(&value, field[1], field[0]);
}

static void mutate_segment(int count) {
  Elf64_Phdr *segment = header(below(count));
  uint64_t *words[] = {&segment->p_offset, &segment->p_vaddr, &segment->p_filesz, &segment->p_memsz, &segment->p_align};
  switch (below(6)) {
  case 0: *words[below(5)] = BOUNDARY; break;
  case 1: *words[below(5)] += below(2) ? 1 : -1; break;
  case 2: segment->p_type = below(2) ? PT_LOAD : below(2) ? PT_INTERP : (uint32_t)BOUNDARY; break;
  case 3: segment->p_flags = below(2) ? below(8) : random64(); break;
  case 4: // over another one
    *segment = *header(below(count));
    segment->p_memsz += below(0x100000);
    break;
  case 5: // aligned with its file, in a bad place
    segment->p_type = PT_LOAD;
    segment->p_vaddr = (BOUNDARY & ~0xfffull) | (segment->p_offset & 0xfff);
    segment->p_memsz = segment->p_filesz + (BOUNDARY & 0xffffffffffff);
    break;
  }
}

static void mutate_interpreter(int count) {
  static const char *const names[] = {"",
                                      "/",
                                      ".",
                                      "/tmp",
                                      "/bin/sh",
                                      "/bin/true",
                                      "/dev/null",
                                      "/proc/self/exe",
                                      "/nowhere",
                                      "ld.so",
                                      "/proc/self/mem",
                                      "/dev/zero"};
  for (int i = 0; i < count; i++) {
    if (header(i)->p_type != PT_INTERP) continue;
    size_t at = mutant_length - 4200;
    memset(mutant + at, 'x', 4200);
    const char *name = below(3) ? names[below(sizeof names / sizeof *names)] : below(2) ? path : other;
    memcpy(mutant + at, name, strlen(name) + 1);
    header(i)->p_offset = at;
    header(i)->p_filesz = below(4) ? strlen(name) + 1 : below(4200);
  }
}

static void make_elf(void) {
  int which = below(4) != 0;
  mutant_length = length[which];
  memcpy(mutant, original[which], mutant_length);
  int count = ((Elf64_Ehdr *)mutant)->e_phnum;
  for (int n = 1 + below(3); n > 0; n--) {
    switch (below(8)) {
    case 0: mutant[below(64 + 56 * count)] ^= 1 << below(8); break;
    case 1: mutate_header_field(); break;
    case 2:
    case 3:
    case 4: mutate_segment(count); break;
    case 5: mutate_interpreter(count); break;
    case 6: mutant_length = below(2) ? below(64 + 56 * count + 8) : below(mutant_length); return;
    case 7: // as many segments as the table holds
      for (int i = 0; i < count; i++)
        if (header(i)->p_type != PT_INTERP) header(i)->p_type = PT_LOAD;
      break;
    }
  }
}

static void make_script(void) {
  static const char *const starts[] = {"#!",   "#! ",  "#!\t", "#!\n",        "#",
                                       "#!\0", "#!\\", "\n#!", "#!/bin/sh -", "#!/bin/true "};
  static const char *const ends[] = {"\n", "", " \n", "\t\n", " a b c\n", "\0\n", "\r\n"};
  const char *start = starts[below(sizeof starts / sizeof *starts)];
  char *to = (char *)mutant;
  memset(mutant, 0, 1024);
  to = stpcpy(to, start);
  switch (below(6)) {
  case 0: to = stpcpy(to, path); break; // itself
  case 1: to = stpcpy(to, other); break;
  case 2: to = stpcpy(to, "/bin/true"); break;
  case 3:
    for (int n = below(600); n > 0; n--) *to++ = 'a' + below(26);
    break;
  case 4:
    for (int n = below(300); n > 0; n--) *to++ = random64();
    break;
  case 5: break;
  }
  to = stpcpy(to, ends[below(sizeof ends / sizeof *ends)]);
  mutant_length = to - (char *)mutant;
}

static int save(const char *name) {
  unlink(name);
  int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0755);
  if (fd < 0 || write(fd, mutant, mutant_length) != (ssize_t)mutant_length) {
    printf("cannot write %s: errno %d\n", name, errno);
    exit(2);
  }
  fchmod(fd, 0755);
  return close(fd);
}

static void run_mutant(void) {
  // What comes out may be a program that does anything at all.
  struct rlimit few = {64, 64}, second = {1, 1};
  setrlimit(RLIMIT_CPU, &second);
  if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)) _exit(3);
  setrlimit(RLIMIT_NPROC, &few);
  int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  char *argv[] = {path, "0", NULL}, *envp[] = {NULL};
  execve(path, argv, envp);
  _exit(errno == 0 || errno > 133 ? 255 : 100 + errno % 100);
}

int main(int argc, char **argv) {
  if (argc < 4) {
    _exit(0); // executed as a mutant's original
  }
  state = strtoull(argv[1], NULL, 0) * 2654435761u + 1;
  int rounds = atoi(argv[2]), ends[3] = {0, 0, 0};
  snprintf(path, sizeof path, "%s/mutant", argv[3]);
  snprintf(other, sizeof other, "%s/other", argv[3]);
  length[0] = load("/proc/self/exe", original[0]);
  length[1] = load("/bin/true", original[1]);
  for (int round = 0; round < rounds; round++) {
    uint64_t before = state;
    if (below(6)) make_elf();
    else make_script();
    save(round % 5 == 4 ? other : path);
    pid_t pid = fork();
    if (pid < 0) {
      printf("fork: errno %d in round %d\n", errno, round);
      return 1;
    }
    if (!pid) run_mutant();
    int status = 0;
    for (int waited = 0; waitpid(pid, &status, WNOHANG) != pid; waited++) {
      if (waited == 200) kill(pid, SIGKILL);
      if (waited > 2500) {
        printf("round %d (state %#lx): SIGKILL does not end it\n", round, before);
        return 1;
      }
      usleep(waited < 20 ? 200 : 2000);
    }
    ends[WIFSIGNALED(status) ? 2 : WEXITSTATUS(status) >= 100 ? 1 : 0]++;
  }
  printf("%d mutants: %d ran, %d were refused, %d were killed\n", rounds, ends[0], ends[1], ends[2]);
  return 0;
}
