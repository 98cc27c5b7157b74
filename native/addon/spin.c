// Spinning: while calls come faster than a wake-up costs, the sentry does not sleep between them but watches the
// slots they come from, and the stubs wait for the answer in memory; who has to wait for longer parks on a futex. It
// needs a CPU of its own, which the watched threads keep off. So it is given up as soon as calls stay away, somebody
// else wants the CPU, or it turns out that no more calls are served so than by the doorbell: where threads run is up
// to the host, and a busy one may keep a thread that was sent to another CPU waiting for longer than all this saves.
#include "addon.h"

#include <poll.h>
#include <sched.h>
#include <sys/resource.h>

#define WATCH_MAX      32
#define FIRST_NS       150000l  // so long the first call may take: the threads have to get to another CPU
#define SPIN_NS        50000l   // without a call for so long, the sentry goes to sleep
#define THRIFTY_NS     8000l    // the same where CPU time is rationed: for longer a doorbell takes less of it
#define LOOK_NS        6000l    // the listener and other events are looked at so often meanwhile
#define PAUSE_LEAST_NS 1000000l // after a watch without success; doubles up to
#define PAUSE_MOST_NS  16000000l
#define YIELD_NS       1000000l // for so long our CPU is left to a new thread
#define WORTH_CALLS    8        // a watch that brought so many calls was a success

// Calls a second are compared over at least so long, with and without watching.
#define TRIAL_NS         3000000l
#define COMPARISON_NS    2000000l
#define COMPARISON_AGE   300000000l // the figure without watching is taken anew after this
#define LOSS_LEAST_NS    8000000l   // pause after a comparison that was lost; doubles up to
#define LOSS_MOST_NS     256000000l
#define WORTHWHILE_RATIO 1.05
#define WORTH_MUCH_RATIO 2

static u32 watched[WATCH_MAX];
static bool moved[WATCH_MAX];     // its thread was told to stay off our CPU
static bool sent_away[MAX_SLOTS]; // it was, and has not been answered since
static u32 watch_count;
static cpu_set_t all_cpus;
static u32 moves; // of threads off our CPU, so far
static u32 calls; // taken in this watch
static s64 pause_ns = PAUSE_LEAST_NS, pause_end;
static long switches; // involuntary context switches at the last tick
static bool several_cpus, forbidden;
static double quota; // CPUs that the sandbox may use at a time, 0: as many as there are
static s64 spin_ns = SPIN_NS;

/** What was served since `since`, in one way or the other. */
static struct account {
  u64 calls;
  s64 ns;
} ringing, watching;
static s64 since;
static bool counts_as_watching; // until the first call after a watch
static double ringing_rate;     // calls a nanosecond without watching, 0: not known
static double watching_rate;    // with it, since that was given up last
static s64 ringing_rate_time, loss_ns = LOSS_LEAST_NS;

/** A cpuset may have changed since. */
static void count_cpus(void) {
  int count = sched_getaffinity(0, sizeof all_cpus, &all_cpus) ? 0 : CPU_COUNT(&all_cpus);
  several_cpus = count > 1;
  spin_ns = quota > 0 && quota < count ? THRIFTY_NS : SPIN_NS;
}

void spin_create(void) { count_cpus(); }

u32 spin_moves(void) { return moves; }

bool spin_on(void) { return watch_count > 0; }

bool spin_worthwhile(s64 now) { return several_cpus && !forbidden && now >= pause_end; }

/** The time up to now belongs to the way in which calls were served. */
static void account(s64 now) {
  (counts_as_watching ? &watching : &ringing)->ns += now - since;
  since = now;
}

void spin_count(s64 now) {
  // What came too late for a watch was late because of it.
  if (counts_as_watching && watch_count == 0) {
    account(now);
    counts_as_watching = false;
  }
  (counts_as_watching ? &watching : &ringing)->calls++;
}

void spin_begin(s64 now, u32 recent_calls, s64 recent_ns) {
  since = now;
  ringing = (struct account){0, 0};
  count_cpus();
  if (now - ringing_rate_time < COMPARISON_AGE) return;
  ringing_rate = (double)recent_calls / (double)(recent_ns + 1);
  ringing_rate_time = now;
}

/** Has the thread run on any CPU but ours; it sleeps now, and wakes up there. */
static bool move_away(u32 index) {
  cpu_set_t others = all_cpus;
  moves++;
  CPU_CLR(sched_getcpu(), &others);
  return !sched_setaffinity(doorbell_expected[index], sizeof others, &others);
}

void spin_watch(u32 index) {
  u32 i = 0;
  while (i < watch_count && watched[i] != index) i++;
  if (i == WATCH_MAX) return;
  if (watch_count == 0) {
    account(clock_monotonic());
    counts_as_watching = true;
    calls = 0;
    addon_info[INFO_WATCHES]++;
  }
  if (i == watch_count) {
    watched[watch_count++] = index;
    moved[i] = false;
  }
  if (!moved[i]) moved[i] = move_away(index);
  slot_header(index)[H_SPIN] = 1;
}

bool spin_sent_away(u32 index) {
  bool away = sent_away[index];
  sent_away[index] = false;
  return away;
}

void spin_unwatch(u32 index) {
  for (u32 i = 0; i < watch_count; i++) {
    if (watched[i] != index) continue;
    volatile u32 *slot = slot_header(index);
    stall();
    if (slot) slot[H_SPIN] = 0;
    if (moved[i] && doorbell_expected[index] > 0)
      sent_away[index] = !sched_setaffinity(doorbell_expected[index], sizeof all_cpus, &all_cpus);
    for (watch_count--; i < watch_count; i++) {
      watched[i] = watched[i + 1];
      moved[i] = moved[i + 1];
    }
    return;
  }
}

