# What Kubernetes does, by crictl and containerd's CRI plugin, section by section; clients.ts runs it with runc and with
# cloister and compares. k: crictl. RUNTIME: name of the runtime's handler. Images: box. SCRATCH: a directory of our own.
logs=$SCRATCH/logs-$RUNTIME
# pod NAME [LINUX [HOST]]: makes a pod, and sets $pod. Its cgroups are below /cloister-cri-RUNTIME.
pod() {
  echo "{\"metadata\":{\"name\":\"$1\",\"namespace\":\"n\",\"uid\":\"$1\",\"attempt\":1},\"hostname\":\"${3-host-$1}\",\"log_directory\":\"$logs\",
    \"linux\":{\"cgroup_parent\":\"/cloister-cri-$$\"${2:+,$2}}}" >"$SCRATCH/pod.json"
  pod=$(k runp --runtime "$RUNTIME" "$SCRATCH/pod.json")
}
# container NAME SCRIPT [FIELDS]: makes a container in $pod, and sets $c.
container() {
  echo "{\"metadata\":{\"name\":\"$1\"},\"image\":{\"image\":\"docker.io/library/box:latest\"},\"command\":[\"sh\",\"-c\",\"$2\"],
    \"log_path\":\"$1.log\"${3:+,$3}}" >"$SCRATCH/container.json"
  c=$(k create "$pod" "$SCRATCH/container.json" "$SCRATCH/pod.json") && k start "$c" >/dev/null
}
inside() { k exec -s "$c" sh -c "$1; true" 2>&1 | grep -v '^$'; }
state() { k inspect "$1" | grep -E '"(state|exitCode|reason)"' | tr -d ' ,'; }
ended() { eventually "k inspect $1 | grep -o CONTAINER_EXITED"; state "$1"; }
gone() { k stopp "$pod" >/dev/null; k rmp "$pod" >/dev/null; status; }
security() { echo "\"linux\":{\"security_context\":{$1}}"; }

section 'pod'; pod a; k pods -o json | grep -o SANDBOX_READY
section 'container'; container c1 'echo out; echo err >&2; sleep 1000'; state "$c"; eventually "k logs $c 2>&1 | sort | tail -2 | grep out && k logs $c 2>&1 | grep err"
section 'exec'; inside 'hostname; id; echo $0'; k exec -s "$c" sh -c 'exit 3' 2>&1 | grep -o 'exited with 3'
section 'exec: stream'; k exec "$c" echo streamed; echo input | k exec -i "$c" cat
section 'exec: terminal'; at_terminal k exec -it "$c" tty
section 'pids of the pod'; inside 'ps | grep -c "sleep 100[0]"; readlink /proc/1/exe | grep -o busybox'
section 'statistics'; k stats -o json "$c" | grep -c workingSetBytes; k statsp -o json --id "$pod" | grep -c '"memory"'
section 'two containers share the network'
container c2 'while :; do echo pong | nc -l -p 7000; done'; container c3 'sleep 1000'
eventually "k exec -s $c sh -c 'nc 127.0.0.1 7000 </dev/null' | grep pong"
section 'attach'; container c4 'read line; echo got $line; sleep 1000' '"stdin":true,"stdin_once":true'
(echo typed; sleep 1) | k attach -i "$c" 2>/dev/null; eventually "k logs $c | grep typed"
section 'stop'; container c5 'trap \"exit 5\" TERM; while :; do sleep 0.1; done'; k stop -t 10 "$c" >/dev/null; state "$c"
section 'exit status'; container c6 'exit 7'; ended "$c"
section 'missing program'
echo '{"metadata":{"name":"c7"},"image":{"image":"docker.io/library/box:latest"},"command":["nonesuch"],"log_path":"c7.log"}' >"$SCRATCH/container.json"
c=$(k create "$pod" "$SCRATCH/container.json" "$SCRATCH/pod.json"); k start "$c" 2>&1 | grep -o 'executable file not found in $PATH'
section 'the end of a pod'; gone

