// The transport by user notification: the doorbell is SECCOMP_RET_USER_NOTIF, and one listener serves the sandbox.
#include "addon.h"

#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#define SYNC_WAKE_UP 1ul // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP

static int listener = -1;
static bool can_sync;

/** What the zygote published is its listener. */
static int notify_attach(pid_t zygote, int pidfd, volatile u32 *slot0) {
  (void)zygote;
  listener = syscall(SYS_pidfd_getfd, pidfd, (s32)slot0[H_LISTENER] - 1, 0);
  if (listener < 0) return -errno;
  can_sync = !ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP);
  addon_info[INFO_SYNC] = can_sync;
  return listener;
}

static int notify_receive(struct ring *ring, bool block) {
  (void)block; // called without it when poll(2) has said that there is one
  struct seccomp_notif notification;
  memset(&notification, 0, sizeof notification);
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notification)) {
    // EINTR: our tick. ENOENT: a signal took the caller back before we came.
    return errno == EINTR || errno == ENOENT ? -EAGAIN : -errno;
  }
  *ring = (struct ring){notification.id, notification.pid, notification.data.args[0], notification.data.args[1]};
  return 0;
}

static int send_answer(u64 id, s32 error) {
  struct seccomp_notif_resp response = {.id = id, .error = error};
  int result;
  do { result = ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response); } while (result && errno == EINTR);
  return result ? -errno : 0;
}

/**
 * SYNC_WAKE_UP puts the woken thread on our CPU, where it runs as soon as we sleep. That is right for a
 * thread that rang from here, or that slept long. One that rang from another CPU a moment ago would be
 * dragged over and queued behind us.
 */
static int notify_answer(u64 id, s32 error, bool elsewhere) {
  if (!elsewhere || !can_sync) return send_answer(id, error);
  addon_info[INFO_MOVED]++;
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 0ul);
  int result = send_answer(id, error);
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP);
  return result;
}

static s64 notify_addfd(u64 id, u32 index, int fd, int new_fd, bool send) {
  (void)index;
  struct seccomp_notif_addfd request = {.id = id, .srcfd = fd};
  if (new_fd >= 0) {
    request.newfd = new_fd;
    request.flags = SECCOMP_ADDFD_FLAG_SETFD;
  }
  if (send) request.flags |= SECCOMP_ADDFD_FLAG_SEND;
  // Interrupted, the kernel would take the descriptor back and send the answer all the same.
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &before);
  s64 result = result_of(ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &request));
  sigprocmask(SIG_SETMASK, &before, NULL);
  return result;
}

static int notify_valid(u64 id) { return result_of(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id)); }

const struct transport notify_transport = {notify_attach, notify_receive, notify_answer, notify_addfd, notify_valid};
