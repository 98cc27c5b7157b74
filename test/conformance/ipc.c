// System V ipc, each call with what it answered. Printed is nothing that depends on the machine or the moment.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALL(...) show(#__VA_ARGS__, errno_of((long)(__VA_ARGS__)))
static long errno_of(long r) { return r == -1 ? -errno : r; }
static void show(const char *what, long result) {
  printf("%s = %ld\n", what, result);
  fflush(stdout);
}

static void on_alarm(int signo) { (void)signo; }

struct text {
  long type;
  char bytes[64];
};

static void messages(void) {
  key_t key = 0x10000 + getpid();
  CALL(msgget(key, 0));
  int id = msgget(key, IPC_CREAT | IPC_EXCL | 0600);
  CALL(msgget(key, IPC_CREAT | IPC_EXCL | 0600));
  CALL(msgget(key, 0) == id);
  struct text m = {3, "three"}, got;
  CALL(msgsnd(id, &m, 6, 0));
  m = (struct text){1, "one"};
  CALL(msgsnd(id, &m, 4, 0));
  m = (struct text){2, "two"};
  CALL(msgsnd(id, &m, 4, 0));
  m.type = 0;
  CALL(msgsnd(id, &m, 4, 0));
  CALL(msgsnd(id, (void *)8, 4, 0));
  CALL(msgsnd(id, &m, 1 << 20, 0));
  CALL(msgrcv(id, &got, 64, 9, IPC_NOWAIT));
  CALL(msgrcv(id, &got, 2, -2, IPC_NOWAIT));
  CALL(msgrcv(id, &got, 2, -2, IPC_NOWAIT | MSG_NOERROR));
  show("its type", got.type);
  CALL(msgrcv(id, &got, 64, 1, IPC_NOWAIT | MSG_EXCEPT));
  show(got.bytes, got.type);
  CALL(msgrcv(id, &got, 64, 0, IPC_NOWAIT | MSG_COPY));
  CALL(msgrcv(id, &got, 0, 0, IPC_NOWAIT | MSG_COPY));
  CALL(msgrcv(id, &got, 0, 0, IPC_NOWAIT | MSG_COPY | MSG_NOERROR));
  CALL(msgrcv(id, &got, 64, 5, IPC_NOWAIT | MSG_COPY));
  CALL(msgrcv(id, &got, 64, 0, MSG_COPY));
  struct msqid_ds ds;
  CALL(msgctl(id, IPC_STAT, &ds));
  show("messages", ds.msg_qnum);
  show("bytes", ds.msg_cbytes);
  show("mode", ds.msg_perm.mode);
  show("last sender", ds.msg_lspid == getpid());
  ds.msg_perm.mode = 0640;
  ds.msg_qbytes = 10;
  CALL(msgctl(id, IPC_SET, &ds));
  CALL(msgctl(id, IPC_STAT, (void *)8));
  CALL(msgctl(id, 77, &ds));
  m = (struct text){4, "123456789"};
  CALL(msgsnd(id, &m, 10, IPC_NOWAIT));
  sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm, .sa_flags = SA_RESTART}, NULL);
  alarm(1);
  CALL(msgsnd(id, &m, 10, 0));
  CALL(msgrcv(id, &got, 64, 0, 0));
  alarm(1);
  CALL(msgrcv(id, &got, 64, 0, 0));
  if (fork() == 0) {
    usleep(100000);
    msgctl(id, IPC_RMID, NULL);
    _exit(0);
  }
  CALL(msgrcv(id, &got, 64, 0, 0));
  wait(NULL);
  CALL(msgctl(id, IPC_STAT, &ds));
  CALL(msgsnd(-1, &m, 1, 0));
}

