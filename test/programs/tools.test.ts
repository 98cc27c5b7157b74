// What developers run: version control, compilers and what they make, databases, cryptography, compression.

import { sameAsNative } from './harness.ts';

sameAsNative(
  'git: init, add, commit, log, branch, merge, clone, fsck, gc',
  `export GIT_AUTHOR_DATE=2020-01-01T00:00:00Z GIT_COMMITTER_DATE=2020-01-01T00:00:00Z GIT_CONFIG_GLOBAL=$PWD/config
   git config --global user.email a@b.c; git config --global user.name name; git config --global init.defaultBranch main
   git init -q one; cd one; for i in 1 2 3 4 5; do seq $i 2000 >file$i; mkdir -p d$i; cp file$i d$i; git add .; git commit -qm "commit $i"; done
   git log --stat | sha256sum; git checkout -qb side HEAD~2; echo more >side; git add side; git commit -qm side; git checkout -q main; git merge -q -m merged side; git log --oneline --graph
   echo change >>file1; git status --short; git diff --stat; git stash -q; git tag -a -m tag v1; git describe; git fsck --full; git gc -q --aggressive; git count-objects -v | grep -E 'in-pack|packs'
   cd ..; git clone -q one two; git -C two rev-parse HEAD; git -C two grep -c 1999; git clone -q --bare "file://$PWD/one" three; git -C three log --oneline | wc -l; cd two; echo x >new; git add new; git commit -qm new; git push -q origin HEAD:other; git -C ../one branch; git archive HEAD | tar t | wc -l; git blame file1 | tail -n 1 | cut -c1-8; git rebase -q HEAD~1; git bisect start -q HEAD HEAD~3 | tail -n 1`,
  { packages: ['git'], ignoreErrors: true },
);

const PROGRAM = `
cat >thread.h <<'END'
int twice(int);
END
for i in 1 2 3 4 5 6 7 8; do printf '#include "thread.h"\\nint f%d(int x) { return twice(x) + %d; }\\n' $i $i >f$i.c; done
cat >main.c <<'END'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "thread.h"
int f1(int), f8(int);
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long sum;
int twice(int x) { return 2 * x; }
static void *work(void *arg) {
  for (int i = 0; i < 1000; i++) { pthread_mutex_lock(&mutex); sum += f1(i) + *(int *)arg; pthread_mutex_unlock(&mutex); }
  return NULL;
}
int main(int argc, char **argv) {
  pthread_t thread[8];
  for (int i = 0; i < 8; i++) pthread_create(&thread[i], NULL, work, &argc);
  for (int i = 0; i < 8; i++) pthread_join(thread[i], NULL);
  printf("%ld %d %s\\n", sum, f8(4), argv[argc - 1]);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) execl("/bin/sh", "sh", "-c", "exit 12", NULL);
  int status;
  waitpid(pid, &status, 0);
  return WEXITSTATUS(status) == 12 ? 0 : 1;
}
END`;

sameAsNative(
  'gcc and make -j4: a small project and its program',
  `${PROGRAM}
   printf 'OBJECTS = f1.o f2.o f3.o f4.o f5.o f6.o f7.o f8.o main.o\\nprogram: $(OBJECTS)\\n\\t$(CC) -o $@ $^ -pthread\\n%%.o: %%.c thread.h\\n\\t$(CC) -O2 -Wall -c $<\\nclean:\\n\\trm -f *.o program\\n' >Makefile
   make -s -j4 && ./program one; echo $?; touch thread.h; make -j4 | sort; make -q; echo $?; gcc -static -O2 -o static *.c -pthread && ./static two; gcc -O2 -flto -g -fsanitize=undefined -o lto *.c -pthread && ./lto three; nm program | grep -c ' T '; strip static; ar rc lib.a f*.o; ar t lib.a | wc -l; make -s clean; ls`,
  { packages: ['gcc', 'libc6-dev', 'make'] },
);

sameAsNative(
  'a static program of another libc',
  `${PROGRAM}\n musl-gcc -static -O2 -o static *.c && ./static musl; echo $?; file -b static 2>/dev/null | cut -c1-10`,
  {
    packages: ['musl-tools', 'gcc'],
  },
);

