// The doorbell: a system call whose thread sleeps in the kernel until it is answered. How it comes to us is the
// transport's business (notify.c, trace.c).
//
// Who rang is told by the kernel (the pid), which slot it means by the caller (untrusted). A ring counts
// only if the slot exists, its sequence number is the slot's, and the thread is the one that rang there
// first; so a guest can wake nobody but itself, and only with what it wrote into a slot of its own.
#include "addon.h"

#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LISTENER_TIMEOUT_NS 10000000000l

// What next() returns when it is no slot.
enum { NEXT_TIMEOUT = -1, NEXT_EVENTS = -2, NEXT_GONE = -3, NEXT_STRANGER = -4, RECEIVE_AGAIN = -5 };
#define LATE_RING MAX_SLOTS // added to a slot: the ring that doorbell_want() asked for

static const struct transport *transport;
static int listener = -1;      // readable when a ring waits
static u64 pending[MAX_SLOTS]; // id + 1 of the ring that waits for an answer
static u32 served[MAX_SLOTS];  // sequence number of the last call that was taken
static u32 done[MAX_SLOTS];    // sequence number of the last call that was answered without a ring
static bool spun[MAX_SLOTS];   // it was taken without a ring, and is not answered yet
static bool wanted[MAX_SLOTS]; // its ring is waited for: the answer brings a descriptor
static bool stays[MAX_SLOTS];  // a zygote: it stays where it was put, because its children inherit that
static bool parked[MAX_SLOTS]; // it was taken without a ring, and its stub told to sleep until it is answered

s32 doorbell_expected[MAX_SLOTS];
static bool in_burst; // calls come fast: see "bursts" below

void doorbell_forget(u32 index) {
  spin_unwatch(index);
  spin_sent_away(index);
  pending[index] = 0;
  doorbell_expected[index] = 0;
  spun[index] = wanted[index] = parked[index] = stays[index] = false;
  served[index] = done[index] = slot_header(index) ? slot_header(index)[H_SEQ] : 0;
}

// ---- answers ----

/** A stub that was told to park goes on: to find its answer, or to ring. */
static void unpark(u32 index) {
  volatile u32 *slot = slot_header(index);
  __atomic_store_n(&slot[H_PARK], 0, __ATOMIC_SEQ_CST);
  stall();
  if (!__atomic_load_n(&slot[H_ASLEEP], __ATOMIC_SEQ_CST)) return;
  syscall(SYS_futex, &slot[H_PARK], FUTEX_WAKE, 1, NULL, NULL, 0);
  addon_info[INFO_UNPARKED]++;
}

/** The stub waits for this in memory; or it is about to ring, and is then answered at once. */
static int answer_spun(u32 index) {
  spun[index] = wanted[index] = false;
  done[index] = served[index];
  stall();
  __atomic_store_n(&slot_header(index)[H_DONE], served[index], __ATOMIC_RELEASE);
  addon_info[INFO_SPUN]++;
  if (parked[index]) {
    parked[index] = false;
    unpark(index);
  }
  return 0;
}

static int send_answer(u32 index, bool elsewhere) {
  if (!pending[index]) return spun[index] ? answer_spun(index) : -ENOENT;
  u64 id = pending[index] - 1;
  pending[index] = 0;
  return transport->answer(id, 0, elsewhere);
}

static bool watch_now(u32 index) {
  if (!in_burst || stays[index] || !spin_worthwhile((s64)addon_clock[0])) return false;
  spin_watch(index);
  return true;
}

static int answer_at_once(u32 index) {
  if (spun[index] && !pending[index]) return answer_spun(index);
  bool watch = watch_now(index);
  bool here = slot_header(index)[H_CPU] == (u32)sched_getcpu() || spin_sent_away(index);
  // To be watched it must run elsewhere: we shall not sleep.
  return send_answer(index, !here || watch);
}

