// Programs of bpf(2) that decide about the devices of a cgroup: what is refused when they are loaded, how they are
// attached, found and asked for, and what processes of the cgroup may still open.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static int bpf(int command, union bpf_attr *attributes, unsigned size) {
  return syscall(SYS_bpf, command, attributes, size);
}

static void tell(const char *what, long r) { printf("%s: %s\n", what, r < 0 ? strerrorname_np(errno) : "done"); }

#define RAW(c, d, s, o, i)  ((struct bpf_insn){.code = c, .dst_reg = d, .src_reg = s, .off = o, .imm = i})
#define MOV(d, i)           RAW(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define LOAD(size, d, s, o) RAW(BPF_LDX | BPF_MEM | size, d, s, o, 0)
#define EXIT                RAW(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static int load(const char *name, const struct bpf_insn *instructions, unsigned count) {
  union bpf_attr a = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE, .insn_cnt = count, .insns = (uintptr_t)instructions};
  a.license = (uintptr_t) "GPL";
  strncpy(a.prog_name, name, sizeof a.prog_name - 1);
  return bpf(BPF_PROG_LOAD, &a, sizeof a);
}
#define LOADED(name, ...)                                                                                              \
  load(name, (struct bpf_insn[]){__VA_ARGS__}, sizeof((struct bpf_insn[]){__VA_ARGS__}) / sizeof(struct bpf_insn))

static void refusals(void) {
  tell("nothing", load("empty", NULL, 0));
  tell("no end", LOADED("a", MOV(0, 1)));
  tell("r0 not set", LOADED("a", EXIT));
  tell("unset register", LOADED("a", RAW(BPF_ALU64 | BPF_MOV | BPF_X, 0, 3, 0, 0), EXIT));
  tell("context as result", LOADED("a", RAW(BPF_ALU64 | BPF_MOV | BPF_X, 0, 1, 0, 0), EXIT));
  tell("beyond the context", LOADED("a", LOAD(BPF_W, 0, 1, 12), EXIT));
  tell("before the context", LOADED("a", LOAD(BPF_W, 0, 1, -4), EXIT));
  tell("not aligned", LOADED("a", LOAD(BPF_W, 0, 1, 2), EXIT));
  tell("half of the major", LOADED("a", LOAD(BPF_H, 0, 1, 4), MOV(0, 1), EXIT));
  tell("through a number", LOADED("a", MOV(2, 64), LOAD(BPF_W, 0, 2, 0), EXIT));
  tell("jump out", LOADED("a", MOV(0, 1), RAW(BPF_JMP | BPF_JA, 0, 0, 5, 0), EXIT));
  tell("jump back for ever", LOADED("a", MOV(0, 1), RAW(BPF_JMP | BPF_JA, 0, 0, -2, 0), EXIT));
  tell("unreachable", LOADED("a", MOV(0, 1), RAW(BPF_JMP | BPF_JA, 0, 0, 1, 0), MOV(0, 0), EXIT));
  tell("unknown operation", LOADED("a", RAW(0xff, 0, 0, 0, 0), EXIT));
  tell("bad name", LOADED("a b", MOV(0, 1), EXIT));
  union bpf_attr a = {0};
  tell("too large", bpf(BPF_PROG_LOAD, &a, 5000));
  tell("no descriptor", (a.attach_type = BPF_CGROUP_DEVICE, a.target_fd = -1, bpf(BPF_PROG_QUERY, &a, 32)));
  if (setuid(54321) == 0) tell("nobody", LOADED("a", MOV(0, 1), EXIT));
}

/** Refuses to open /dev/zero, to write /dev/full and to make nodes of block devices. */
static int rules(void) {
  return LOADED("rules", LOAD(BPF_W, 6, 1, 0), LOAD(BPF_W, 7, 1, 4), LOAD(BPF_W, 8, 1, 8), LOAD(BPF_H, 2, 1, 0),
                MOV(0, 0), RAW(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 6, BPF_DEVCG_DEV_BLOCK), // to the end
                RAW(BPF_JMP | BPF_JNE | BPF_K, 7, 0, 4, 1),                              // to yes
                RAW(BPF_JMP32 | BPF_JEQ | BPF_K, 8, 0, 4, 5),                            // to the end
                RAW(BPF_JMP | BPF_JNE | BPF_K, 8, 0, 2, 7),                              // to yes
                RAW(BPF_ALU | BPF_RSH | BPF_K, 6, 0, 0, 16),                             // what is to be done
                RAW(BPF_JMP | BPF_JSET | BPF_K, 6, 0, 1, BPF_DEVCG_ACC_WRITE),           // to the end
                MOV(0, 1), EXIT);
}

