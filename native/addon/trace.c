// The transport by ptrace(2), for hosts without user notification: the doorbell is SECCOMP_RET_TRACE. A thread that
// rings stops before the call; it is answered by having it skip the call. Stub, slots and everything above are the
// same.
//
// What user notification does with ADDFD is done by the thread itself: in place of its doorbell it is made to receive
// the descriptor from a socket that all guests have inherited. The filter lets a call on that socket pass only with a
// secret in its last argument, which a thread has in its registers while it is stopped inside the kernel, and never
// when its program runs.
#include "addon.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_STOPS    (MAX_SLOTS + 128)
#define MAX_EVENTS   64           // looked at before others get their turn
#define PATIENCE_NS  10000000000l // with a thread that was told to make a call: on a busy machine it waits for a CPU
#define YIELDING_NS  1000000l     // for so long we look again at once, then
#define NAP_NS       100000l      // every so often
#define SYSCALL_STOP (SIGTRAP | 0x80)
#define OPTIONS                                                                                                        \
  (PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACESYSGOOD |    \
   PTRACE_O_EXITKILL)

/** A thread that has rung and is not answered. Its ring's id is its place here and how often that was used before. */
struct stop {
  u32 uses;
  bool at_exit; // of a call that it was made to make; else still before its doorbell
  struct user_regs_struct registers;
};
static struct stop stops[MAX_STOPS];
static pid_t stopped[MAX_STOPS]; // thread, 0: free
static u32 places;               // of which so many were ever used

static int event_fd = -1;     // readable: there may be something to wait for
static int socket_fd = -1;    // our end
static int inherited_fd = -1; // a copy of the guests' end
static u32 inherited_number;  // its number in each guest process
static u64 secret;

static void on_child(int signal) {
  (void)signal;
  int before = errno;
  eventfd_write(event_fd, 1);
  errno = before;
}

static void drain(int fd) {
  u64 count;
  while (read(fd, &count, sizeof count) == sizeof count) continue;
}

/** The zygote published two ends of a socket, and waits for H_FAST before it makes the filter with our secret. */
static int trace_attach(pid_t zygote, int pidfd, volatile u32 *slot0) {
  inherited_number = slot0[H_TRACE_SOCKET];
  inherited_fd = syscall(SYS_pidfd_getfd, pidfd, inherited_number, 0);
  socket_fd = syscall(SYS_pidfd_getfd, pidfd, (s32)slot0[H_LISTENER] - 1, 0);
  event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (inherited_fd < 0 || socket_fd < 0 || event_fd < 0) return -errno;
  if (getrandom(&secret, sizeof secret, 0) != sizeof secret) return -EIO;
  struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART};
  if (sigaction(SIGCHLD, &action, NULL) || ptrace(PTRACE_SEIZE, zygote, 0, OPTIONS)) return -errno;
  slot0[H_TRACE_SECRET] = (u32)secret;
  slot0[H_TRACE_SECRET + 1] = (u32)(secret >> 32);
  return event_fd;
}

// ---- stops ----

static void release(u32 place) {
  stopped[place] = 0;
  stops[place].uses++;
}

static void forget_thread(pid_t tid) {
  for (u32 place = 0; place < places; place++)
    if (stopped[place] == tid) release(place);
}

/** Place of a ring that still waits, or -1. */
static s64 find(u64 id) {
  u32 place = (u32)id;
  return place < places && stopped[place] && stops[place].uses == id >> 32 ? (s64)place : -1;
}

static s64 take_place(pid_t tid) {
  for (u32 place = 0; place < places; place++) {
    if (stopped[place]) continue;
    stopped[place] = tid;
    return place;
  }
  if (places == MAX_STOPS) return -1;
  stopped[places] = tid;
  return places++;
}

/** Loads the registers it rang with and this result of its doorbell. */
static int go_on(pid_t tid, const struct user_regs_struct *from, s64 result) {
  struct user_regs_struct registers = *from;
  registers.orig_rax = -1; // before the call: it is skipped; after: nothing is restarted
  registers.rax = result;
  if (ptrace(PTRACE_SETREGS, tid, 0, &registers) || ptrace(PTRACE_CONT, tid, 0, 0)) return -ENOENT;
  return 0;
}

/** A thread stands before its doorbell. */
static bool rang(pid_t tid, struct ring *ring) {
  struct user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, tid, 0, &registers)) return false;
  s64 place = take_place(tid);
  if (place < 0) {
    go_on(tid, &registers, -ENOSYS);
    return false;
  }
  stops[place].at_exit = false;
  stops[place].registers = registers;
  *ring = (struct ring){(u64)stops[place].uses << 32 | place, tid, registers.rdi, registers.rsi};
  return true;
}

