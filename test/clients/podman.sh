# What users of podman do, section by section; clients.ts runs it with runc and with cloister and compares.
# p: podman with the runtime under test. Images: box. SCRATCH: a directory of our own.
run() { p run --rm --network none "$@"; }

section 'exit status'; run box sh -c 'exit 42'; status
section 'missing program'; run box nonesuch 2>&1 | tail -1 | grep -o 'executable file not found in $PATH'; status
section 'no program'; run box /etc/passwd 2>&1 | tail -1 | grep -o 'permission denied'; status
section 'standard input'; echo hello | run -i box cat; status
section 'terminal'; at_terminal run -it box sh -c 'tty; test -c /dev/console && echo console'; status
section 'streams apart'; run box sh -c 'echo out; echo err >&2' 2>"$SCRATCH/err"; cat "$SCRATCH/err"

section 'detached, logs, ps'
p run -d --name d1 --network none box \
  sh -c 'trap "echo bye; exit 3" TERM; echo started; while :; do sleep 0.1; done' >/dev/null
eventually 'p logs d1 | grep started'
p ps --format '{{.Names}} {{.Status}}' | sed 's/Up .*/Up/'
section 'exec'; p exec d1 sh -c 'echo in; exit 9'; status
section 'exec: user, directory, environment'; p exec -u 1000:1000 -w /tmp -e A=b d1 sh -c 'id -u; pwd; echo $A'; status
section 'exec: missing program'; p exec d1 nonesuch 2>&1 | tail -1 | grep -o 'executable file not found in $PATH'; status
section 'exec: standard input'; echo data | p exec -i d1 cat; status
section 'exec: terminal'; at_terminal p exec -it d1 sh -c 'test -t 0 && echo yes; exit 4'; status
section 'exec: detached'; p exec -d d1 sleep 5 >/dev/null; status; eventually 'p exec d1 ps | grep -o "sleep 5"'
# The shell's child has its arguments, too, until it executes sleep.
section 'top'; p top d1 args | grep -o 'echo started' | uniq; status
section 'stats'; p stats --no-stream --format '{{.Name}}' d1; status
section 'pause'; p pause d1 >/dev/null; status; p inspect -f '{{.State.Status}}' d1; p unpause d1 >/dev/null; status
section 'cp'
echo file >"$SCRATCH/from"; p cp "$SCRATCH/from" d1:/tmp/copied; status; p exec d1 cat /tmp/copied
p cp d1:/tmp/copied "$SCRATCH/to"; status; cat "$SCRATCH/to"
section 'stop with grace'; p stop -t 5 d1 >/dev/null; status; p wait d1; p logs d1
section 'restart, kill'
p start d1 >/dev/null; status; eventually 'p logs d1 | grep -c started | grep 2'
p restart -t 5 d1 >/dev/null; status; p kill d1 >/dev/null; p wait d1; p rm -f d1 >/dev/null; status
section 'attach'
p run -d --name a1 --network none -i box sh -c 'read x; echo got $x' >/dev/null; echo value | p attach a1; status; p rm -f -t 0 a1 >/dev/null
section 'health check'
p run -d --name h1 --network none --health-cmd 'echo fine' --health-interval 0 box sleep 20 >/dev/null
p healthcheck run h1; status; p rm -f -t 0 h1 >/dev/null

