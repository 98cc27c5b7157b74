// Shell scripts in dash, bash and busybox: pipelines, here-documents, background jobs, traps, job control.

import { sameAsNative } from './harness.ts';

const BASH = ['bash', '-c'];
const BUSYBOX = ['busybox', 'sh', '-c'];
const BUSYBOX_PACKAGE = { packages: ['busybox-static'], interpreter: BUSYBOX };

const PIPELINES = `
  seq 1 2000 | grep 7 | sort -r | head -n 5
  seq 10 | while read n; do echo $((n * n)); done | tail -n 1
  x=$(echo one; echo two | tr a-z A-Z); echo "$x"
  yes | head -n 3
  false | true; echo $?
  ! true | false; echo $?
  { echo out; echo err >&2; } 2>&1 | sort
  for i in 1 2 3 4 5 6 7 8 9 10; do x=$(echo $i | cat | cat | cat); done; echo $x`;

const HERE_DOCUMENTS = `
  name=world
  cat <<END
hello $name $((1 + 2)) $(echo sub)
END
  cat <<'END'
no $expansion here
END
  tr a-z A-Z <<-END
	tabs go
	END
  while read line; do echo "[$line]"; done <<END
$(seq 1 3)
END`;

const BACKGROUND = `
  sleep 0.1 & p=$!; wait $p; echo first $?
  (exit 3) & wait $!; echo second $?
  (sleep 0.2; echo late) & echo early; wait; echo all
  sleep 100 & kill $!; wait $!; echo killed $?
  for i in 1 2 3 4 5 6; do (sleep 0.0$i; exit $i) & done; wait; echo none left $?`;

const TRAPS = `
  trap 'echo usr1' USR1; kill -USR1 $$; echo after usr1
  trap 'echo term' TERM; sh -c "kill -TERM $$"; echo after term
  trap '' INT; kill -INT $$; echo ignored
  (trap 'echo inner exit' EXIT; exit 5); echo $?
  trap 'echo chld' USR2; (sleep 0.1; kill -USR2 $$; sleep 0.2) & wait; echo interrupted wait $?
  trap 'echo bye' EXIT; exit 7`;

const DEATHS = `
  sh -c 'kill -TERM $$' ; echo $?
  sh -c 'kill -KILL $$' ; echo $?
  sh -c 'kill -SEGV $$' ; echo $?
  sh -c 'exit 200'; echo $?
  no-such-command 2>/dev/null; echo $?
  /etc/passwd 2>/dev/null; echo $?
  echo 'echo no interpreter line' >plain; chmod +x plain; ./plain; echo $?
  printf '#!/bin/sh -e\\necho $0 $1\\nfalse\\necho never\\n' >script; chmod +x script; ./script arg; echo $?`;

const FILES = `
  umask 027; mkdir -p a/b; echo one >a/b/c; echo two >>a/b/c; cat a/b/c; ls -l a/b | cut -c1-10
  mv a/b/c a/d; ln a/d e; ln -s a/d f; cat f; readlink f; rm a/d; cat e; cat f || echo dangling
  exec 5<>rw; echo data >&5; exec 5<&-; cat rw; set -C; echo x >rw || echo no clobber
  test -d a && test -f e && test -L f && test ! -e f && echo tests; rmdir a && echo not empty; rm -r a; ls`;

const noErrors = { ignoreErrors: true };

for (const [name, options] of [
  ['dash', { packages: ['dash'], interpreter: ['dash', '-c'] }],
  ['bash', { interpreter: BASH }],
  ['busybox', BUSYBOX_PACKAGE],
] as const) {
  sameAsNative(`${name}: pipelines`, PIPELINES, options);
  sameAsNative(`${name}: here-documents`, HERE_DOCUMENTS, options);
  sameAsNative(`${name}: background jobs`, BACKGROUND, { ...options, ...noErrors });
  sameAsNative(`${name}: traps`, TRAPS, { ...options, status: 7 });
  sameAsNative(`${name}: statuses of the dead`, DEATHS, { ...options, ...noErrors });
  sameAsNative(`${name}: files`, FILES, { ...options, ...noErrors, status: 0 });
}

sameAsNative(
  'bash: process substitution, coprocesses, arrays, named pipes',
  `diff <(seq 5) <(seq 2 6); paste <(seq 3) <(seq 4 6)
   coproc bc_ { while read x; do echo $((x * 2)); done; }
   for i in 1 2 3; do echo $i >&\${bc_[1]}; read -u \${bc_[0]} y; echo $y; done
   mkfifo there back
   while read x; do echo $((x + 1)); done <there >back &
   exec 3>there 4<back; n=0; while ((n < 500)); do echo $n >&3; read n <&4; done; echo $n
   declare -A map=([a]=1 [b]=2); echo \${map[b]} \${!map[@]}
   time -p true 2>/dev/null; printf '%(%Y)T\\n' 0; echo \${PIPESTATUS[@]}`,
  { interpreter: BASH, ignoreErrors: true },
);

sameAsNative(
  'bash: job control on a terminal',
  // script(1) gives bash a terminal of its own; what it types comes back, so only what jobs and fg say is looked at.
  `cat >jobs.sh <<'END'
set -m
sleep 1000 & jobs -l | tr -s ' ' | cut -d' ' -f1,3-
kill -STOP %1; sleep 0.1; wait %1 2>/dev/null; echo stopped $?; jobs
bg %1 >/dev/null; sleep 0.1; jobs
kill %1; wait %1; echo killed $?
(sleep 0.2; exit 4) & fg %1; echo fg $?
sh -c 'kill -TSTP $$; echo continued' ; echo suspended $?; jobs; fg; echo $?
ps -o stat= -p $$ | cut -c2-; stty size; tty | sed 's/[0-9]*$//'
sh -c 'kill -TERM 0'; echo terminated $?
exec 2>/dev/null; cat </dev/tty & sleep 0.2; jobs; kill -KILL %1
END
script -qec 'stty rows 11 cols 77; bash --norc jobs.sh 2>&1' /dev/null`,
  { packages: ['bsdutils', 'procps'], interpreter: BASH },
);

sameAsNative(
  'busybox: applets',
  `busybox seq 5 | busybox tac; busybox awk 'BEGIN { print 3 * 4 }'
   busybox find /etc/apt | busybox sort | busybox md5sum
   busybox tar cf - /etc/apt 2>/dev/null | busybox tar tf - | busybox wc -l
   busybox gzip -c /etc/passwd | busybox gunzip | busybox md5sum
   busybox dd if=/dev/zero bs=1k count=100 2>/dev/null | busybox wc -c
   busybox head -c 5 /dev/urandom | busybox wc -c
   busybox ls -la /etc/passwd; busybox stat -c '%a %U %s' /etc/passwd; busybox id; busybox uname -m
   busybox vi -c ':q' /etc/passwd </dev/null >/dev/null; busybox ps | busybox grep -c 'busybox sh'
   echo 'a b c' | busybox xargs -n1 busybox echo; busybox sleep 0.1; busybox usleep 1000
   busybox timeout 0.2 busybox sleep 5; echo $?; busybox nc -h 2>&1 | busybox head -n 1`,
  { ...BUSYBOX_PACKAGE, ignoreErrors: true },
);