static int answer_withheld(u32 index, bool elsewhere) {
  if (spun[index] && !pending[index]) return answer_spun(index);
  return send_answer(index, watch_now(index) || spin_on() || elsewhere);
}

// ---- receiving ----

static u32 calls_since_look; // since other events were looked at

/** What a ring is to us. */
enum verdict { RING_REFUSED, RING_NEW, RING_WITHHELD, RING_WANTED, RING_ANSWERED };

static enum verdict judge(const struct ring *ring) {
  u64 index = ring->index, sequence = ring->sequence;
  volatile u32 *slot = index < MAX_SLOTS ? slot_header(index) : NULL;
  stall();
  if (!slot || !ring->pid || sequence != slot[H_SEQ]) return RING_REFUSED;
  // Taken and answered without a ring, while its thread was about to ring. Whoever it is may go on.
  if (done[index] == sequence && !spun[index]) return RING_ANSWERED;
  s32 expected = doorbell_expected[index];
  if (expected && expected != ring->pid) return RING_REFUSED;
  if (served[index] == sequence && !spun[index]) return RING_REFUSED; // answered already, and heard
  doorbell_expected[index] = ring->pid;
  pending[index] = ring->id + 1;
  if (served[index] != sequence) {
    served[index] = sequence;
    return RING_NEW;
  }
  // Taken, and not answered yet: from now on it is withheld like any other.
  bool want = wanted[index];
  spun[index] = wanted[index] = parked[index] = false;
  return want ? RING_WANTED : RING_WITHHELD;
}

/** Waits for a ring: its slot, or one of NEXT_GONE, NEXT_STRANGER, RECEIVE_AGAIN. */
static int receive(bool block) {
  struct ring ring;
  int result = transport->receive(&ring, block);
  if (result == -EAGAIN) return RECEIVE_AGAIN;
  if (result) {
    addon_info[INFO_ERROR] = -result;
    return NEXT_GONE;
  }
  addon_info[INFO_PID] = ring.pid;
  calls_since_look++; // refused ones too: those who ring in vain must not keep other events away
  u32 index = ring.index;
  switch (judge(&ring)) {
  case RING_NEW: return index;
  case RING_WANTED: return LATE_RING + index;
  case RING_WITHHELD: return RECEIVE_AGAIN;
  case RING_ANSWERED: transport->answer(ring.id, 0, false); return RECEIVE_AGAIN;
  case RING_REFUSED: break;
  }
  transport->answer(ring.id, -ENOSYS, false);
  return NEXT_STRANGER;
}

// ---- bursts ----
// A ppoll before each receive costs 0.7 µs. When calls come fast, receive blocks alone instead; a
// repeating 1 ms timer signal breaks it, and other events are looked at on each tick and every
// LOOK_INTERVAL calls. The first tick without a call ends the burst, so an idle sandbox has no timer.

#define TICK_SIGNAL    (SIGRTMIN + 4)
#define TICK_NS        1000000l
#define LOOK_INTERVAL  32
#define BURST_CALLS    32     // so many calls ...
#define BURST_DISTANCE 50000l // ... each within so many ns of the answer before start a burst

static bool has_tick;
static int tick_timer;
static volatile sig_atomic_t ticked;
static u32 calls_since_tick, fast_calls;
static s64 fast_since;

static void on_tick(int signal) {
  (void)signal;
  ticked = 1;
}

static void set_tick(long ns) {
  struct itimerspec time = {{0, ns}, {0, ns}};
  syscall(SYS_timer_settime, tick_timer, 0, &time, NULL);
}

static void create_tick(void) {
  struct sigaction action = {.sa_handler = on_tick}; // no SA_RESTART: it is there to interrupt
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = TICK_SIGNAL;
  event._sigev_un._tid = gettid();
  has_tick = !sigaction(TICK_SIGNAL, &action, NULL) && !syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &tick_timer);
}