section 'read-only'; run --read-only box sh -c 'exec 2>&1; touch /x; echo $?; touch /tmp/y; echo $?'
section 'tmpfs'; run --tmpfs /t:size=1m box sh -c 'df /t | tail -1'
section 'volumes'
mkdir -p "$SCRATCH/volume"; run -v "$SCRATCH/volume:/v" box sh -c 'echo x >/v/x; cat /v/x'; cat "$SCRATCH/volume/x"
run -v "$SCRATCH/volume:/v:ro" box sh -c 'echo x >/v/x' 2>&1
section 'user and groups'; run -u 1000:1001 --group-add 5 box id
section 'capabilities'; run --cap-drop all --cap-add chown box grep -E 'Cap|NoNew' /proc/self/status
section 'no new privileges'; run --security-opt no-new-privileges box grep NoNew /proc/self/status
section 'host name, hosts'; run --hostname hh --add-host foo:1.2.3.4 box sh -c 'hostname; grep foo /etc/hosts'
section 'home and directory'; run -w /new/dir box sh -c 'echo $HOME; pwd'
section 'ulimits'; run --ulimit nofile=100:100 --ulimit nproc=100:100 box sh -c 'ulimit -n'
section 'sysctl'; run --sysctl kernel.msgmax=1234 box cat /proc/sys/kernel/msgmax
section 'shm size'; run --shm-size 1m box sh -c 'df /dev/shm | tail -1 | tr -s " " | cut -d" " -f2-'
section 'device'; run --device /dev/zero:/dev/zero2 box sh -c 'head -c 2 /dev/zero2 | od -An -tx1'
section 'memory limit'; run --memory 100m box echo ok; status
section 'small memory limit'; run --memory 16m box echo ok; status
section 'process limit'; run --pids-limit 20 box sh -c 'i=0; while [ $i -lt 30 ]; do sleep 1 & i=$((i+1)); done; wait' 2>&1
section 'update'
p run -d --name u1 --network none --memory 128m box sleep 30 >/dev/null; p update --memory 200m u1 >/dev/null; status
p rm -f -t 0 u1 >/dev/null
section 'joined network'
p run -d --name j1 --network none box sleep 30 >/dev/null; run --network container:j1 box echo ok; status
section 'joined pid namespace'; p run --rm --network none --pid container:j1 box sh -c 'ps | grep -c "sleep 30"' 2>&1 | tail -1
section 'joined ipc and host name'
p run --rm --network none --ipc container:j1 --uts container:j1 --hostname "" box sh -c 'hostname | wc -c; ls /dev/shm | wc -l' 2>&1; status
section 'several namespaces joined'
p run -d --name j2 --network container:j1 --ipc container:j1 --pid container:j1 box sh -c 'echo shared >/dev/shm/f; exec sleep 30' >/dev/null
status; eventually 'p exec j1 cat /dev/shm/f'; p exec j2 ps | grep -c 'sleep 30'; p rm -f -t 0 j2 >/dev/null 2>&1; status; p exec j1 echo still; status
p rm -f -t 0 j1 >/dev/null 2>&1
section 'host namespaces'
p run --rm --network none --ipc host box true; status; p run --rm --network none --pid host box true; status
section 'pod'
p pod create --name p1 --network none --hostname podhost >/dev/null; status
p run -d --name p1a --pod p1 box sh -c 'mkdir /w; echo served >/w/index.html; exec httpd -f -p 127.0.0.1:80 -h /w' >/dev/null; status
eventually 'p run --rm --pod p1 box wget -q -O - http://127.0.0.1/'
p run --rm --pod p1 box sh -c 'hostname; ps | grep -c httpd'
echo value >"$SCRATCH/from"; p cp "$SCRATCH/from" p1a:/w/copied; status; p exec p1a cat /w/copied
p pod ps --format '{{.Name}} {{.Status}} {{.NumberOfContainers}}'
p pod pause p1 >/dev/null; status; p pod ps --format '{{.Status}}'; p pod unpause p1 >/dev/null; status
p kill p1a >/dev/null; eventually 'p ps -a --format "{{.Names}} {{.Status}}" | grep "p1a Exited" | cut -d" " -f1-3'; p start p1a >/dev/null; status
p pod restart -t 1 p1 >/dev/null 2>&1; status; p pod ps --format '{{.Status}}'
p pod stop -t 1 p1 >/dev/null 2>&1; status; p pod ps --format '{{.Status}}'
p pod rm -f -t 0 p1 >/dev/null 2>&1; p pod ps --format '{{.Name}}'
section 'pod with shared pids'
p pod create --name p2 --network none --share pid,net,ipc,uts >/dev/null; p run -d --name p2a --pod p2 box sleep 4321 >/dev/null; status
p run --rm --pod p2 box sh -c 'ps | grep -c "sleep [4]321"; cat /proc/1/comm'; p pod rm -f -t 0 p2 >/dev/null 2>&1
section 'preserved descriptors'; p run --rm --network none --preserve-fds 1 box sh -c 'cat <&3' 3<"$SCRATCH/from"; status

section 'bridge network'
run_in_bridge() { p run --rm "$@"; }
p run -d --name n1 -p 127.0.0.1:18081:80 box sh -c 'mkdir /w; echo served >/w/index.html; exec httpd -f -p 80 -h /w' >/dev/null
eventually 'wget -q -O - http://127.0.0.1:18081/'
p exec n1 wget -q -O - http://localhost/
run_in_bridge box wget -q -O - "http://$(p inspect -f '{{.NetworkSettings.IPAddress}}' n1)/"
p rm -f -t 0 n1 >/dev/null
section 'host network'; p run --rm --network host box ip -o link | wc -l | grep -cx "$(ip -o link | wc -l)"