section 'limits'; pod b
container l1 'while :; do sleep 0.1; done' '"linux":{"resources":{"memory_limit_in_bytes":67108864,"cpu_quota":50000,"cpu_period":100000,"cpu_shares":512,"oom_score_adj":900}}'
group() { sed -n "s/^[0-9]*:$1://p" "/proc/$(k inspect "$c" | sed -n 's/^ *"pid": \([0-9]*\),/\1/p' | head -1)/cgroup"; }
memory=/sys/fs/cgroup/memory$(group memory)
cat "$memory/memory.limit_in_bytes" "/sys/fs/cgroup/cpu$(group cpu)/cpu.cfs_quota_us" "/sys/fs/cgroup/cpu$(group cpu)/cpu.shares"
inside 'cat /proc/self/oom_score_adj'
section 'update'; k update --memory 134217728 "$c" >/dev/null; status; cat "$memory/memory.limit_in_bytes"
section 'out of memory'; container l2 'exec tail </dev/zero' '"linux":{"resources":{"memory_limit_in_bytes":67108864}}'; ended "$c"
container l3 'echo still here'; ended "$c"
gone

section 'pids of its own, and of another container'; pod d "$(security '"namespace_options":{"pid":1}' | sed 's/^"linux":{//; s/}$//')"
container p1 'sleep 1001' "$(security '"namespace_options":{"pid":1}')"; inside 'head -c 5 /proc/1/cmdline; echo; ps | grep -c "sleep 100[1]"'
target=$c; container p2 'sleep 1002' "$(security "\"namespace_options\":{\"pid\":3,\"target_id\":\"$target\"}")"; inside 'ps | grep -c "sleep 100[12]"'
section 'user, groups'; container u1 'sleep 1000' "$(security '"run_as_user":{"value":1000},"run_as_group":{"value":2000},"supplemental_groups":[3000,4000]')"; inside 'id -u; id -g; id -G'
section 'read-only root'; container u2 'sleep 1000' "$(security '"readonly_rootfs":true')"; inside 'touch /x'
section 'capabilities'; container u3 'sleep 1000' "$(security '"capabilities":{"add_capabilities":["SYS_ADMIN"],"drop_capabilities":["CHOWN"]}')"
inside 'grep CapEff /proc/self/status; chown 1 /etc; hostname new; hostname'
section 'seccomp, no new privileges'; container u4 'sleep 1000' "$(security '"no_new_privs":true,"seccomp":{"profile_type":0}')"; inside 'grep -E "^(Seccomp|NoNewPrivs):" /proc/self/status'
section 'masked and read-only paths'; container u5 'sleep 1000' "$(security '"masked_paths":["/etc"],"readonly_paths":["/tmp"]')"; inside 'ls /etc; touch /tmp/x'
section 'volumes'; mkdir -p "$SCRATCH/volume"; echo inside >"$SCRATCH/volume/file"
container v1 'sleep 1000' "\"mounts\":[{\"container_path\":\"/ro\",\"host_path\":\"$SCRATCH/volume\",\"readonly\":true},{\"container_path\":\"/rw\",\"host_path\":\"$SCRATCH/volume\"}]"
inside 'cat /ro/file; touch /ro/x; touch /rw/y && ls /ro'
section 'devices'; container v2 'sleep 1000' '"devices":[{"container_path":"/dev/zeros","host_path":"/dev/zero","permissions":"rwm"}]'; inside 'head -c 3 /dev/zeros | wc -c; ls -l /dev/zeros | cut -c1'
gone

section 'sysctls'; pod e '"sysctls":{"kernel.shm_rmid_forced":"1","net.ipv4.ip_local_port_range":"2000 3000"}'
container s1 'sleep 1000'; inside 'cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_local_port_range'; gone
section 'privileged pod'; pod f "$(security '"privileged":true' | sed 's/^"linux":{//; s/}$//')"
container f1 'sleep 1000' "$(security '"privileged":true')"; inside 'mkdir -p /m && mount -t tmpfs none /m && grep -c " /m " /proc/mounts; grep Seccomp: /proc/self/status'; gone
section 'host network'; pod h "$(security '"namespace_options":{"network":2}' | sed 's/^"linux":{//; s/}$//')" ''
container h1 'sleep 1000' "$(security '"namespace_options":{"network":2}')"; inside 'ip -o link | cut -d: -f2'; gone
# The pods' parents are Kubernetes' to remove.
for parent in /sys/fs/cgroup/*/"cloister-cri-$$" /sys/fs/cgroup/"cloister-cri-$$"; do
  if [ -d "$parent" ]; then find "$parent" -depth -type d -exec rmdir {} +; fi
done