/** What waitpid(2) told; true: a ring. Everything else goes on at once. */
static bool take_event(pid_t tid, int status, struct ring *ring) {
  if (WIFEXITED(status) || WIFSIGNALED(status)) forget_thread(tid);
  if (!WIFSTOPPED(status)) return false;
  int event = status >> 16, signal = WSTOPSIG(status);
  if (event == PTRACE_EVENT_SECCOMP) return rang(tid, ring);
  if (event == PTRACE_EVENT_STOP && signal != SIGTRAP)
    ptrace(PTRACE_LISTEN, tid, 0, 0); // somebody on the host stops it
  else ptrace(PTRACE_CONT, tid, 0, event || signal == SYSCALL_STOP ? 0 : signal);
  return false;
}

// waitpid(2) finds the newest thread first, so one that rings and rings would keep older ones waiting for ever. All
// that have rung are taken before one is served.
static struct ring rings[MAX_STOPS];
static u32 first_ring, last_ring;

/** Takes all rings there are, if `block` one at least. 0 or -errno. */
static int gather(bool block) {
  bool drained = false;
  first_ring = last_ring = 0;
  for (int others = 0; others < MAX_EVENTS && last_ring < MAX_STOPS;) {
    int status;
    pid_t tid = waitpid(-1, &status, __WALL | (block && !last_ring ? 0 : WNOHANG));
    if (tid < 0) return last_ring ? 0 : errno == EINTR ? -EAGAIN : -errno;
    if (tid > 0) {
      if (take_event(tid, status, &rings[last_ring])) last_ring++;
      else others++;
      continue;
    }
    // What came before the descriptor was emptied is seen by a last look.
    if (drained) return 0;
    drain(event_fd);
    drained = true;
  }
  eventfd_write(event_fd, 1); // there may be more
  return 0;
}

static int trace_receive(struct ring *ring, bool block) {
  if (first_ring == last_ring) {
    int result = gather(block);
    if (result < 0) return result;
    if (first_ring == last_ring) return -EAGAIN;
    // Whoever waits for the descriptor is to come for the others, too.
    if (last_ring > 1) eventfd_write(event_fd, 1);
  }
  *ring = rings[first_ring++];
  return 0;
}

static int trace_answer(u64 id, s32 error, bool elsewhere) {
  (void)elsewhere;
  s64 place = find(id);
  if (place < 0) return -ENOENT;
  pid_t tid = stopped[place];
  int result = go_on(tid, &stops[place].registers, error);
  release(place);
  return result;
}

// ---- calls that a stopped thread is made to make ----

/** Lets others run who have kept us waiting for `waited` ns already. False: that was too long. */
static bool give_time(s64 waited) {
  struct timespec nap = {0, NAP_NS};
  if (waited > PATIENCE_NS) return false;
  if (waited < YIELDING_NS) sched_yield();
  else clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
  return true;
}

/**
 * Lets the thread run to its next system call stop. False: it is dead, or takes its time, which an honest stub does
 * not, and is killed. Signals stay with us: they are sent again at the end.
 */
static bool run_to_stop(pid_t tid, u64 *signals) {
  s64 start = clock_monotonic();
  if (ptrace(PTRACE_SYSCALL, tid, 0, 0)) return false;
  for (;;) {
    int status;
    pid_t found = waitpid(tid, &status, __WALL | WNOHANG);
    if (found < 0) return false;
    if (found == 0) {
      if (!give_time(clock_monotonic() - start)) {
        syscall(SYS_tkill, tid, SIGKILL);
        return false;
      }
      continue;
    }
    if (!WIFSTOPPED(status)) {
      forget_thread(tid);
      return false;
    }
    int event = status >> 16, signal = WSTOPSIG(status);
    if (signal == SYSCALL_STOP) return true;
    if (!event && signal < 64) *signals |= 1ul << signal;
    if (ptrace(PTRACE_SYSCALL, tid, 0, 0)) return false;
  }
}

/** The thread makes this call, with the secret as its last argument. Its result; -ESRCH: the thread is gone. */
static s64 make_call(pid_t tid, struct stop *stop, long nr, u64 a, u64 b, u64 c, u64 *signals) {
  struct user_regs_struct registers = stop->registers;
  if (stop->at_exit) {
    // Its doorbell once more; it is stopped inside the kernel before anything else is seen of the registers.
    registers.rip -= 2;
    registers.rax = DOORBELL;
    registers.orig_rax = -1;
    if (ptrace(PTRACE_SETREGS, tid, 0, &registers) || !run_to_stop(tid, signals)) return -ESRCH;
    if (ptrace(PTRACE_GETREGS, tid, 0, &registers)) return -ESRCH;
  }
  registers.orig_rax = nr;
  registers.rdi = a;
  registers.rsi = b;
  registers.rdx = c;
  registers.r9 = secret;
  if (ptrace(PTRACE_SETREGS, tid, 0, &registers) || !run_to_stop(tid, signals)) return -ESRCH;
  stop->at_exit = true;
  if (ptrace(PTRACE_GETREGS, tid, 0, &registers)) return -ESRCH;
  s64 result = registers.rax;
  registers.r9 = stop->registers.r9;
  ptrace(PTRACE_SETREGS, tid, 0, &registers);
  return result;
}

