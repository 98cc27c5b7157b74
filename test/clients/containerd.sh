# What ctr does with containerd, section by section; clients.ts runs it with runc and with cloister and compares.
# c: ctr. RUNTIME: path of the runtime under test. Images: box. SCRATCH: a directory of our own.
image=docker.io/library/box:latest
create() { c run --snapshotter native --runtime io.containerd.runc.v2 --runc-binary "$RUNTIME" "$@"; }

section 'run'; create --rm "$image" c1 echo hello; status
section 'exit status'; create --rm "$image" c1 sh -c 'exit 7'; status
section 'missing program'; create --rm "$image" c1 nonesuch 2>&1 | grep -o 'executable file not found in $PATH'; status
section 'terminal'; at_terminal create -t --rm "$image" c1 sh -c 'tty; exit 3'; status
section 'detached'
create -d "$image" c2 sh -c 'trap "exit 5" TERM; while :; do sleep 0.1; done'; status
c task ls | awk '{print $1, $3}'
section 'exec'; c task exec --exec-id e1 c2 sh -c 'echo in; exit 4'; status
section 'exec: terminal'; at_terminal c task exec -t --exec-id e2 c2 sh -c 'test -t 0 && echo yes; sleep 1' | grep -v ERRO; status
section 'processes'; c task ps c2 | wc -l
section 'metrics'; c task metrics c2 | awk '{print $1}' | head -5
section 'pause'; c task pause c2; status; c task ls | awk '{print $1, $3}'; c task resume c2; status
section 'kill, delete'
c task kill c2; eventually 'c task ls | grep -o STOPPED'; c task rm c2 2>/dev/null; status; c c rm c2; status
section 'memory limit'; create --rm --memory-limit 104857600 "$image" c3 echo ok; status
section 'many at once'
for i in 1 2 3 4 5 6 7 8; do create --rm "$image" "m$i" echo "number $i" >"$SCRATCH/m$i" & done; wait; cat "$SCRATCH"/m[1-8]