static void start_burst(s64 now) {
  spin_begin(now, BURST_CALLS, now - fast_since);
  in_burst = true;
  ticked = 0;
  calls_since_tick = calls_since_look = 0;
  addon_info[INFO_BURSTS]++;
  set_tick(TICK_NS);
}

static void end_burst(void) {
  spin_stop();
  in_burst = false;
  fast_calls = 0;
  set_tick(0);
}

static int count_call(int slot) {
  s64 now = clock_monotonic();
  calls_since_tick++;
  spin_count(now);
  if (!in_burst && has_tick) {
    fast_calls = now - (s64)addon_clock[0] < BURST_DISTANCE ? fast_calls + 1 : 0;
    if (fast_calls == 0) fast_since = now;
    if (fast_calls >= BURST_CALLS) start_burst(now);
  }
  addon_clock[0] = (double)now;
  return slot;
}

static int finish_wait(int result, s64 now) {
  addon_clock[0] = (double)now;
  return result;
}

/** Looks at everything; sleeps until deadline (-1: for ever) unless a burst goes on. */
static int look(s64 deadline) {
  stall();
  int epoll = wait_epoll();
  bool burst = in_burst;
  if (burst && ticked) {
    ticked = 0;
    spin_tick(clock_monotonic());
    if (!calls_since_tick) {
      end_burst();
      burst = false;
    }
    calls_since_tick = 0;
  }
  s64 now = clock_monotonic(), left = deadline < 0 || deadline > now ? deadline - now : 0;
  if (burst && deadline - now > TICK_NS) left = 0;
  if (burst && deadline < 0) left = 0;
  struct pollfd poll[2] = {{listener, POLLIN, 0}, {epoll, POLLIN, 0}};
  struct timespec time = {left / 1000000000, left % 1000000000};
  bool forever = deadline < 0 && !burst;
  int ready = ppoll(poll, epoll < 0 ? 1 : 2, forever ? NULL : &time, NULL);
  bool others = ready > 0 && poll[1].revents, rings = ready > 0 && (poll[0].revents & POLLIN);
  // Turn by turn when both are busy.
  if (others && (!rings || calls_since_look >= LOOK_INTERVAL)) {
    calls_since_look = 0;
    return NEXT_EVENTS;
  }
  if (!others) calls_since_look = 0;
  if (rings) return receive(false);
  // POLLERR says only that a signal came while the kernel looked.
  if (ready > 0 && poll[0].revents & POLLHUP) return NEXT_GONE;
  if (deadline >= 0 && clock_monotonic() >= deadline) return NEXT_TIMEOUT;
  return RECEIVE_AGAIN;
}

/** A call taken from a watched slot, or RECEIVE_AGAIN. */
static int take_spun(s64 deadline) {
  int index = spin_wait(served, listener, deadline);
  if (index < 0) {
    // Still watching: something else is to be done, which a look will find.
    if (index == SPIN_LOOK) calls_since_look = LOOK_INTERVAL;
    return RECEIVE_AGAIN;
  }
  served[index] = slot_header(index)[H_SEQ];
  spun[index] = true;
  stall();
  return index;
}

static int taken_last = -1; // slot of the call that was taken without a ring in the last turn

/**
 * The call is withheld: its stub must not wait in memory, on a CPU that another may need to end that wait. A call of
 * which the stub rang meanwhile is withheld by that ring.
 */
static void park(u32 index) {
  parked[index] = true;
  __atomic_store_n(&slot_header(index)[H_PARK], served[index], __ATOMIC_RELEASE);
}

