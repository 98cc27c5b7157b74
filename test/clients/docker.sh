# What users of docker do, section by section; clients.ts runs it with runc and with cloister and compares.
# d: docker. RUNTIME: the name of the runtime under test. Images: box. SCRATCH: a directory of our own.
create() { d run --runtime "$RUNTIME" --network none "$@"; }
run() { create --rm "$@"; }

section 'exit status'; run box sh -c 'exit 42'; status
section 'missing program'; run box nonesuch 2>&1 | grep -o 'executable file not found in $PATH'; status
section 'no program'; run box /etc/passwd 2>&1 | grep -o 'permission denied' | head -1; status
section 'standard input'; echo hello | run -i box cat; status
section 'terminal'; at_terminal run -it box sh -c 'tty; test -c /dev/console && echo console; exit 3'; status

section 'detached, logs, ps'
create -d --name d1 box sh -c 'trap "echo bye; exit 3" TERM; echo started; while :; do sleep 0.1; done' >/dev/null
eventually 'd logs d1 | grep started'
d ps --format '{{.Names}} {{.Status}}' | sed 's/Up .*/Up/'
section 'exec'; d exec d1 sh -c 'echo in; exit 9'; status
section 'exec: user, directory, environment'; d exec -u 1000:1000 -w /tmp -e A=b d1 sh -c 'id -u; pwd; echo $A'; status
section 'exec: missing program'; d exec d1 nonesuch 2>&1 | grep -o 'executable file not found in $PATH'; status
section 'exec: standard input'; echo data | d exec -i d1 cat; status
section 'exec: terminal'; at_terminal d exec -it d1 sh -c 'test -t 0 && echo yes; exit 4'; status
section 'exec: detached'; d exec -d d1 sleep 5; status; eventually 'd exec d1 ps | grep -o "sleep 5"'
# The shell's child has its arguments, too, until it executes sleep.
section 'top'; d top d1 -o pid,args | grep -o 'echo started' | uniq; status
section 'stats'; d stats --no-stream --format '{{.Name}}' d1; status
section 'pause'; d pause d1 >/dev/null; status; d inspect -f '{{.State.Status}}' d1; d unpause d1 >/dev/null; status
section 'cp'
echo file >"$SCRATCH/from"; d cp "$SCRATCH/from" d1:/tmp/copied; status; d exec d1 cat /tmp/copied
d cp d1:/tmp/copied "$SCRATCH/to"; status; cat "$SCRATCH/to"
section 'update'; d update --memory 200m --memory-swap 400m d1 >/dev/null; status
section 'stop with grace'; d stop -t 5 d1 >/dev/null; status; d wait d1; d logs d1
section 'restart, kill'
d start d1 >/dev/null; status; eventually 'd logs d1 | grep -c started | grep 2'
d restart -t 5 d1 >/dev/null; status; d kill d1 >/dev/null; d wait d1; d rm -f d1 >/dev/null; status
section 'attach'
create -d --name a1 -i box sh -c 'read x; echo got $x; sleep 1' >/dev/null; echo value | d attach a1; status; d logs a1; d rm -f a1 >/dev/null
section 'health check'
create -d --name h1 --health-cmd 'echo fine' --health-interval 1s box sleep 20 >/dev/null
eventually 'd inspect -f "{{.State.Health.Status}}" h1 | grep healthy'; d rm -f h1 >/dev/null

section 'read-only'; run --read-only box sh -c 'exec 2>&1; touch /x; echo $?'
section 'tmpfs'; run --tmpfs /t:size=1m box sh -c 'df /t | tail -1'
section 'volumes'
mkdir -p "$SCRATCH/volume"; run -v "$SCRATCH/volume:/v" box sh -c 'echo x >/v/x; cat /v/x'; cat "$SCRATCH/volume/x"
run -v "$SCRATCH/volume:/v:ro" box sh -c 'echo x >/v/x' 2>&1
section 'user and groups'; run -u 1000:1001 --group-add 5 box id
section 'capabilities'; run --cap-drop all --cap-add chown box grep -E 'Cap|NoNew' /proc/self/status
section 'default capabilities and seccomp'; run box grep -E 'Cap|Seccomp' /proc/self/status
section 'host name, hosts'; run --hostname hh --add-host foo:1.2.3.4 box sh -c 'hostname; grep foo /etc/hosts'
section 'ulimits'; run --ulimit nofile=100:200 box sh -c 'ulimit -Sn; ulimit -Hn'
section 'sysctl'; run --sysctl kernel.msgmax=1234 box cat /proc/sys/kernel/msgmax
section 'shm size'; run --shm-size 1m box sh -c 'df /dev/shm | tail -1 | tr -s " " | cut -d" " -f2-'
section 'device'; run --device /dev/zero:/dev/zero2 box sh -c 'head -c 2 /dev/zero2 | od -An -tx1'
section 'init'; run --init box ps 2>&1 | grep -c docker-init
section 'memory limit'; run --memory 100m box echo ok; status
section 'small memory limit'; run --memory 8m box echo ok; status
section 'out of memory'
create --name o1 --memory 100m --memory-swap 100m box sh -c 'exec dd if=/dev/zero of=/dev/null bs=300M count=1' 2>/dev/null
status; eventually 'd inspect -f "{{.State.OOMKilled}}" o1 | grep true'; d rm o1 >/dev/null
section 'process limit'; run --pids-limit 20 box sh -c 'i=0; while [ $i -lt 30 ]; do sleep 1 & i=$((i+1)); done; wait' 2>&1
section 'host network'; d run --runtime "$RUNTIME" --rm --network host box echo ok; status
section 'joined network'
create -d --name j1 box sleep 20 >/dev/null; d run --runtime "$RUNTIME" --rm --network container:j1 box echo ok; status
section 'joined pid namespace'; run --pid container:j1 box sh -c 'ps | grep -c "sleep 20"' 2>&1 | grep '^[0-9]*$'
section 'joined ipc'; run --ipc container:j1 box true 2>&1 | grep -o 'non-shareable'; run --pid host --uts host --ipc host box echo ok; status
d rm -f j1 >/dev/null
section 'compose'
cat >"$SCRATCH/compose.yml" <<END
version: "2.4"
services:
  server:
    image: box
    runtime: $RUNTIME
    network_mode: none
    command: sh -c 'mkdir /w; echo served >/w/index.html; exec httpd -f -p 80 -h /w'
    mem_limit: 100m
    volumes: ["data:/data"]
  client:
    image: box
    runtime: $RUNTIME
    network_mode: none
    pid: "service:server"
    command: sh -c 'sleep 1; ps | grep -c "[h]ttpd -f"; echo x >/data/x'
    volumes: ["data:/data"]
    depends_on: [server]
volumes: {data: {}}
END
compose() { timeout -s KILL 60 docker-compose -H "unix://$SCRATCH/docker/socket" --no-ansi -p composed -f "$SCRATCH/compose.yml" "$@" 2>/dev/null; }
if command -v docker-compose >/dev/null; then
  compose up -d >/dev/null; status; eventually 'compose logs client | grep -o "[0-9]$"'
  compose exec -T server wget -q -O - http://127.0.0.1/; status; compose exec -T server cat /data/x
  compose stop -t 1 >/dev/null; status; compose down -v >/dev/null; status
fi
