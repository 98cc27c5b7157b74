// Databases that are killed and come back, and what installs packages.

import { sameAsNative } from './harness.ts';

sameAsNative(
  'sqlite3: killed in the middle, with each kind of journal',
  `for m in WAL DELETE; do rm -f t.db*; sqlite3 t.db "pragma journal_mode=$m; create table t(a integer primary key, b text);"; for r in 1 2; do (i=0; while :; do i=$((i+1)); echo "begin; insert into t(b) values(hex(randomblob(2000))); insert into t(b) values('x$i'); commit;"; done) | sqlite3 t.db >/dev/null 2>&1 & p=$!; sleep 0.6; kill -9 $p 2>/dev/null; wait 2>/dev/null; sqlite3 t.db 'pragma integrity_check; select count(*)%2 from t;'; done; done`,
  { packages: ['sqlite3'], interpreter: ['bash', '-c'], ignoreErrors: true },
);

sameAsNative(
  'postgres: initdb, pgbench over a local socket, a crash and its recovery',
  `export PATH=/usr/lib/postgresql/15/bin:$PATH; umask 022; set -o pipefail; P=$(mktemp -d /tmp/pg-XXXXXX); trap 'rm -rf $P' EXIT; cd $P; chown postgres .; run() { setpriv --reuid postgres --regid postgres --clear-groups env HOME=$PWD PGHOST=$PWD PGDATABASE=postgres PATH=$PATH "$@"; }
run initdb -D data -U postgres -A trust --no-instructions >init.log 2>&1; tail -1 init.log; echo "listen_addresses=''
unix_socket_directories='$PWD'
fsync=on
wal_sync_method=fdatasync" >> data/postgresql.conf; run pg_ctl -D data -w -l log start | tail -1; run pgbench -U postgres -i -q -s 1 2>&1 | grep -c done; run pgbench -U postgres -c 4 -j 2 -T 1 -P 0 2>/dev/null | grep -E "type|clients|failed|mode"; run psql -U postgres -At -c "select count(*) from pgbench_accounts; select sum(bbalance)=(select sum(tbalance) from pgbench_tellers) from pgbench_branches; create extension if not exists pg_trgm; select similarity('word','words')" -c "vacuum full analyze" -c checkpoint; run pg_ctl -D data -m immediate stop | tail -1; run pg_ctl -D data -w -l log start | tail -1; grep -c "redo done\\|automatic recovery" log; run psql -U postgres -Atc "select sum(bbalance)=(select sum(tbalance) from pgbench_tellers) from pgbench_branches"; run pg_dump -U postgres postgres | grep -c TABLE; run pg_ctl -D data -w -m fast stop | tail -1; run pg_controldata -D data | grep state`,
  { packages: ['postgresql-15'], interpreter: ['bash', '-c'], ignoreErrors: true },
);

sameAsNative(
  'npm: pack, install, ci, run',
  `export npm_config_cache=$PWD/cache npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false HOME=$PWD
for p in a b c; do mkdir -p pk/$p/lib; echo "{\\"name\\":\\"pk-$p\\",\\"version\\":\\"1.0.0\\",\\"bin\\":{\\"pk-$p\\":\\"cli.js\\"},\\"scripts\\":{\\"install\\":\\"node -e 'require(\\\\\\"fs\\\\\\").writeFileSync(\\\\\\"built\\\\\\",\\\\\\"$p\\\\\\")'\\"}}" > pk/$p/package.json; echo '#!/usr/bin/env node
console.log("cli '$p'")' > pk/$p/cli.js; for i in $(seq 30); do echo "module.exports=$i" > pk/$p/lib/m$i.js; done; (cd pk/$p; npm pack --silent --pack-destination ../..); done
mkdir app; cd app; echo '{"name":"app","version":"1.0.0","dependencies":{"pk-a":"file:../pk-a-1.0.0.tgz","pk-b":"file:../pk-b-1.0.0.tgz","pk-c":"file:../pk-c-1.0.0.tgz"},"scripts":{"go":"pk-a && pk-b"}}' > package.json; npm install --offline --silent; npm ci --offline 2>&1 | sed 's/in [0-9a-z]*$//'; npm run --silent go; find node_modules -type f | wc -l; cat node_modules/pk-*/built; ls -l node_modules/.bin | awk '{print $1,$9,$11}'; npm ls --offline 2>/dev/null | tail -4; node -p "require('pk-b/lib/m7')"`,
  { interpreter: ['bash', '-c'], ignoreErrors: true },
);
