# Pieces of work that programs do with files and sockets: sh work.sh NAME does one of them in the working directory, which
# is empty, and prints how many milliseconds the work itself took, without what it needed to get ready.

now() { date +%s%N; }
begin() { start=$(now); }
finish() { echo $((($(now) - start) / 1000000)); }
# Waits until a server answers.
ready() { for i in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.05; done; exit 1; }
files() { mkdir "$1" && (cd "$1" && seq -f 'file%05.0f' 10000 | xargs touch); }
port=$((20000 + $$ % 10000))

case $1 in
read-1M) head -c 256M /dev/zero >big; cat big >/dev/null; begin; dd if=big of=/dev/null bs=1M status=none ;;
write-1M) begin; dd if=/dev/zero of=big bs=1M count=256 status=none ;;
getdents) files many; begin; for i in 1 2 3 4 5 6 7 8 9 10; do ls -f many >/dev/null; done ;;
find) find / -xdev >/dev/null 2>&1; begin; find / -xdev >/dev/null 2>&1 ;;
tar) tar cf - /usr/share 2>/dev/null | wc -c >/dev/null; begin; tar cf - /usr/share 2>/dev/null | wc -c >/dev/null ;;
untar) files many; tar cf many.tar many; rm -r many; begin; tar xf many.tar ;;
sqlite)
  begin
  sqlite3 db 'PRAGMA synchronous=off; CREATE TABLE t(a, b);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) INSERT INTO t SELECT i, hex(i) FROM n;'
  for i in $(seq 20); do echo "INSERT INTO t VALUES ($i, 'x');"; done | sqlite3 db
  ;;
git-status)
  git init -q . && git config user.email a@b && git config user.name n
  files many; git add . && git commit -qm many; git status >/dev/null
  begin; git status >/dev/null ;;
python) begin; python3 -c 'import json, http.server, asyncio, sqlite3' ;;
redis)
  redis-server --port $port --save '' >/dev/null & server=$!
  ready redis-cli -p $port ping
  begin; redis-benchmark -p $port -q -t get -n 50000 >/dev/null
  ;;
connections)
  begin
  python3 -c '
import socket, threading
s = socket.create_server(("127.0.0.1", 0), backlog=128)
def serve():
    for _ in range(5000): s.accept()[0].close()
t = threading.Thread(target=serve); t.start()
for _ in range(5000):
    c = socket.create_connection(s.getsockname()); c.recv(1); c.close()
t.join()' ;;
iperf3)
  iperf3 -s -1 -p $port >/dev/null & server=$!
  sleep 0.5; begin; iperf3 -c 127.0.0.1 -p $port -n 2G >/dev/null ;;
*) echo "no work of this name: $1" >&2; exit 2 ;;
esac || exit 1
finish
[ -z "$server" ] || { kill $server 2>/dev/null; wait $server 2>/dev/null; }
exit 0