static int attach(int cgroup, int program, unsigned flags, int replaced) {
  union bpf_attr a = {.target_fd = cgroup, .attach_bpf_fd = program, .attach_type = BPF_CGROUP_DEVICE};
  a.attach_flags = flags;
  a.replace_bpf_fd = replaced;
  return bpf(BPF_PROG_ATTACH, &a, 20);
}

static int detach(int cgroup, int program) {
  union bpf_attr a = {.target_fd = cgroup, .attach_bpf_fd = program, .attach_type = BPF_CGROUP_DEVICE};
  return bpf(BPF_PROG_DETACH, &a, 20);
}

static void query(const char *when, int cgroup, unsigned room, unsigned flags) {
  uint32_t ids[8] = {0};
  union bpf_attr a = {0};
  a.query.target_fd = cgroup;
  a.query.attach_type = BPF_CGROUP_DEVICE;
  a.query.query_flags = flags;
  a.query.prog_ids = (uintptr_t)ids;
  a.query.prog_cnt = room;
  int r = bpf(BPF_PROG_QUERY, &a, 32);
  printf("%s: query %s, flags %u, count %u:", when, r < 0 ? strerrorname_np(errno) : "done", a.query.attach_flags,
         a.query.prog_cnt);
  for (unsigned i = 0; i < 8 && ids[i]; i++) {
    union bpf_attr get = {.prog_id = ids[i]};
    int fd = bpf(BPF_PROG_GET_FD_BY_ID, &get, 12);
    struct bpf_prog_info info = {0};
    union bpf_attr ask = {0};
    ask.info.bpf_fd = fd;
    ask.info.info_len = sizeof info;
    ask.info.info = (uintptr_t)&info;
    bpf(BPF_OBJ_GET_INFO_BY_FD, &ask, 16);
    printf(" %s (kind %u, %s)", info.name, info.type, info.id == ids[i] ? "its number" : "another");
    close(fd);
  }
  printf("\n");
}

static void try_devices(const char *when, const char *cgroup) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    char path[256];
    snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
    int procs = open(path, O_WRONLY);
    if (write(procs, "0", 1) != 1) exit(1);
    printf("%s:", when);
    static const struct {
      const char *path;
      int flags;
    } opens[] = {{"/dev/null", O_RDWR}, {"/dev/zero", O_RDONLY}, {"/dev/full", O_RDONLY}, {"/dev/full", O_WRONLY}};
    for (int i = 0; i < 4; i++) {
      int fd = open(opens[i].path, opens[i].flags);
      printf(" %s %s", opens[i].path, fd < 0 ? strerrorname_np(errno) : "opened");
    }
    printf(", block %s",
           mknod("/tmp/device-programs-b", S_IFBLK | 0600, makedev(7, 0)) ? strerrorname_np(errno) : "made");
    printf(", char %s\n",
           mknod("/tmp/device-programs-c", S_IFCHR | 0600, makedev(9, 9)) ? strerrorname_np(errno) : "made");
    unlink("/tmp/device-programs-b");
    unlink("/tmp/device-programs-c");
    exit(0);
  }
  waitpid(child, NULL, 0);
}

