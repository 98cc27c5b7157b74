// The launcher: builds the cage around the sentry (namespaces, id maps, roots, capabilities, first filter)
// and around its guests, starts both, and stays in the foreground in the sandbox's stead.
//
//   outer (the caller's process)          forwards signals, waits, returns the exit status
//     init (pid 1 of the sandbox)         its death is the death of everything in the sandbox
//       zygote (pid 1 of its own namespaces)  the stub; ancestor of all guest processes
//       sentry (Node)
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../abi.h"

#define MAX_BINDS    256
#define MAX_RUNTIME  64
#define MAX_NODE_ARG 32
#define MAX_CGROUPS  32
#define MAX_PASSED   253 // what one message of descriptors holds

#define MACHINE_FILES 4
#define USUAL_VICTIM  500 // of oom_score_adj's 1000

struct id_map {
  unsigned inside, outside, count;
};

#define MAX_ID_MAPS 64
struct id_maps {
  struct id_map uid[MAX_ID_MAPS], gid[MAX_ID_MAPS];
  int uids, gids;
  bool recursive;
  int user_namespace;
};

struct bind {
  const char *name, *source, *destination; // the last inside, or NULL
  struct id_maps *ids;                     // of files on disk to those that the sandbox finds, or NULL
  bool read_only, is_directory;
  int tree; // detached mount
  int view; // one more for our own view, or -1
};

#define MAX_JOINED     8
#define MAX_LATE_BINDS 200 // whose descriptors go into one message, with some others
/** What root's sandboxes keep; src/oci/identity.ts has them by name. */
#define HEAD_START_CAPABILITIES 0x8000001bu

#define MAX_MOUNT_POINTS 256
/** A place in a read-only root file system that something will be mounted on. */
struct mount_point {
  const char *path;
  bool is_directory;
};

struct runtime_file {
  const char *source, *destination;
  int tree;
};

/** A descriptor of the caller's that the guest program has under another number. */
struct passed {
  int fd, inside;
};

struct options {
  const char *rootfs, *stub, *node, *script, *hostname, *netns;
  const char *control_directory;  // of the container's state, or NULL: there the sentry is asked for things
  const char *console_socket;     // who gets the master of the container's terminal, or NULL
  bool hooks;                     // whoever makes the container runs hooks before the sandbox is built
  bool is_exec;                   // one more program in a running sandbox, or with a rootfs one more container
  pid_t launcher;                 // of the sandbox that such a container joins
  const char *joined[MAX_JOINED]; // KIND:PATH, namespaces of the host's that it is in; without a path a new one
  int joined_count;
  bool traced;      // the sentry gets its calls by ptrace
  bool new_session; // away from the caller's terminal and job
  bool remove;      // the state and the cgroups go away at the end
  const char *cgroup[MAX_CGROUPS];
  int cgroups;
  int victim;            // how much more likely than the sentry guests are to be killed when memory runs out
  const char *oom_score; // of a container's processes that joins a sandbox, or NULL
  struct mount_point mount_point[MAX_MOUNT_POINTS];
  int mount_points;
  struct passed passed[MAX_PASSED];
  int passed_count;
  bool rootfs_read_only;
  struct bind bind[MAX_BINDS];
  struct runtime_file runtime[MAX_RUNTIME];
  struct id_map uid_map[MAX_ID_MAPS], gid_map[MAX_ID_MAPS];
  const char *node_arg[MAX_NODE_ARG];
  int binds, runtime_files, uid_maps, gid_maps, node_args;
  int spec_fd, log_fd, trace_fd; // the last two: -1 if not given
  int sync_fd;                   // to whoever waits for the container to be there; -1: nobody does
  uint64_t capabilities;
};

/** What one process of ours opens and a later one uses. All are close-on-exec. */
struct state {
  int rootfs_tree, rootfs_view;
  int stdio[3]; // non-blocking doubles of 0..2, or -1
  int control_outer, control_sentry;
  int ports_outer, ports_sentry; // for low ports of the caller's own network, or -1
  int terminal;                  // our controlling terminal, or -1
  bool background;
  int stub, slot0, proc, memory, sparse, listener;
  int late;                   // where a sentry that has a head start is told the rest, or -1
  int machine[MACHINE_FILES]; // the host's MACHINE_FILE, or -1
  int sync[2];                // outer tells init that its ids are mapped
  bool own_network;
  bool trees_taken;
};

// ---- front.c ----
/** A sandbox that has been begun on guesses. */
struct head_start {
  pid_t init;                // 0: there is none
  int late;                  // the sentry waits at its other end
  int network;               // the namespace that we were in before, or 0
  char *cgroup[MAX_CGROUPS]; // made for it
  int cgroups;
};
extern struct head_start head_start;
/**
 * DIRECTORY NODE ARGUMENTS...: starts the command line, and returns what it wants to have launched as options. If it
 * wants nothing, this process ends when it does.
 */
char **stand_before_command_line(char **arguments, struct state *state);
bool head_start_fits(const struct options *options);
/** Ends it. Its cgroups go, too, unless they are among those of the options. */
void abandon_head_start(const struct options *options);

// ---- main.c ----
void parse_options(struct options *options, char **argv);
/** The stub in a file of its own, readable for any id: else the guests could not be looked into. */
int copy_stub(const char *path);
int make_slot0(void);
/** Enters or makes the sandbox's network namespace, or says by what flag of clone(2) its init gets one. */
unsigned long network_namespace(const struct options *options, struct state *state);
pid_t clone_init(unsigned long network);
int open_null(void);
/** Lets go of the standard streams: who reads or writes them must see their end when the sentry closes them. Of
 * the descriptors above 2 only these stay. */
void keep_only(int null, const int *keep, size_t count);

