// Coreutils, find and tar over real trees and some tens of megabytes of data.

import { sameAsNative } from './harness.ts';

sameAsNative(
  'find and ls over a large tree',
  `find /usr/share /usr/lib -xdev | sort | sha256sum; ls -lR /etc | grep -v ^total | wc -l
  find /usr/bin -type f -perm -4000 | sort; find /usr/include -name 'std*.h' -size -20k | sort | head; du -s --apparent-size /usr/include`,
);

sameAsNative(
  'tar to tar',
  `tar c -C /usr/share/perl . | tar t | sort | sha256sum
  mkdir copy; tar c -C /usr/include/linux . | tar x -C copy; diff -r /usr/include/linux copy && echo same
  tar c --sort=name -C copy . | tar d -C copy && echo no difference; rm -r copy`,
);

sameAsNative(
  'cp, mv, ln, rm, chmod, touch, stat',
  `mkdir -p d/e/f; cp -a /etc/passwd d/e; cp -r d g; mv g h; ln d/e/passwd hard; ln -s nowhere soft
  chmod 4711 hard; stat -c '%n %a %h %F' d/e/passwd soft; touch -d '2001-02-03 04:05:06.789' h; stat -c %y h
  truncate -s 3G sparse; stat -c '%s %b' sparse; printf x | dd of=sparse bs=1 seek=2G conv=notrunc 2>/dev/null; tail -c 1073741824 sparse | head -c 1; truncate -s 100M sparse; printf y | dd of=sparse bs=1 seek=50M conv=notrunc 2>/dev/null
  cp --sparse=always sparse holes; cmp sparse holes; rm -rf d h; find . | sort; rmdir missing; echo $?; install -D -m 600 hard a/b/c; ls -l a/b | tail -n 1 | cut -c1-10`,
);

sameAsNative(
  'dd, cat, head, tail, split, cmp, od',
  `dd if=/dev/zero of=big bs=1M count=64 2>/dev/null; dd if=big bs=7777 2>/dev/null | sha256sum
  seq 500000 >n; split -l 100000 n part.; cat part.* | cmp - n && ls part.*; tail -n 2 n; tail -c +3388880 n | head -n 2; od -A d -t x1z n | head -n 2
  head -c 1000000 /dev/urandom >r; cp r s; cmp r s && echo equal; tac n | head -n 1; wc n; shuf -n 0 n; comm -12 part.aa part.ab | wc -l; nl n | tail -n 1
  tee t1 t2 <n | wc -c; cmp t1 t2; (head -n 1 >/dev/null; wc -c) <n; (cat; echo end) </dev/null; paste part.aa part.ab | tail -n 1; fold -w 5 /etc/passwd | md5sum`,
);

sameAsNative(
  'sort of 50 MB with files of its own',
  `seq 6500000 -1 1 >n; stat -c %s n; sort -n -S 16M --parallel=2 -T . n | sha256sum`,
);

sameAsNative(
  'sha256sum of a large file, in a pipe and from the file',
  `yes cloister | head -c 192M >big; sha256sum big; md5sum <big; cat big | sha1sum`,
);

sameAsNative(
  'timeout, env, nice, kill, date, id',
  `timeout 0.2 sleep 5; echo $?; timeout -s KILL 0.2 sleep 5; echo $?; timeout 5 sh -c 'exit 3'; echo $?
  env -i A=b env; nice -n 5 nice; date -u -d @1000000000 +%FT%T; id; whoami; nohup echo hup 2>/dev/null; stdbuf -o0 echo unbuffered; tty; echo $?; arch; seq 3 | xargs -n1 -P3 sh -c 'exit 0'; echo $?
  sleep 100 & kill -0 $! && kill $!; wait $!; echo $?; test -r /etc/shadow; echo $?; realpath /bin/../usr; mktemp -u XXXXXX | wc -c; readlink -f /proc/self/cwd >/dev/null; chroot / echo rooted`,
  // dash says that a job was terminated when that happens while it waits; inside it has happened before.
  { ignoreErrors: true },
);

sameAsNative('reading what is larger than a pipe from standard input', 'wc -c; echo', { input: 'x'.repeat(3 << 20) });
