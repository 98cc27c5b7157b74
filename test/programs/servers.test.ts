// Servers and their clients over the loopback: what is served inside a sandbox is what is served on the host. Each
// script ends the servers that it started, by their ids.

import { sameAsNative } from './harness.ts';

/** A port of its own for each run, so that two runs on one host do not meet; no script prints it. */
const PORT = 'PORT=$((20000 + $$ % 10000))\n';
/** Waits until `$1` succeeds, for ten seconds at most. */
const AWAIT =
  'await() { for i in $(seq 100); do eval "$1" >/dev/null 2>&1 && return; sleep 0.1; done; echo "no answer"; }\n';

sameAsNative(
  'redis: commands, expiry, pipelines, persistence over a restart',
  `${PORT}${AWAIT}
   start() { redis-server --port $PORT --dir $PWD --save "" --appendonly yes --daemonize no >/dev/null & SERVER=$!; await "redis-cli -p $PORT ping | grep PONG"; }
   cli() { redis-cli -p $PORT "$@"; }
   start; cli set a 1; cli incr a; cli rpush l x y z; cli lrange l 0 -1; cli set gone soon px 50; sleep 0.2; cli exists gone
   for i in $(seq 500); do echo "SET key$i value$i"; done | cli --pipe | tail -n 1; cli dbsize; cli eval 'return redis.call("get", KEYS[1])' 1 key77
   redis-benchmark -p $PORT -q -n 2000 -c 20 -t get,set >/dev/null; echo "benchmark $?"
   cli save; kill $SERVER; wait $SERVER; echo "ended $?"; start; cli get a; cli llen l; kill $SERVER; wait $SERVER; ls -1`,
  { packages: ['redis-server', 'redis-tools'] },
);

sameAsNative(
  'nginx and curl: small and large files, ranges, many connections, reload',
  `${PORT}${AWAIT}
   mkdir html logs; seq 200000 >html/large; echo small >html/small
   cat >conf <<END
   user root; daemon off; pid $PWD/pid; error_log $PWD/logs/error; worker_processes 2;
   events { worker_connections 256; }
   http { access_log off; client_body_temp_path $PWD/logs/b; proxy_temp_path $PWD/logs/p; fastcgi_temp_path $PWD/logs/f; uwsgi_temp_path $PWD/logs/u; scgi_temp_path $PWD/logs/s;
     sendfile on; server { listen 127.0.0.1:$PORT; root $PWD/html; location /proxied/ { proxy_pass http://127.0.0.1:$PORT/; } } }
END
   nginx -p $PWD -c $PWD/conf 2>/dev/null & SERVER=$!
   URL=http://127.0.0.1:$PORT; await "curl -sf $URL/small"
   curl -s $URL/small; curl -s $URL/large | sha256sum; curl -s -r 1000-1999 $URL/large | sha256sum; curl -s $URL/proxied/large | sha256sum
   curl -s -o /dev/null -w '%{http_code}\\n' $URL/none; for i in $(seq 40); do curl -s $URL/large -o out$i & P="$P $!"; done; wait $P; cat out* | sha256sum
   kill -HUP $SERVER; sleep 0.5; curl -s $URL/small; kill -QUIT $SERVER; wait $SERVER; echo $?`,
  { packages: ['nginx-light', 'curl'] },
);

sameAsNative(
  'memcached: text protocol over TCP and a unix socket',
  `${PORT}${AWAIT}
   memcached -u nobody -p $PORT -l 127.0.0.1 & ONE=$!; memcached -u root -s $PWD/socket & TWO=$!
   cat >client.py <<'END'
import socket, sys
s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))) if sys.argv[1].isdigit() else socket.socket(socket.AF_UNIX)
if not sys.argv[1].isdigit(): s.connect(sys.argv[1])
f = s.makefile('rwb')
for i in range(300): f.write(b'set k%d 0 0 1000\\r\\n' % i + b'x' * 1000 + b'\\r\\n')
f.write(b'incr none 1\\r\\nget k299\\r\\nquit\\r\\n'); f.flush()
print(len(f.read()))
END
   await "python3 client.py $PORT"; await "python3 client.py $PWD/socket"; python3 client.py $PORT; python3 client.py $PWD/socket
   kill $ONE $TWO; wait $ONE; echo $?; wait $TWO; echo $?`,
  { packages: ['memcached', 'python3'] },
);

sameAsNative(
  'sshd and ssh: keys, a command, a terminal, sftp, a forwarded port',
  `${PORT}${AWAIT}
   umask 077; ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t ed25519 -N '' -f key; mkdir /run/sshd 2>/dev/null && trap 'rmdir /run/sshd' EXIT
   /usr/sbin/sshd -D -e -f /dev/null -p $PORT -h $PWD/host -o ListenAddress=127.0.0.1 -o AuthorizedKeysFile=$PWD/key.pub -o StrictModes=no -o UsePAM=yes -o Subsystem='sftp internal-sftp' 2>/dev/null & SERVER=$!
   on() { ssh -F none -q -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -i key -p $PORT "$@"; }
   await 'on root@127.0.0.1 true'
   on root@127.0.0.1 'id -un; echo $((6 * 7)); exit 3'; echo $?; seq 100000 | on root@127.0.0.1 sha256sum; on -tt root@127.0.0.1 'tty | tr -d 0-9; stty -a | grep -c isig' </dev/null
   echo payload >file; printf 'put file copy\\nls -1 copy\\n' | sftp -q -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -i key -P $PORT -b - root@127.0.0.1:$PWD | tail -n 1; cat copy
   kill $SERVER; wait $SERVER; echo $?`,
  { packages: ['openssh-server', 'openssh-client'] },
);