static void attachments(void) {
  char place[] = "/tmp/device-programs-XXXXXX", outer[64], inner[128];
  if (!mkdtemp(place) || mount("none", place, "cgroup2", 0, NULL)) exit(1);
  snprintf(outer, sizeof outer, "%s/devices-%d", place, getpid());
  snprintf(inner, sizeof inner, "%s/inner", outer);
  mkdir(outer, 0755);
  mkdir(inner, 0755);
  int out = open(outer, O_RDONLY | O_DIRECTORY), in = open(inner, O_RDONLY | O_DIRECTORY);
  int all = LOADED("all", MOV(0, 1), EXIT), some = rules();
  tell("to no cgroup", attach(open("/tmp", O_RDONLY), all, 0, 0));
  tell("no program", attach(out, out, 0, 0));
  tell("unknown flag", attach(out, all, 1u << 30, 0));
  tell("both kinds", attach(out, all, BPF_F_ALLOW_MULTI | BPF_F_ALLOW_OVERRIDE, 0));
  tell("replaces in nothing", attach(out, all, BPF_F_ALLOW_MULTI | BPF_F_REPLACE, some));
  query("nothing there", out, 8, 0);
  tell("detach nothing", detach(out, all));
  tell("rules, several", attach(out, some, BPF_F_ALLOW_MULTI, 0));
  tell("the same again", attach(out, some, BPF_F_ALLOW_MULTI, 0));
  tell("another kind", attach(out, all, 0, 0));
  tell("one more", attach(out, all, BPF_F_ALLOW_MULTI, 0));
  query("two", out, 8, 0);
  query("room for one", out, 1, 0);
  query("no room", out, 0, 0);
  query("inner", in, 8, 0);
  query("inner, effective", in, 8, BPF_F_QUERY_EFFECTIVE);
  tell("below", attach(in, all, BPF_F_ALLOW_MULTI, 0));
  query("inner, effective", in, 8, BPF_F_QUERY_EFFECTIVE);
  try_devices("in the inner", inner);
  tell("replace", attach(out, LOADED("other", MOV(0, 1), EXIT), BPF_F_ALLOW_MULTI | BPF_F_REPLACE, some));
  query("replaced", out, 8, 0);
  try_devices("without rules", inner);
  tell("detach without a name", detach(out, -1));
  tell("detach", detach(out, all));
  query("one", out, 8, 0);
  close(in);
  tell("rmdir", rmdir(inner));
  close(out);
  tell("rmdir", rmdir(outer));
  umount(place);
  rmdir(place);
}

static void overriding(void) {
  char place[] = "/tmp/device-programs-XXXXXX", outer[64], inner[128];
  if (!mkdtemp(place) || mount("none", place, "cgroup2", 0, NULL)) exit(1);
  snprintf(outer, sizeof outer, "%s/devices-%d", place, getpid());
  snprintf(inner, sizeof inner, "%s/inner", outer);
  mkdir(outer, 0755);
  mkdir(inner, 0755);
  int out = open(outer, O_RDONLY | O_DIRECTORY), in = open(inner, O_RDONLY | O_DIRECTORY);
  int all = LOADED("all", MOV(0, 1), EXIT),
      none = LOADED("none", RAW(BPF_LD | BPF_DW | BPF_IMM, 0, 0, 0, 0), RAW(0, 0, 0, 0, 1),
                    RAW(BPF_ALU64 | BPF_RSH | BPF_K, 0, 0, 0, 33), EXIT);
  tell("alone", attach(out, none, 0, 0));
  tell("below one that is alone", attach(in, all, 0, 0));
  tell("in its place", attach(out, none, 0, 0));
  query("alone", out, 8, 0);
  try_devices("none", inner);
  tell("detach", detach(out, -1));
  tell("overridable", attach(out, none, BPF_F_ALLOW_OVERRIDE, 0));
  tell("overriding", attach(in, all, BPF_F_ALLOW_OVERRIDE, 0));
  query("effective", in, 8, BPF_F_QUERY_EFFECTIVE);
  try_devices("overridden", inner);
  close(in);
  tell("rmdir", rmdir(inner));
  close(out);
  tell("rmdir", rmdir(outer));
  umount(place);
  rmdir(place);
}

/** Whether `a op b` is what a program of the kernel makes of it; both registers are 64 bits wide. */
static void one(int cgroup, const char *name, int code, uint64_t a, uint64_t b, uint64_t expected) {
  struct bpf_insn program[] = {RAW(BPF_LD | BPF_DW | BPF_IMM, 2, 0, 0, (int)a),
                               RAW(0, 0, 0, 0, (int)(a >> 32)),
                               RAW(BPF_LD | BPF_DW | BPF_IMM, 3, 0, 0, (int)b),
                               RAW(0, 0, 0, 0, (int)(b >> 32)),
                               RAW(BPF_LD | BPF_DW | BPF_IMM, 4, 0, 0, (int)expected),
                               RAW(0, 0, 0, 0, (int)(expected >> 32)),
                               LOAD(BPF_W, 5, 1, 4), // of unknown value to the check
                               RAW(BPF_ALU64 | BPF_SUB | BPF_X, 5, 5, 0, 0),
                               RAW(BPF_ALU64 | BPF_ADD | BPF_X, 2, 5, 0, 0),
                               RAW(code | BPF_X, 2, 3, 0, 0),
                               MOV(0, 1),
                               RAW(BPF_JMP | BPF_JEQ | BPF_X, 2, 4, 1, 0),
                               MOV(0, 0),
                               EXIT};
  int fd = load("one", program, sizeof program / sizeof *program);
  if (fd < 0 || attach(cgroup, fd, 0, 0) < 0) printf("%s: %s\n", name, strerrorname_np(errno));
  close(fd);
  int null = open("/dev/null", O_RDONLY);
  printf("%s %llx %llx: %s\n", name, (unsigned long long)a, (unsigned long long)b,
         null < 0 ? "another" : "as expected");
  close(null);
}

