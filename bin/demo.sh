#!/bin/sh
# What `npm start` runs in a sandbox over this machine's own root: a few programs that everyone knows, each showing
# one thing the sandbox answers for. Programs that are not installed are left out.
set -u

show() { printf '\n\033[1m%s\033[0m\n' "$1"; }
have() { command -v "$1" >/dev/null 2>&1; }

show 'Who answers here'
uname -sr
echo "shell: process $$, parent $PPID"
head -n 2 /proc/self/status

show 'A pipeline of four processes'
printf '%s\n' stone wood iron glass wood stone wood | sort | uniq -c | sort -rn | head -n 3

show 'Background jobs and a trap'
trap 'echo "caught SIGUSR1"' USR1
(sleep 0.1; kill -USR1 $$) &
wait $! || :
for n in 1 2 3; do (exit $n) & wait $! || echo "a child left with status $?"; done

show 'Writes stay in the sandbox'
marker=/cloister-was-here
echo "written by process $$" >"$marker" && cat "$marker"
ls -l "$marker"
mkdir -p /tmp/demo && cd /tmp/demo || exit 1

show 'Devices and /proc'
head -c 16 /dev/urandom | od -An -tx1
ls -l /proc/self/fd
grep -c ^processor /proc/cpuinfo

if have python3; then
  show 'Python: threads, a subprocess, a socket pair'
  python3 - <<'PYTHON'
import socket, subprocess, threading
left, right = socket.socketpair()
thread = threading.Thread(target=lambda: left.sendall(b'hello from a thread'))
thread.start()
print(right.recv(64).decode())
thread.join()
print(subprocess.run(['echo', 'hello from a subprocess'], capture_output=True, text=True).stdout, end='')
PYTHON
fi

if have perl; then
  show 'Perl: fork and a pipe'
  perl -e 'pipe(R, W); if (!fork) { print W "from the child\n"; exit } close W; print "parent read: ", <R>; wait'
fi

if have git; then
  show 'Git: a repository in memory'
  git init -q repository && cd repository || exit 1
  echo cloister >file && git add file
  git -c user.name=demo -c user.email=demo@example.org commit -q -m 'first light' && git log --oneline --stat
  cd ..
fi

if have cc; then
  show 'A compiler and what it made'
  printf '#include <stdio.h>\nint main(void) { puts("compiled in the sandbox"); }\n' >hello.c
  cc hello.c -o hello && ./hello
fi

show 'What this machine saw of it'
