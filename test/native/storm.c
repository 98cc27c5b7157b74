// A timer signal every 50 us against a loop of system calls. Nothing the program holds may change under it:
// general registers, the red zone, vector registers; and every call must return what it should. All races of
// the stub's windows show here first. Built and run by storm.test.ts, natively and in the sandbox.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define SIGNALS 3000

#ifdef __AVX512F__
#define VECTOR_SIZE 64
#define LOAD        "vmovdqa64 %[in], %%zmm0\n vmovdqa64 %[in], %%zmm17\n"
#define STORE       "vmovdqa64 %%zmm0, %[low]\n vmovdqa64 %%zmm17, %[high]\n"
#define SPOIL       "vpternlogd $0xff, %%zmm17, %%zmm17, %%zmm17\n vpxorq %%zmm0, %%zmm0, %%zmm0\n"
#else
#define VECTOR_SIZE 16
#define LOAD        "movdqa %[in], %%xmm0\n movdqa %[in], %%xmm15\n"
#define STORE       "movdqa %%xmm0, %[low]\n movdqa %%xmm15, %[high]\n"
#define SPOIL       "pxor %%xmm0, %%xmm0\n pcmpeqd %%xmm15, %%xmm15\n"
#endif

typedef struct {
  unsigned char byte[VECTOR_SIZE];
} __attribute__((aligned(VECTOR_SIZE))) vector;

static volatile int signals;

static void on_alarm(int signal) {
  (void)signal;
  signals++;
  __asm__ volatile(SPOIL ::: "memory");
  getpid();
}

#define SET(reg, value)   " mov $" value ", %%" reg "\n"
#define CHECK(reg, value) " xor $" value ", %%" reg "\n or %%" reg ", %%rdi\n"

/** One system call with everything set. Its result; `changed` is not 0 if a register or the red zone changed. */
static long probe(const vector *in, vector *low, vector *high, long *changed) {
  long result;
  __asm__ volatile(
      LOAD
      // The red zone is not ours while the compiler may use it: step below it.
      " sub $512, %%rsp\n push %%rbx\n push %%rbp\n" SET("rdi", "0x1111") SET("rsi", "0x2222") SET("rdx", "0x3333") SET(
          "r10", "0x4444") SET("r8", "0x5555") SET("r9", "0x6666") SET("rbx", "0x7777") SET("rbp", "0x8888")
          SET("r12", "0x9999") SET("r13", "0xaaaa") SET("r14", "0xbbbb") SET(
              "r15",
              "0xcccc") " movq $0x1234567, -8(%%rsp)\n movq $0x7654321, -120(%%rsp)\n"
                        " mov %[nr], %%eax\n syscall\n"
                        " xor $0x1111, %%rdi\n" CHECK("rsi", "0x2222") CHECK("rdx", "0x3333") CHECK("r10", "0x4444")
                            CHECK("r8", "0x5555") CHECK("r9", "0x6666") CHECK("rbx", "0x7777") CHECK("rbp", "0x8888")
                                CHECK("r12", "0x9999") CHECK("r13", "0xaaaa") CHECK("r14", "0xbbbb")
                                    CHECK("r15", "0xcccc") " mov -8(%%rsp), %%rsi\n" CHECK(
                                        "rsi",
                                        "0x1234567") " mov -120(%%rsp), %%rsi\n" CHECK("rsi",
                                                                                       "0x7654321") " pop %%rbp\n pop "
                                                                                                    "%%rbx\n add $512, "
                                                                                                    "%%rsp\n mov "
                                                                                                    "%%rdi, "
                                                                                                    "%%rdx\n" STORE
      : "=a"(result), "=d"(*changed), [low] "=m"(*low), [high] "=m"(*high)
      : [in] "m"(*in), [nr] "i"(SYS_getpid)
      : "rcx", "r11", "rdi", "rsi", "r8", "r9", "r10", "r12", "r13", "r14", "r15", "memory", "cc");
  return result;
}

int main(void) {
  static vector in, low, high;
  for (int i = 0; i < VECTOR_SIZE; i++) in.byte[i] = i * 5 + 1;
  long self = getpid(), bad = 0, calls;
  signal(SIGALRM, on_alarm);
  struct itimerval every = {{0, 50}, {0, 50}};
  setitimer(ITIMER_REAL, &every, NULL);
  for (calls = 0; signals < SIGNALS; calls++) {
    long changed, result = probe(&in, &low, &high, &changed);
    bad += result != self || changed || memcmp(&in, &low, sizeof in) || memcmp(&in, &high, sizeof in);
  }
  printf("%d signals, %ld of the calls bad\n", SIGNALS, bad);
  fprintf(stderr, "%ld calls\n", calls);
  return bad != 0;
}