static int next(s64 timeout) {
  if (taken_last >= 0 && spun[taken_last] && !wanted[taken_last]) park(taken_last);
  taken_last = -1;
  // In a burst the clock was read a moment ago; and it is from then on that the sentry counted.
  s64 deadline = timeout <= 0 ? timeout : (in_burst ? (s64)addon_clock[0] : clock_monotonic()) + timeout;
  for (;;) {
    if (in_burst && !ticked && calls_since_look < LOOK_INTERVAL && timeout != 0) {
      int taken = take_spun(deadline);
      if (taken >= 0) return count_call(taken_last = taken);
    }
    bool blind = in_burst && !ticked && calls_since_look < LOOK_INTERVAL && (timeout < 0 || timeout > TICK_NS);
    int result = blind ? receive(true) : look(deadline);
    if (result >= 0) return count_call(result);
    if (result != RECEIVE_AGAIN) return finish_wait(result, clock_monotonic());
    // Woken for nothing: whatever it was, the next look must see it.
    if (blind && !ticked) calls_since_look = LOOK_INTERVAL;
    s64 now = clock_monotonic();
    if (deadline >= 0 && now >= deadline) return finish_wait(NEXT_TIMEOUT, now);
  }
}

// ---- methods ----

/** The pending slot in argument 0; throws if there is no such slot. */
static s64 slot_argument(napi_env env, const struct arguments *a) {
  s64 index;
  if (get_number(env, a, 0, &index) && slot_header(index) && listener >= 0) return index;
  napi_throw_range_error(env, NULL, "no such slot, or no listener yet");
  return -1;
}

static int wait_for_listener(volatile u32 *slot, int pidfd) {
  s64 deadline = clock_monotonic() + LISTENER_TIMEOUT_NS;
  while (!slot[H_LISTENER]) {
    struct timespec tenth = {0, 100000000};
    struct pollfd poll_pid = {pidfd, POLLIN, 0};
    syscall(SYS_futex, &slot[H_LISTENER], FUTEX_WAIT, 0, &tenth, NULL, 0);
    if (poll(&poll_pid, 1, 0) > 0 && !slot[H_LISTENER]) return -ESRCH;
    if (clock_monotonic() > deadline) return -ETIMEDOUT;
  }
  return (s32)slot[H_LISTENER];
}

/** The zygote may go on, or (under ptrace) begin. */
static void release_zygote(volatile u32 *slot) {
  __atomic_store_n(&slot[H_FAST], 1, __ATOMIC_SEQ_CST);
  syscall(SYS_futex, &slot[H_FAST], FUTEX_WAKE, 1, NULL, NULL, 0);
}

/**
 * attach(slot0fd, zygotePid, traced): maps slot 0 and takes over from the zygote what it published there; traced: by
 * ptrace. 0, or -errno: that of seccomp(2) in the zygote, ESRCH if it died, ETIMEDOUT.
 */
static napi_value attach(napi_env env, napi_callback_info info) {
  struct arguments a;
  s64 fd, pid;
  bool traced;
  get_arguments(env, info, &a);
  if (!arena || listener >= 0 || !get_int(env, &a, 0, &fd) || !get_int(env, &a, 1, &pid) ||
      napi_get_value_bool(env, a.value[2], &traced) != napi_ok)
    return number_value(env, -EINVAL);
  int result = slot_attach(0, fd);
  if (result < 0) return number_value(env, result);
  int pidfd = syscall(SYS_pidfd_open, (pid_t)pid, 0);
  if (pidfd < 0) return number_value(env, -errno);
  transport = traced ? &trace_transport : &notify_transport;
  result = wait_for_listener(slot_header(0), pidfd);
  if (result > 0) listener = result = transport->attach(pid, pidfd, slot_header(0));
  close(pidfd);
  if (result < 0) return number_value(env, result);
  doorbell_expected[0] = pid;
  stays[0] = true;
  served[0] = slot_header(0)[H_SEQ] - 1; // it may have rung already
  release_zygote(slot_header(0));
  create_tick();
  spin_create();
  wait_epoll(); // now: later the sentry's filter forbids to create one
  return number_value(env, 0);
}

/**
 * next(replySlot or -1, timeoutNs or -1): answers replySlot, then waits. The slot that rang, or -1
 * timeout, -2 events() has some, -3 all guests are gone, -4 a ring that was refused (info[0]: who).
 */