void close_others(const int *keep, size_t count);
int double_stream(int fd);
sigset_t forwarded_signals(void);

// ---- container.c ----
/** Puts a process (0: ourselves) into the container's cgroups. */
void join_cgroups(const struct options *options, pid_t pid);
#define MAX_PID_LEVELS 33
/** The numbers of a process in the pid namespaces from that of /proc down to its own; how many there are, 0: it is
 * gone. */
int process_numbers(const char *process, int numbers[MAX_PID_LEVELS]);
/**
 * Puts a process of a sandbox into the cgroups, by the number that its sentry knows it by: one that the first guest
 * process has made.
 */
void place_guest(const struct options *options, pid_t init, int number);
/** A terminal whose master goes to the console socket becomes our standard streams and our controlling terminal. */
void open_console(const char *socket_path);
/** The listening socket in the container's directory. */
int listen_control(const char *directory);
/** A connection to the sentry of the container with this directory. */
int connect_control(const char *directory);
/** The end of a container that nobody else will delete: its cgroups and its directory. */
void remove_container(const struct options *options);

// ---- ports.c ----
/** The sentry may have us bind sockets to low ports. */
void open_ports(struct state *state);
/** Serves one such request. */
void bind_port(const struct state *state);

// ---- view.c ----
/** Whether others will look for the container's files by way of the outer process. */
bool wants_view(const struct options *options);
/** The first guest process: the child of init that is in another pid namespace; 0: there is none. */
pid_t zygote_of(pid_t init);
void make_mount_points(const struct options *options, int root);
/** How many descriptors of `keep` the view needs; they are added to it. */
int keep_view(const struct options *options, const struct state *state, int *keep);
/** The container's files, and its processes in /proc, become all that our process sees. */
void enter_view(const struct options *options, const struct state *state, pid_t init);

// ---- kernel-log.c ----
/** Says which host call the sentry's filter did not allow, if that can be found out. */
void name_forbidden_call(void);

// ---- hooks.c ----
/** Namespaces of this process's own that hold nothing, where the host's would be found otherwise. */
void own_namespaces(const struct options *options);
/** The namespaces of a container that joins a sandbox, for those who look for them at the process that stands for it.
 */
void join_namespaces(const struct options *options);
/** Says that the namespaces are there, and waits until the hooks have run. */
void wait_for_hooks(const struct options *options);
/** PID DIRECTORY PROGRAM ARGUMENTS...: executes a program in the namespaces of a launcher. */
void enter_and_execute(char **argv) __attribute__((noreturn));

/** SOCKET TEXT: sends a datagram to a service manager; '@' stands for an abstract name. */
void send_datagram(char **argv) __attribute__((noreturn));

// ---- exec.c ----
/** Has the sentry of a running container start a program, and stands for that program. */
void stand_for_program(struct options *options) __attribute__((noreturn));

// ---- message.c ----
/** Where messages go: standard error at first. */
extern int message_fd;
/** What is to be cleaned up when this process dies of an error, or NULL. */
extern void (*before_death)(void);
/** "cloister: <message>: <errno's text>", a hint on the next line unless it is NULL, and exit status 125. */
void die(const char *hint, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

// ---- trees.c ----
/**
 * Takes the rootfs, the binds and the runtime files as detached mounts, in a mount namespace of its own that is
 * thrown away again: what has to be hidden of the host's mounts is hidden there only.
 */
void take_trees(struct options *options, struct state *state);
/** The runtime files alone. */
void take_runtime(struct options *options);
/** A procfs of our pid namespace as a detached mount, or -1 where the host does not allow one. */
int take_proc(void);
/** A tmpfs for the sentry's files in memory as a detached mount, or -1 where the host has no large pages for it. */
int take_memory(bool large_pages);
/** Files of the host's procfs that tell of the machine: the guest is shown what they say. */
extern const char *const MACHINE_FILE[MACHINE_FILES];
void take_machine_files(struct state *state);
/** Makes a tmpfs with nothing but the runtime files our root. */
void enter_first_root(const struct options *options);
/** Makes an empty read-only tmpfs the root of all processes that share ours. directory: an existing one. */
void enter_empty_root(const char *directory);
/** A directory that exists, whatever the host looks like. */
const char *any_directory(void);
void make_mounts_private(void);

// ---- credentials.c ----
/** Fills in default maps where none were given. */
void default_maps(struct options *options);
/** A new user namespace with these maps, for id-mapped mounts. */
int mapped_namespace(const struct id_maps *maps);
/** Writes the maps of the user namespace of a child. */
void write_maps(const struct options *options, pid_t child);
/** Keeps these capabilities and no others, for good; sets no_new_privs. */
void limit_capabilities(uint64_t keep);
/** Becomes root in our user namespace. */
void become_root(void);
bool can_mount(void);
void reset_signals(void);
void forbid_core_dumps(void);

// ---- init.c, zygote.c, sentry.c ----
void loopback_up(void);
/**
 * The sentry may bind any port of the network namespace that we are in, though it has no capability there: who of the
 * container's programs may bind ports below 1024 is decided in the sandbox. And it may send echo requests, likewise.
 */
void free_network(void);
void run_init(struct options *options, struct state *state) __attribute__((noreturn));
/** Guests' processes get a score of being killed that is so much higher than the process's own. */
void raise_oom_score(const char *process, int more);
pid_t start_zygote(const struct options *options, const struct state *state);
/** Tells a sentry that has a head start what it would have had on its command line. */
void tell_late(const struct options *options, const struct state *state, int late);
pid_t start_sentry(const struct options *options, const struct state *state, pid_t zygote, int init_fd);

static inline long sys_open_tree(int directory, const char *path, unsigned flags) {
  return syscall(SYS_open_tree, directory, path, flags);
}