const GO = `
cat >main.go <<'END'
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func main() {
	var group sync.WaitGroup
	var mutex sync.Mutex
	sum := 0
	for i := 0; i < 200; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			time.Sleep(time.Millisecond)
			mutex.Lock()
			sum += i
			mutex.Unlock()
		}(i)
	}
	group.Wait()
	fmt.Println(sum)
	out, err := exec.Command("sh", "-c", "echo child; exit 3").Output()
	fmt.Printf("%q %v\\n", out, err)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println(<-signals)
	r, w, _ := os.Pipe()
	go func() { w.Write(make([]byte, 1<<20)); w.Close() }()
	n, buffer := 0, make([]byte, 4096)
	for {
		k, err := r.Read(buffer)
		n += k
		if err != nil { break }
	}
	fmt.Println(n)
	defer func() { fmt.Println(recover() != nil) }()
	var nothing *int
	fmt.Println(*nothing)
}
END`;

sameAsNative(
  'go build and its program',
  `${GO}\n export HOME=$PWD GO111MODULE=off GOFLAGS= GOCACHE=$PWD/cache; go build -o program main.go && ./program`,
  {
    packages: ['golang-go'],
    ignoreErrors: true,
  },
);

sameAsNative(
  'sqlite3 with a write-ahead log and two writers',
  `sqlite3 db 'pragma journal_mode = wal; create table t(a integer primary key, b text);'
   sqlite3 db "with recursive c(x) as (select 1 union all select x + 1 from c where x < 30000) insert into t select x, 'row ' || x from c;"
   for w in 1 2 3 4; do (for i in 1 2 3 4 5 6 7 8 9 10; do sqlite3 -cmd '.timeout 20000' db "insert into t(b) values ('writer $w');"; done) & done; wait
   sqlite3 db 'select count(*), sum(a) from t; select b, count(*) from t where b like "writer%" group by b; pragma wal_checkpoint(truncate); pragma integrity_check;'; ls
   sqlite3 other "attach 'db' as d; create table c as select * from d.t; create index i on c(b); vacuum; select count(*) from c where b = 'row 77';"; sqlite3 db .dump | sqlite3 third; sqlite3 third 'select max(a) from t'`,
  { packages: ['sqlite3'] },
);

sameAsNative(
  'openssl: digests, ciphers, keys, speed',
  `head -c 3000000 /dev/zero >zeros; openssl dgst -sha256 zeros; openssl enc -aes-256-cbc -pbkdf2 -S 0011223344556677 -pass pass:x -in zeros | openssl enc -d -aes-256-cbc -pbkdf2 -S 0011223344556677 -pass pass:x | cmp - zeros && echo same
   openssl genrsa -out key 2048 2>/dev/null; openssl rsa -in key -pubout -out pub 2>/dev/null; openssl dgst -sha256 -sign key -out signature zeros; openssl dgst -sha256 -verify pub -signature signature zeros
   openssl req -x509 -new -key key -subj /CN=test -days 1 -out cert && openssl verify -CAfile cert cert; openssl rand -hex 8 | wc -c; openssl speed -seconds 1 -bytes 1024 -multi 2 -evp sha256 2>/dev/null | grep -c sha256`,
  { packages: ['openssl'] },
);

sameAsNative(
  'xz, zstd, gzip, bzip2: there and back, with threads',
  `seq 700000 >n; sha256sum <n; xz -T2 -1 --block-size=1MiB -k n; xz -T2 -dc n.xz | sha256sum; zstd -q -T2 -5 -k n; zstd -dc n.zst | sha256sum; gzip -k n; zcat n.gz | sha256sum; bzip2 -1 <n | bunzip2 | sha256sum; xz --list --robot n.xz | grep -c block; tar cJf t.tar.xz n; tar tJf t.tar.xz; xz -t n.xz; zstd -q -t n.zst; echo $?; cat n.xz n.xz | xz -d | wc -l`,
  { packages: ['xz-utils', 'zstd', 'bzip2'] },
);

sameAsNative(
  'a signal that waits for the end of another handler finds the alternate stack free',
  `cat >stack.c <<'END'
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/ucontext.h>
static char stack[65536];
static int on_stack[2];
static void handler(int signo, siginfo_t *info, void *context) {
  char here;
  (void)info, (void)context;
  on_stack[signo == SIGUSR2] = &here > stack && &here < stack + sizeof stack;
  if (signo == SIGUSR1) raise(SIGUSR2); /* blocked until we return */
}
int main(void) {
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaltstack(&alternate, NULL);
  sigfillset(&action.sa_mask);
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGUSR2, &action, NULL);
  raise(SIGUSR1);
  stack_t now;
  sigaltstack(NULL, &now);
  printf("%d %d %d\\n", on_stack[0], on_stack[1], now.ss_flags);
  return 0;
}
END
   gcc -o stack stack.c && ./stack`,
  { packages: ['gcc', 'libc6-dev'] },
);
