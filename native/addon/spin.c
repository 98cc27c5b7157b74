// Spinning: while calls come faster than a wake-up costs, the sentry does not sleep between them but watches the
// slots they come from, and the stubs wait for the answer in memory. It needs a CPU of its own, so it is given up
// as soon as calls stay away, or somebody else wants the CPU, and tried again after a growing pause.
#include "addon.h"

#include <poll.h>
#include <sched.h>
#include <sys/resource.h>

#define WATCH_MAX        4
#define SPIN_NS          40000l   // without a call for so long, the sentry goes to sleep
#define LOOK_NS          6000l    // the listener and other events are looked at so often meanwhile
#define PAUSE_LEAST_NS   1000000l // after a watch without success; doubles up to
#define PAUSE_MOST_NS    16000000l
#define YIELD_NS         1000000l   // for so long our CPU is left to a new thread
#define WORTH_CALLS      8          // a watch that brought so many calls was a success
#define BLOCKED_PAUSE_NS 100000000l // then threads have been sent to other CPUs in vain
#define BLOCKED_PART     4          // one call in so many that blocks, and the watch was none

static u32 watched[WATCH_MAX];
static bool moved[WATCH_MAX]; // its thread was told to stay off our CPU
static u32 watch_count;
static cpu_set_t all_cpus;
static u32 calls, blocked; // taken in this watch; of those, withheld
static s64 pause_ns = PAUSE_LEAST_NS, pause_end;
static long switches; // involuntary context switches at the last tick
static bool several_cpus, forbidden;

void spin_create(void) { several_cpus = !sched_getaffinity(0, sizeof all_cpus, &all_cpus) && CPU_COUNT(&all_cpus) > 1; }

bool spin_worthwhile(s64 now) { return several_cpus && !forbidden && now >= pause_end; }

/** Has the thread run on any CPU but ours; it sleeps now, and wakes up there. */
static bool move_away(u32 index) {
  cpu_set_t others = all_cpus;
  CPU_CLR(sched_getcpu(), &others);
  return !sched_setaffinity(doorbell_expected[index], sizeof others, &others);
}

void spin_watch(u32 index, bool here) {
  u32 i = 0;
  while (i < watch_count && watched[i] != index) i++;
  if (i == WATCH_MAX) {
    spin_unwatch(watched[0]);
    i--;
  }
  if (watch_count == 0) {
    calls = blocked = 0;
    addon_info[INFO_WATCHES]++;
  }
  if (i == watch_count) {
    watched[watch_count++] = index;
    moved[i] = false;
  }
  if (here && !moved[i]) moved[i] = move_away(index);
  slot_header(index)[H_SPIN] = 1;
}

void spin_unwatch(u32 index) {
  for (u32 i = 0; i < watch_count; i++) {
    if (watched[i] != index) continue;
    volatile u32 *slot = slot_header(index);
    stall();
    if (slot) slot[H_SPIN] = 0;
    if (moved[i] && doorbell_expected[index] > 0)
      sched_setaffinity(doorbell_expected[index], sizeof all_cpus, &all_cpus);
    for (watch_count--; i < watch_count; i++) {
      watched[i] = watched[i + 1];
      moved[i] = moved[i + 1];
    }
    return;
  }
}

static void give_up(s64 now) {
  if (calls >= WORTH_CALLS) pause_ns = PAUSE_LEAST_NS;
  else pause_ns = pause_ns * 2 > PAUSE_MOST_NS ? PAUSE_MOST_NS : pause_ns * 2;
  pause_end = now + (calls >= WORTH_CALLS ? 0 : pause_ns);
}

void spin_stop(void) {
  if (watch_count == 0) return;
  while (watch_count) spin_unwatch(watched[watch_count - 1]);
  give_up(clock_monotonic());
}

void spin_blocked(u32 index) {
  spin_unwatch(index);
  if (++blocked * BLOCKED_PART < calls) return;
  while (watch_count) spin_unwatch(watched[watch_count - 1]);
  pause_end = clock_monotonic() + BLOCKED_PAUSE_NS;
}

void spin_yield(void) {
  spin_stop();
  s64 end = clock_monotonic() + YIELD_NS;
  if (end > pause_end) pause_end = end;
}

void spin_tick(s64 now) {
  struct rusage usage;
  if (getrusage(RUSAGE_THREAD, &usage)) return;
  long before = switches;
  switches = usage.ru_nivcsw;
  if (switches - before < 2 || watch_count == 0) return;
  calls = 0; // whatever it brought, it was at somebody's cost
  while (watch_count) spin_unwatch(watched[watch_count - 1]);
  give_up(now);
}

static bool others_ready(int listener_fd) {
  int epoll = wait_epoll();
  struct pollfd poll_fds[2] = {{listener_fd, POLLIN, 0}, {epoll, POLLIN, 0}};
  return poll(poll_fds, epoll < 0 ? 1 : 2, 0) > 0;
}

int spin_wait(const u32 *served, int listener_fd, s64 deadline) {
  s64 begin = clock_monotonic(), look = begin + LOOK_NS;
  while (watch_count) {
    for (u32 round = 0; round < 64; round++) {
      for (u32 i = 0; i < watch_count; i++) {
        u32 index = watched[i];
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
    if (now - begin > SPIN_NS) break;
    if (now < look) continue;
    if (others_ready(listener_fd)) return SPIN_LOOK;
    look = now + LOOK_NS;
  }
  spin_stop();
  return SPIN_NONE;
}

/** setSpin(on): whether to spin at all. */
static napi_value set_spin(napi_env env, napi_callback_info info) {
  struct arguments a;
  bool on;
  get_arguments(env, info, &a);
  if (a.count > 0 && napi_get_value_bool(env, a.value[0], &on) == napi_ok) forbidden = !on;
  return NULL;
}

void spin_exports(napi_env env, napi_value exports) { export_method(env, exports, "setSpin", set_spin, NULL); }
