// Programs of the network over the loopback: proxies and HTTP/2, name servers, measurements, and the
// tools that make sockets of every kind. Each script ends the servers that it started, by their ids.

import { sameAsNative } from './harness.ts';

/** Ports of its own for each run, so that two runs on one host do not meet; no script prints them. */
const PORT = 'PORT=$((30000 + $$ % 2000)); NEXT=$((PORT + 1))\n';
/** Waits until `$1` succeeds, for ten seconds at most. */
const AWAIT =
  'await() { for i in $(seq 100); do eval "$1" >/dev/null 2>&1 && return; sleep 0.1; done; echo "no answer"; }\n';

sameAsNative(
  'nghttpd, haproxy and curl: HTTP/2, TLS, unix and abstract sockets, a deferring listener',
  `${PORT}${AWAIT}
   openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 1 -subj /CN=localhost 2>/dev/null; cat key cert >both
   mkdir html; seq 200000 >html/large; echo small >html/small
   cat >conf <<END
   defaults
     mode http
     timeout client 10s
     timeout server 10s
     timeout connect 5s
   frontend front
     bind 127.0.0.1:$NEXT ssl crt $PWD/both alpn h2,http/1.1
     bind abns@test-$PORT
     bind unix@$PWD/socket
     bind 127.0.0.1:$((PORT + 2)) defer-accept tfo
     default_backend back
   backend back
     server one 127.0.0.1:$PORT ssl verify none alpn h2
END
   nghttpd -d html $PORT key cert & ONE=$!; haproxy -f conf -db -q 2>/dev/null & TWO=$!
   URL=https://127.0.0.1:$PORT; PROXY=https://127.0.0.1:$NEXT; await "curl -skf $PROXY/small"
   curl -sk --http2 -w '%{http_version} %{http_code}\\n' $URL/small; curl -sk --http2 $URL/large | sha256sum
   curl -sk --http2 -w '%{http_version} %{http_code}\\n' $PROXY/small; curl -sk --http1.1 $PROXY/large | sha256sum
   curl -s --unix-socket socket http://x/small; curl -s --abstract-unix-socket test-$PORT http://x/small; curl -s http://127.0.0.1:$((PORT + 2))/small
   for i in $(seq 10); do curl -sk --http2 $PROXY/large | sha256sum & P="$P $!"; done; wait $P
   kill $TWO; wait $TWO; echo $?; kill -9 $ONE`,
  { packages: ['haproxy', 'nghttp2-server', 'curl', 'openssl'], ignoreErrors: true },
);

sameAsNative(
  'dnsmasq and dig: over UDP and TCP, IPv4 and IPv6, names that there are none of',
  `${PORT}${AWAIT}
   TXT=$(printf 'x%.0s' $(seq 200)); PATH=$PATH:/usr/sbin
   dnsmasq -k -p $PORT -u root --listen-address=127.0.0.1,::1 --bind-interfaces --no-resolv --no-hosts --local=/test/ --pid-file= --conf-file=/dev/null \\
     --address=/a.test/10.1.2.3 --address=/a.test/fd00::1 --cname=c.test,a.test --txt-record=big.test,$TXT,$TXT,$TXT,$TXT,$TXT,$TXT,$TXT & SERVER=$!
   ask() { dig +short -p $PORT "$@"; }
   await 'ask @127.0.0.1 a.test | grep 10'
   ask @127.0.0.1 a.test A a.test AAAA; ask @::1 a.test; ask +tcp @127.0.0.1 a.test; ask @127.0.0.1 big.test TXT | wc -c; ask +ignore +bufsize=512 @127.0.0.1 big.test TXT | wc -c
   ask @127.0.0.1 none.test; dig -p $PORT @127.0.0.1 none.test | grep -o 'status: [A-Z]*'; dig +time=1 +tries=1 -p $NEXT @127.0.0.1 a.test | grep -o 'connection refused' | uniq
   kill $SERVER; wait $SERVER; echo $?`,
  { packages: ['dnsmasq-base', 'bind9-dnsutils'] },
);

sameAsNative(
  'iperf3: streams both ways and datagrams',
  `${PORT}
   iperf3 -s -p $PORT >/dev/null & SERVER=$!; sleep 0.5
   run() { iperf3 -p $PORT -J "$@" | python3 -c 'import json, sys; end = json.load(sys.stdin)["end"]; print({kind: end[kind]["bytes"] > 1e5 for kind in ("sum", "sum_sent", "sum_received") if kind in end})'; }
   run -c 127.0.0.1 -n 50M; run -c ::1 -R -P 2 -n 50M; run -c 127.0.0.1 -u -b 10M -n 500K
   kill $SERVER; wait $SERVER; echo $?`,
  { packages: ['iperf3', 'python3'] },
);

sameAsNative(
  'socat and nc: every kind of address',
  `${PORT}
   try() { echo "$1"; socat -T3 "$2" "$3" & SERVER=$!; sleep 0.3; echo hello | socat -t0.3 -T1 - "$4"; kill $SERVER 2>/dev/null; wait $SERVER 2>/dev/null; }
   try tcp TCP4-LISTEN:$PORT,reuseaddr EXEC:cat TCP4:127.0.0.1:$PORT
   try tcp6 TCP6-LISTEN:$PORT,reuseaddr EXEC:cat "TCP6:[::1]:$PORT"
   try udp UDP4-RECVFROM:$PORT EXEC:cat UDP4-SENDTO:127.0.0.1:$PORT
   try unix UNIX-LISTEN:one EXEC:cat UNIX-CONNECT:one
   try abstract ABSTRACT-LISTEN:abstract-$PORT EXEC:cat ABSTRACT-CONNECT:abstract-$PORT
   try datagrams UNIX-RECVFROM:two EXEC:cat UNIX-SENDTO:two,bind=back
   try packets UNIX-LISTEN:three,type=5 EXEC:cat UNIX-CONNECT:three,type=5
   try terminal TCP4-LISTEN:$PORT,reuseaddr EXEC:cat,pty,raw,echo=0 TCP4:127.0.0.1:$PORT,keepalive,nodelay,so-timestamp,rcvbuf=5000,tos=8
   echo group; socat -T2 -u UDP4-RECVFROM:$PORT,ip-add-membership=239.1.1.1:127.0.0.1 - & SERVER=$!; sleep 0.3; echo all | socat -u - UDP4-DATAGRAM:239.1.1.1:$PORT,ip-multicast-if=127.0.0.1; wait $SERVER
   nc -lk 127.0.0.1 $PORT >out & SERVER=$!; sleep 0.3; for i in 1 2 3; do echo $i | nc -N 127.0.0.1 $PORT; done; sleep 0.2; kill $SERVER; cat out
   nc -lU four >out & SERVER=$!; sleep 0.3; echo unix | nc -NU four; wait $SERVER; cat out; nc -z 127.0.0.1 $PORT; echo $?`,
  { packages: ['socat', 'netcat-openbsd'], ignoreErrors: true },
);