static void jump(int cgroup, const char *name, int code, uint64_t a, uint64_t b) {
  struct bpf_insn program[] = {RAW(BPF_LD | BPF_DW | BPF_IMM, 2, 0, 0, (int)a),
                               RAW(0, 0, 0, 0, (int)(a >> 32)),
                               RAW(BPF_LD | BPF_DW | BPF_IMM, 3, 0, 0, (int)b),
                               RAW(0, 0, 0, 0, (int)(b >> 32)),
                               LOAD(BPF_W, 5, 1, 4),
                               RAW(BPF_ALU64 | BPF_SUB | BPF_X, 5, 5, 0, 0),
                               RAW(BPF_ALU64 | BPF_ADD | BPF_X, 2, 5, 0, 0),
                               MOV(0, 1),
                               RAW(code | BPF_X, 2, 3, 1, 0),
                               MOV(0, 0),
                               EXIT};
  int fd = load("jump", program, sizeof program / sizeof *program);
  if (fd < 0 || attach(cgroup, fd, 0, 0) < 0) printf("%s: %s\n", name, strerrorname_np(errno));
  close(fd);
  int null = open("/dev/null", O_RDONLY);
  printf("%s %llx %llx: %s\n", name, (unsigned long long)a, (unsigned long long)b, null < 0 ? "no" : "yes");
  close(null);
}

static void arithmetic(void) {
  char place[] = "/tmp/device-programs-XXXXXX", inner[64], path[128];
  if (!mkdtemp(place) || mount("none", place, "cgroup2", 0, NULL)) exit(1);
  snprintf(inner, sizeof inner, "%s/devices-%d", place, getpid());
  mkdir(inner, 0755);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    snprintf(path, sizeof path, "%s/cgroup.procs", inner);
    int procs = open(path, O_WRONLY), in = open(inner, O_RDONLY | O_DIRECTORY);
    if (write(procs, "0", 1) != 1) exit(1);
    static const uint64_t values[] = {0, 1, 33, 0x80000000, 0xffffffff, 0x123456789abcdef0, 0x8000000000000000, -1ull};
    for (int i = 0; i < 8; i++) {
      for (int j = 0; j < 8; j++) {
        uint64_t a = values[i], b = values[j];
        uint32_t low = a, low_b = b;
        one(in, "add", BPF_ALU64 | BPF_ADD, a, b, a + b);
        one(in, "sub32", BPF_ALU | BPF_SUB, a, b, low - low_b);
        one(in, "mul", BPF_ALU64 | BPF_MUL, a, b, a * b);
        one(in, "div", BPF_ALU64 | BPF_DIV, a, b, b ? a / b : 0);
        one(in, "mod32", BPF_ALU | BPF_MOD, a, b, low_b ? low % low_b : low);
        one(in, "lsh", BPF_ALU64 | BPF_LSH, a, b, a << (b & 63));
        one(in, "rsh32", BPF_ALU | BPF_RSH, a, b, low >> (b & 31));
        one(in, "arsh", BPF_ALU64 | BPF_ARSH, a, b, (int64_t)a >> (b & 63));
        one(in, "arsh32", BPF_ALU | BPF_ARSH, a, b, (uint32_t)((int32_t)low >> (b & 31)));
        one(in, "xor32", BPF_ALU | BPF_XOR, a, b, low ^ low_b);
        jump(in, "jgt", BPF_JMP | BPF_JGT, a, b);
        jump(in, "jslt", BPF_JMP | BPF_JSLT, a, b);
        jump(in, "jsge32", BPF_JMP32 | BPF_JSGE, a, b);
        jump(in, "jle32", BPF_JMP32 | BPF_JLE, a, b);
        jump(in, "jset", BPF_JMP | BPF_JSET, a, b);
      }
    }
    exit(0);
  }
  waitpid(child, NULL, 0);
  rmdir(inner);
  umount(place);
  rmdir(place);
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "refusals")) refusals();
  if (argc > 1 && !strcmp(argv[1], "attachments")) attachments();
  if (argc > 1 && !strcmp(argv[1], "overriding")) overriding();
  if (argc > 1 && !strcmp(argv[1], "arithmetic")) arithmetic();
  return 0;
}