static napi_value next_method(napi_env env, napi_callback_info info) {
  struct arguments a;
  s64 reply = -1, timeout = -1;
  get_arguments(env, info, &a);
  if (!get_number(env, &a, 0, &reply) || !get_number(env, &a, 1, &timeout) || listener < 0 ||
      (reply >= 0 && !slot_header(reply))) {
    napi_throw_range_error(env, NULL, "next(replySlot, timeoutNs): no such slot, or no listener yet");
    return NULL;
  }
  if (reply >= 0) answer_at_once(reply);
  return number_value(env, next(timeout));
}

/**
 * reply(slot, elsewhere): answers a call that was withheld; `elsewhere`: nobody waits for what the thread does now,
 * which is better done on another CPU if one is idle. 0, or -ENOENT: the thread was killed meanwhile.
 */
static napi_value reply(napi_env env, napi_callback_info info) {
  struct arguments a;
  bool elsewhere;
  get_arguments(env, info, &a);
  s64 index = slot_argument(env, &a);
  if (index < 0) return NULL;
  if (napi_get_value_bool(env, a.value[1], &elsewhere) != napi_ok) return number_value(env, -EINVAL);
  return number_value(env, answer_withheld(index, elsewhere));
}

/**
 * addfd(slot, hostFd, newFd or -1, send): installs a descriptor in the process that waits on that slot; with
 * send also answers it. The number in the guest process, or -errno.
 */
static napi_value addfd(napi_env env, napi_callback_info info) {
  struct arguments a;
  s64 host_fd, new_fd;
  bool send;
  get_arguments(env, info, &a);
  s64 index = slot_argument(env, &a);
  if (index < 0) return NULL;
  if (!get_int(env, &a, 1, &host_fd) || !get_int(env, &a, 2, &new_fd) ||
      napi_get_value_bool(env, a.value[3], &send) != napi_ok)
    return number_value(env, -EINVAL);
  if (!pending[index]) return number_value(env, spun[index] ? -EAGAIN : -ENOENT);
  s64 result = transport->addfd(pending[index] - 1, index, host_fd, new_fd, send);
  if (send && result >= 0) pending[index] = 0;
  return number_value(env, result);
}

/**
 * want(slot): the call was taken without a ring, but its answer needs one (addfd said EAGAIN). The stub is made
 * to ring, and next() then returns the slot plus MAX_SLOTS.
 */
static napi_value want(napi_env env, napi_callback_info info) {
  struct arguments a;
  get_arguments(env, info, &a);
  s64 index = slot_argument(env, &a);
  if (index < 0) return NULL;
  wanted[index] = spun[index];
  parked[index] = false;
  spin_unwatch(index);
  unpark(index);
  return NULL;
}

/** idValid(slot): 0 if its thread still waits for the answer, else -ENOENT. */
static napi_value id_valid(napi_env env, napi_callback_info info) {
  struct arguments a;
  get_arguments(env, info, &a);
  s64 index = slot_argument(env, &a);
  if (index < 0) return NULL;
  if (!pending[index]) return number_value(env, -ENOENT);
  return number_value(env, transport->valid(pending[index] - 1));
}

/** stay(slot): its thread is a zygote from now on. */
static napi_value stay(napi_env env, napi_callback_info info) {
  struct arguments a;
  get_arguments(env, info, &a);
  s64 index = slot_argument(env, &a);
  if (index < 0) return NULL;
  stays[index] = true;
  spin_unwatch(index);
  return NULL;
}

void doorbell_exports(napi_env env, napi_value exports) {
  export_method(env, exports, "attach", attach, NULL);
  export_method(env, exports, "next", next_method, NULL);
  export_method(env, exports, "reply", reply, NULL);
  export_method(env, exports, "addfd", addfd, NULL);
  export_method(env, exports, "want", want, NULL);
  export_method(env, exports, "idValid", id_valid, NULL);
  export_method(env, exports, "stay", stay, NULL);
}