static void unwatch_all(void) {
  while (watch_count) spin_unwatch(watched[watch_count - 1]);
}

static void pause_until(s64 end) {
  if (end > pause_end) pause_end = end;
}

static void give_up(s64 now) {
  unwatch_all();
  if (calls >= WORTH_CALLS) pause_ns = PAUSE_LEAST_NS;
  else {
    // Known to be worth a lot: then that was but a moment in which somebody else had the CPU.
    s64 most = watching_rate > WORTH_MUCH_RATIO * ringing_rate ? PAUSE_LEAST_NS : PAUSE_MOST_NS;
    pause_ns = pause_ns * 2 > most ? most : pause_ns * 2;
    pause_until(now + pause_ns);
  }
}

void spin_stop(void) {
  if (watch_count > 0) give_up(clock_monotonic());
}

void spin_yield(void) {
  spin_stop();
  pause_until(clock_monotonic() + YIELD_NS);
}

/** Whether somebody else ran on our CPU although we had work, twice in a tick. */
static bool cpu_is_wanted(void) {
  struct rusage usage;
  if (getrusage(RUSAGE_THREAD, &usage)) return false;
  long before = switches;
  switches = usage.ru_nivcsw;
  return switches - before >= 2;
}

/** Watching is given up for a while if it brings nothing, or nobody knows any more what it is worth. */
static void compare(s64 now) {
  if (ringing.ns >= COMPARISON_NS) {
    ringing_rate = (double)ringing.calls / (double)ringing.ns;
    ringing_rate_time = now;
    ringing = (struct account){0, 0};
  }
  if (watching.ns < TRIAL_NS) return;
  double rate = (double)watching.calls / (double)watching.ns;
  // Smoothed: when another process has a thread's CPU for a slice there are no calls at all.
  watching_rate = watching_rate > 0 ? (3 * watching_rate + rate) / 4 : rate;
  watching = (struct account){0, 0};
  if (watching_rate < ringing_rate * WORTHWHILE_RATIO) {
    unwatch_all();
    watching_rate = 0;
    pause_until(now + loss_ns);
    loss_ns = loss_ns * 2 > LOSS_MOST_NS ? LOSS_MOST_NS : loss_ns * 2;
    addon_info[INFO_LOSSES]++;
    return;
  }
  loss_ns = loss_ns / 2 < LOSS_LEAST_NS ? LOSS_LEAST_NS : loss_ns / 2;
  if (now - ringing_rate_time < COMPARISON_AGE) return;
  unwatch_all();
  pause_until(now + COMPARISON_NS + COMPARISON_NS / 2);
}

void spin_tick(s64 now) {
  account(now);
  compare(now);
  if (!cpu_is_wanted() || watch_count == 0) return;
  calls = 0; // whatever it brought, it was at somebody's cost
  give_up(now);
}

static bool others_ready(int listener_fd) {
  int epoll = wait_epoll();
  struct pollfd poll_fds[2] = {{listener_fd, POLLIN, 0}, {epoll, POLLIN, 0}};
  return poll(poll_fds, epoll < 0 ? 1 : 2, 0) > 0;
}

int spin_wait(const u32 *served, int listener_fd, s64 deadline) {
  static u32 turn;
  s64 look = 0, end = 0; // not known yet: a call that is there already needs no clock
  while (watch_count) {
    for (u32 round = 0; round < 64; round++) {
      // From the one after the last that was served on, or the first would keep the others waiting.
      for (u32 i = 0; i < watch_count; i++) {
        if (++turn >= watch_count) turn = 0;
        u32 index = watched[turn];
        // The first ring of a slot's next owner tells who it is: that takes a real one.
        volatile u32 *slot = slot_header(index);
        if (slot[H_SEQ] == served[index] || doorbell_expected[index] <= 0) continue;
        if (slot[H_FLAGS] & FLAG_RINGS) return SPIN_LOOK;
        calls++;
        return index;
      }
      __asm__ volatile("pause");
    }
    s64 now = clock_monotonic();
    if (deadline >= 0 && now >= deadline) return SPIN_LOOK;
    if (end == 0) {
      look = now + LOOK_NS;
      end = now + (calls == 0 ? FIRST_NS : spin_ns);
    }
    if (now > end) break;
    if (now < look) continue;
    if (others_ready(listener_fd)) return SPIN_LOOK;
    look = now + LOOK_NS;
  }
  spin_stop();
  return SPIN_NONE;
}

/** setSpin(on, cpus): whether to spin at all; so many CPUs' time the sandbox is given, 0: no less than there are. */
static napi_value set_spin(napi_env env, napi_callback_info info) {
  struct arguments a;
  bool on;
  get_arguments(env, info, &a);
  if (a.count > 0 && napi_get_value_bool(env, a.value[0], &on) == napi_ok) forbidden = !on;
  if (napi_get_value_double(env, a.value[1], &quota) != napi_ok) quota = 0;
  return NULL;
}

/** letRoam(slot): its thread may run anywhere again, before it makes another that inherits where. */
static napi_value let_roam(napi_env env, napi_callback_info info) {
  struct arguments a;
  s64 index;
  get_arguments(env, info, &a);
  if (get_number(env, &a, 0, &index) && slot_header(index)) spin_unwatch(index);
  return NULL;
}

void spin_exports(napi_env env, napi_value exports) {
  export_method(env, exports, "setSpin", set_spin, NULL);
  export_method(env, exports, "letRoam", let_roam, NULL);
}