static void semaphores(void) {
  CALL(semget(IPC_PRIVATE, 0, 0600));
  CALL(semget(IPC_PRIVATE, -1, 0600));
  int id = semget(IPC_PRIVATE, 3, 0600);
  unsigned short all[3] = {1, 2, 3};
  CALL(semctl(id, 0, SETALL, all));
  CALL(semctl(id, 1, GETVAL));
  CALL(semctl(id, 3, GETVAL));
  CALL(semctl(id, 0, SETVAL, -1));
  CALL(semctl(id, 0, SETVAL, 32768));
  CALL(semctl(id, 0, SETVAL, 32767));
  struct sembuf up[2] = {{1, 1, 0}, {0, 1, 0}};
  CALL(semop(id, up, 2));
  CALL(semctl(id, 1, GETVAL));
  CALL(semop(id, up, 0));
  CALL(semop(id, up, 501));
  CALL(semop(id, (void *)8, 1));
  CALL(semop(id, &(struct sembuf){9, 1, 0}, 1));
  CALL(semop(id, &(struct sembuf){0, 0, IPC_NOWAIT}, 1));
  CALL(semop(id, &(struct sembuf){1, -5, IPC_NOWAIT}, 1));
  CALL(semtimedop(id, &(struct sembuf){1, -5, 0}, 1, &(struct timespec){0, 20000000}));
  CALL(semtimedop(id, &(struct sembuf){1, -5, 0}, 1, &(struct timespec){0, -1}));
  pid_t child = fork();
  if (child == 0) _exit(semop(id, &(struct sembuf){2, -4, SEM_UNDO}, 1) == 0 ? 0 : 1);
  while (semctl(id, 2, GETNCNT) != 1) usleep(1000);
  CALL(semctl(id, 2, GETZCNT));
  CALL(semop(id, &(struct sembuf){2, 1, 0}, 1));
  int status;
  waitpid(child, &status, 0);
  show("child", status);
  CALL(semctl(id, 2, GETVAL));
  CALL(semctl(id, 2, GETPID) == child);
  struct semid_ds ds;
  CALL(semctl(id, 0, IPC_STAT, &ds));
  show("semaphores", ds.sem_nsems);
  sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm, .sa_flags = SA_RESTART}, NULL);
  alarm(1);
  CALL(semop(id, &(struct sembuf){2, 0, 0}, 1));
  if ((child = fork()) == 0) {
    usleep(100000);
    semctl(id, 0, IPC_RMID);
    _exit(0);
  }
  CALL(semop(id, &(struct sembuf){2, 0, 0}, 1));
  waitpid(child, NULL, 0);
  CALL(semctl(id, 0, GETVAL));
}

static void shared_memory(void) {
  CALL(shmget(IPC_PRIVATE, 0, 0600));
  int id = shmget(IPC_PRIVATE, 5000, 0600);
  char *a = shmat(id, NULL, 0), *b = shmat(id, NULL, SHM_RDONLY);
  strcpy(a, "seen twice");
  show(b, a != b);
  struct shmid_ds ds;
  CALL(shmctl(id, IPC_STAT, &ds));
  show("size", ds.shm_segsz);
  show("attached", ds.shm_nattch);
  pid_t child = fork();
  if (child == 0) {
    strcpy(a + 4096, "from the child");
    shmctl(id, IPC_STAT, &ds);
    show("attached with child", ds.shm_nattch);
    show("detach in child", shmdt(b));
    _exit(0);
  }
  waitpid(child, NULL, 0);
  show(b + 4096, 0);
  CALL(shmat(id, (void *)5, 0));
  CALL(shmat(id, a, 0));
  CALL((char *)shmat(id, a + 7, SHM_RND | SHM_REMAP) == a);
  CALL(shmat(-1, NULL, 0));
  CALL(shmdt(a + 4096));
  CALL(shmdt(a));
  CALL(shmdt(a));
  CALL(shmctl(id, IPC_RMID, NULL));
  CALL(shmctl(id, IPC_STAT, &ds));
  show("to be destroyed", (ds.shm_perm.mode & SHM_DEST) != 0);
  show(b, 0);
  CALL(shmdt(b));
  CALL(shmctl(id, IPC_STAT, &ds));
}

static void on_notify(int signo, siginfo_t *info, void *context) {
  (void)context;
  show("notified", signo);
  show("its code", info->si_code);
  show("its value", info->si_value.sival_int);
}