/** A message with one descriptor, laid out between the slot's orders and its payload; written anew for every use. */
struct message {
  struct msghdr header;
  struct iovec vector;
  union {
    u8 space[CMSG_SPACE(sizeof(int))];
    struct cmsghdr first;
  } control;
  u8 byte;
};
#define MESSAGE_OFFSET (SLOT_PAYLOAD - 0x200)
_Static_assert(MESSAGE_OFFSET >= SLOT_ORDERS + 64 * MAX_ORDERS, "the message lies behind the orders");
_Static_assert(MESSAGE_OFFSET + sizeof(struct message) <= SLOT_PAYLOAD, "and before the payload");

static struct message make_message(u64 base) {
  struct message message = {.byte = 1};
  message.vector = (struct iovec){(void *)(base + offsetof(struct message, byte)), 1};
  message.header.msg_iov = (void *)(base + offsetof(struct message, vector));
  message.header.msg_iovlen = 1;
  message.header.msg_control = (void *)(base + offsetof(struct message, control));
  message.header.msg_controllen = sizeof message.control;
  return message;
}

static int send_descriptor(int fd) {
  struct message message = make_message(0);
  message.header.msg_iov = &message.vector;
  message.header.msg_control = &message.control;
  message.vector.iov_base = &message.byte;
  message.control.first = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
  memcpy(CMSG_DATA(&message.control.first), &fd, sizeof fd);
  struct mmsghdr one = {message.header, 0};
  // Not sendmsg, which the sentry's filter allows only to those with a network.
  return sendmmsg(socket_fd, &one, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

/** Whatever the thread did not take must not be there for the next one. */
static void empty_socket(void) {
  u8 byte;
  while (recv(inherited_fd, &byte, 1, MSG_DONTWAIT) > 0) continue;
}

/** Its number in the thread's process, or -errno. */
static s64 receive_descriptor(pid_t tid, struct stop *stop, u32 index, int fd, u64 *signals) {
  u8 *slot = arena + index * SLOT_SIZE;
  u64 base = SLOTS_ADDR + index * SLOT_SIZE + MESSAGE_OFFSET;
  struct message message = make_message(base);
  memcpy(slot + MESSAGE_OFFSET, &message, sizeof message);
  int sent = send_descriptor(fd);
  if (sent) return sent;
  s64 result = make_call(tid, stop, SYS_recvmsg, inherited_number, base, MSG_DONTWAIT, signals);
  if (result != 1) empty_socket();
  if (result < 0) return result;
  int number;
  memcpy(&message, slot + MESSAGE_OFFSET, sizeof message);
  memcpy(&number, CMSG_DATA(&message.control.first), sizeof number);
  return number; // what the guest makes of it; it can only fool itself
}

static s64 trace_addfd(u64 id, u32 index, int fd, int new_fd, bool send) {
  s64 place = find(id);
  if (place < 0) return -ENOENT;
  pid_t tid = stopped[place];
  struct stop *stop = &stops[place];
  u64 signals = 0;
  s64 result = receive_descriptor(tid, stop, index, fd, &signals);
  if (result >= 0 && new_fd >= 0 && result != new_fd) {
    s64 number = result;
    result = make_call(tid, stop, SYS_dup3, number, new_fd, 0, &signals);
    if (result >= 0) make_call(tid, stop, SYS_close, number, 0, 0, &signals);
  }
  for (int signal = 1; signal < 64; signal++)
    if (signals >> signal & 1) syscall(SYS_tkill, tid, signal);
  // A process that has closed its socket goes without: what it was to do with the descriptor fails there.
  if (send) trace_answer(id, 0, false);
  return result == -ESRCH ? -ENOENT : result;
}

static int trace_valid(u64 id) {
  s64 place = find(id);
  struct user_regs_struct registers;
  return place >= 0 && !ptrace(PTRACE_GETREGS, stopped[place], 0, &registers) ? 0 : -ENOENT;
}

const struct transport trace_transport = {trace_attach, trace_receive, trace_answer, trace_addfd, trace_valid};
