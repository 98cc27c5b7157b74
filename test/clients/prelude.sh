# Read before each of the scripts beside it.
set -o pipefail
section() { last=0; echo "=== $1"; }
status() { echo "status $?"; }
# A command line at a terminal of its own; what only belongs to terminals is taken out of its output.
at_terminal() {
  export -f p d c k run create 2>/dev/null
  script -qec "$(printf '%q ' "$@")" /dev/null </dev/null | tr -d '\r\000\t' | sed 's/\^@//g'
}
# Waits until a command succeeds, and shows what it printed then.
eventually() {
  for _ in $(seq 100); do
    if output=$(eval "$1" 2>/dev/null); then echo "$output"; return; fi
    sleep 0.1
  done
  echo "never: $1"
}
p() { timeout --foreground -s KILL 60 podman --root "$SCRATCH/podman/root" --runroot "$SCRATCH/podman/run" --storage-driver vfs \
  --cgroup-manager cgroupfs --events-backend file --runtime "$RUNTIME" "$@"; }
d() { timeout --foreground -s KILL 60 docker --host "unix://$SCRATCH/docker/socket" "$@"; }
# In the network namespace of containerd, where the CRI plugin serves streams.
k() { nsenter --net="$SCRATCH/network" timeout --foreground -s KILL 60 crictl --runtime-endpoint "unix://$SCRATCH/containerd/socket" \
  --image-endpoint "unix://$SCRATCH/containerd/socket" --timeout 60s "$@"; }
c() { timeout --foreground -s KILL 60 ctr --address "$SCRATCH/containerd/socket" "$@"; }