static void queues(void) {
  char name[32], text[8192];
  snprintf(name, sizeof name, "/conformance-%d", getpid());
  struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 16};
  CALL(mq_open("/", O_RDONLY));
  CALL(mq_open("/a/b", O_RDONLY | O_CREAT, 0600, NULL));
  CALL(mq_open(name, O_RDONLY));
  CALL(mq_open(name, O_RDWR | O_CREAT, 0600, &(struct mq_attr){.mq_maxmsg = 0, .mq_msgsize = 1}));
  mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
  CALL(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr));
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77};
  sigaction(SIGUSR1, &(struct sigaction){.sa_sigaction = on_notify, .sa_flags = SA_SIGINFO}, NULL);
  CALL(mq_notify(q, &event));
  CALL(mq_notify(q, &event));
  CALL(mq_send(q, "low", 4, 1));
  CALL(mq_send(q, "high", 5, 9));
  CALL(mq_send(q, "0123456789abcdef!", 17, 1));
  CALL(mq_timedsend(q, "x", 1, 1, &(struct timespec){0, 0}));
  CALL(mq_timedsend(q, "x", 1, 1, &(struct timespec){0, -1}));
  CALL(mq_send(q, "x", 1, 32768));
  struct pollfd p = {q, POLLIN | POLLOUT, 0};
  CALL(poll(&p, 1, 0));
  show("ready", p.revents);
  unsigned priority = 0;
  CALL(mq_receive(q, text, 15, &priority));
  CALL(mq_receive(q, text, sizeof text, &priority));
  show(text, priority);
  CALL(mq_receive(q, text, sizeof text, NULL));
  CALL(mq_getattr(q, &attr));
  show("size", attr.mq_msgsize);
  show("messages", attr.mq_curmsgs);
  attr.mq_flags = O_NONBLOCK;
  CALL(mq_setattr(q, &attr, NULL));
  CALL(mq_receive(q, text, sizeof text, NULL));
  attr.mq_flags = 0;
  struct mq_attr before;
  CALL(mq_setattr(q, &attr, &before));
  show("flags", before.mq_flags);
  pid_t child = fork();
  if (child == 0) {
    usleep(50000);
    _exit(mq_send(q, "from the child", 15, 0) ? 1 : 0);
  }
  CALL(mq_receive(q, text, sizeof text, NULL));
  show(text, 0);
  waitpid(child, NULL, 0);
  CALL(mq_unlink(name));
  CALL(mq_unlink(name));
  CALL(mq_send(q, "still", 6, 0));
  CALL(mq_close(q));
  CALL(mq_send(q, "x", 1, 0));
  CALL(mq_notify(0, &event));
}

/** Queues as files of a mount. */
static void mounted(void) {
  char directory[] = "/tmp/ipcXXXXXX", text[100] = "";
  struct stat s;
  if (!mkdtemp(directory)) abort();
  CALL(mount("none", directory, "mqueue", 0, NULL));
  if (chdir(directory)) abort();
  mqd_t q = mq_open("/mounted", O_RDWR | O_CREAT, 0600, NULL);
  CALL(mq_send(q, "abc", 3, 0));
  CALL(stat("mounted", &s));
  show("its mode", s.st_mode);
  show("its size", s.st_size);
  int fd = open("mounted", O_RDWR);
  CALL(read(fd, text, sizeof text));
  printf("%s|\n", text);
  CALL(mq_send(fd, "def", 3, 0));
  CALL(mq_receive(q, text, 8192, NULL));
  close(fd);
  CALL(close(creat("made", 0640)));
  CALL(mq_open("/made", O_RDWR) >= 0);
  CALL(unlink("mounted"));
  CALL(mq_open("/mounted", O_RDWR));
  CALL(mq_unlink("/made"));
  CALL(access("made", F_OK));
  if (chdir("/")) abort();
  umount2(directory, MNT_DETACH);
  rmdir(directory);
}

static int choose(const char *kind, int id) {
  char path[64], text[16];
  snprintf(path, sizeof path, "/proc/sys/kernel/%s_next_id", kind);
  int fd = open(path, O_RDWR);
  if (read(fd, text, sizeof text) < 3 || strncmp(text, "-1", 2)) show("chosen before", atoi(text));
  int n = snprintf(text, sizeof text, "%d", id);
  show("choose", pwrite(fd, text, n, 0) == n);
  close(fd);
  return id;
}

static void chosen(void) {
  int wanted = choose("msg", 4000 * 32768 + 2000 + getpid() % 1000);
  int first = msgget(IPC_PRIVATE, 0600);
  show("first", first - wanted);
  choose("msg", wanted);
  int second = msgget(IPC_PRIVATE, 0600);
  show("second", second - wanted);
  CALL(msgctl(first, IPC_RMID, NULL));
  CALL(msgctl(second, IPC_RMID, NULL));
  CALL(msgctl(first, IPC_RMID, NULL));
  wanted = choose("sem", 77 * 32768 + 3000 + getpid() % 1000);
  int set = semget(IPC_PRIVATE, 1, 0600);
  show("set", set - wanted);
  CALL(semctl(set, 0, IPC_RMID));
  wanted = choose("shm", 5 + 32768 * (1 + getpid() % 1000));
  int segment = shmget(IPC_PRIVATE, 4096, 0600);
  show("segment", segment - wanted < 1000);
  CALL(shmctl(segment, IPC_RMID, NULL));
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  if (!strcmp(argv[1], "messages")) messages();
  if (!strcmp(argv[1], "semaphores")) semaphores();
  if (!strcmp(argv[1], "shared_memory")) shared_memory();
  if (!strcmp(argv[1], "queues")) queues();
  if (!strcmp(argv[1], "mounted")) mounted();
  if (!strcmp(argv[1], "chosen")) chosen();
  return 0;
}
