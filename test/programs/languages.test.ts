// Python, Node.js and Perl: threads, processes, event loops, databases, shared memory.

import { sameAsNative } from './harness.ts';

const PYTHON = { packages: ['python3'], interpreter: ['/usr/bin/python3', '-c'] };
const PERL = { packages: ['perl'], interpreter: ['/usr/bin/perl', '-e'] };
const NODE = { interpreter: [process.execPath, '-e'] };

sameAsNative(
  'python: threads, queues, locks, a barrier and a condition',
  `
import threading, queue, time
jobs, results = queue.Queue(), []
def work():
    while (x := jobs.get()) is not None: results.append(x * x)
threads = [threading.Thread(target=work) for _ in range(8)]
for t in threads: t.start()
for i in range(2000): jobs.put(i)
for t in threads: jobs.put(None)
for t in threads: t.join()
print(sum(results))
barrier = threading.Barrier(20)
order = []
def meet(): order.append(barrier.wait())
threads = [threading.Thread(target=meet) for _ in range(20)]
for t in threads: t.start()
for t in threads: t.join()
print(sorted(order) == list(range(20)))
event = threading.Event()
print(event.wait(0.05)); threading.Timer(0.05, event.set).start(); print(event.wait(5))
many = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(200)]
for t in many: t.start()
for t in many: t.join()
print(threading.active_count())`,
  PYTHON,
);

sameAsNative(
  'python: multiprocessing with pools, queues, shared memory and a manager',
  `
import multiprocessing as mp
from multiprocessing import shared_memory
def square(x): return x * x
def put(q): q.put('from child')
def add(n, lock):
    for _ in range(200):
        with lock: n.value += 1
if __name__ == '__main__':
    with mp.Pool(4) as pool: print(sum(pool.map(square, range(1000))))
    q = mp.Queue(); p = mp.Process(target=put, args=(q,)); p.start(); print(q.get()); p.join(); print(p.exitcode)
    n, lock = mp.Value('i', 0), mp.Lock()
    ps = [mp.Process(target=add, args=(n, lock)) for _ in range(4)]
    for p in ps: p.start()
    for p in ps: p.join()
    print(n.value)
    block = shared_memory.SharedMemory(create=True, size=5000); block.buf[:5] = b'hello'
    other = shared_memory.SharedMemory(block.name); print(bytes(other.buf[:5])); other.close(); block.close(); block.unlink()
    with mp.Manager() as m: d = m.dict(); d['a'] = 1; print(dict(d))`,
  PYTHON,
);

sameAsNative(
  'python: subprocess, signals, wait statuses',
  `
import os, signal, subprocess, sys
r = subprocess.run(['sh', '-c', 'cat; echo bad >&2; exit 3'], input=b'given', capture_output=True); print(r)
print(subprocess.check_output('seq 200000 | tail -n 1', shell=True))
try: subprocess.run(['/no/such/program'])
except FileNotFoundError as e: print(e)
try: subprocess.run(['sleep', '5'], timeout=0.2)
except subprocess.TimeoutExpired: print('timed out')
p = subprocess.Popen(['sleep', '100'], start_new_session=True); p.terminate(); print(p.wait())
seen = []
signal.signal(signal.SIGALRM, lambda n, f: seen.append(n)); signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
while len(seen) < 5: signal.pause()
signal.setitimer(signal.ITIMER_REAL, 0); print(seen[0] == signal.SIGALRM)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]); os.kill(os.getpid(), signal.SIGUSR1)
print(signal.sigpending(), signal.sigwait([signal.SIGUSR1]))
pid = os.fork()
if pid == 0: os.kill(os.getpid(), signal.SIGABRT)
print(os.WTERMSIG(os.waitpid(pid, 0)[1]))
r, w = os.pipe(); os.set_blocking(r, False)
try: os.read(r, 1)
except BlockingIOError: print('would block')
os.close(r)
try: os.write(w, b'x')
except BrokenPipeError: print('broken pipe')
print(os.posix_spawn('/bin/sh', ['sh', '-c', 'exit 5'], os.environ) > 0, os.waitstatus_to_exitcode(os.wait()[1]))`,
  PYTHON,
);

sameAsNative(
  'python: asyncio with processes, sockets, executors and signals',
  `
import asyncio, os, signal, socket
async def main():
    loop = asyncio.get_running_loop()
    p = await asyncio.create_subprocess_exec('sh', '-c', 'read x; echo got $x; exit 2', stdin=-1, stdout=-1)
    print(await p.communicate(b'line\\n'), p.returncode)
    print(await asyncio.gather(*[asyncio.sleep(0.001 * i, i) for i in range(50)]) == list(range(50)))
    print(await loop.run_in_executor(None, sum, range(1000)))
    async def echo(r, w): w.write(await r.readexactly(300000)); await w.drain(); w.close()
    server = await asyncio.start_unix_server(echo, 'socket')
    r, w = await asyncio.open_unix_connection('socket'); w.write(b'y' * 300000); print(len(await r.read())); w.close()
    server.close(); os.unlink('socket')
    got = asyncio.Event(); loop.add_signal_handler(signal.SIGUSR1, got.set); os.kill(os.getpid(), signal.SIGUSR1); await got.wait()
    try: await asyncio.wait_for(asyncio.sleep(10), 0.05)
    except asyncio.TimeoutError: print('timeout')
asyncio.run(main())`,
  PYTHON,
);

sameAsNative(
  'python: sqlite3, mmap, tempfile, file locks, big directories',
  `
import fcntl, mmap, os, shutil, sqlite3, tempfile
with tempfile.TemporaryDirectory() as d:
    c = sqlite3.connect(d + '/db'); print(c.execute('pragma journal_mode=wal').fetchone()); c.execute('create table t(a)')
    c.executemany('insert into t values(?)', [(i,) for i in range(5000)]); c.commit()
    print(sqlite3.connect(d + '/db').execute('select sum(a) from t').fetchone())
    f = open(d + '/map', 'w+b'); f.truncate(1 << 20); m = mmap.mmap(f.fileno(), 0); m[5:10] = b'hello'; m.flush(); print(os.pread(f.fileno(), 5, 5))
    os.pwrite(f.fileno(), b'J', 5); print(m[5:10]); m.resize(1 << 21); print(len(m), os.fstat(f.fileno()).st_size)
    private = mmap.mmap(f.fileno(), 4096, access=mmap.ACCESS_COPY); private[5] = 88; print(m[5:10])
    shared = mmap.mmap(-1, 4096)
    if os.fork() == 0: shared[0] = 65; os._exit(0)
    os.wait(); print(shared[0])
    fcntl.flock(f, fcntl.LOCK_EX)
    if os.fork() == 0:
        try: fcntl.flock(open(d + '/map'), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError: os._exit(9)
    print(os.waitstatus_to_exitcode(os.wait()[1]))
    for i in range(1500): open(f'{d}/f{i}', 'w').close()
    print(len(os.listdir(d)), sum(1 for e in os.scandir(d) if e.is_file())); shutil.copytree(d, d + '/../copy', dirs_exist_ok=True); shutil.rmtree(d + '/../copy')`,
  PYTHON,
);

sameAsNative(
  'node: promises of fs, watch of many files, streams',
  `
const fs = require('fs'), { pipeline } = require('stream/promises'), zlib = require('zlib'), crypto = require('crypto');
(async () => {
  await fs.promises.writeFile('a', 'x'.repeat(1e6)); console.log((await fs.promises.readFile('a')).length);
  await Promise.all(Array.from({ length: 200 }, (_, i) => fs.promises.writeFile('f' + i, String(i)))); console.log((await fs.promises.readdir('.')).length);
  console.log(await Promise.all(Array.from({ length: 5 }, async (_, i) => Number(await fs.promises.readFile('f' + i, 'utf8')))));
  await pipeline(fs.createReadStream('a'), zlib.createGzip(), fs.createWriteStream('a.gz')); console.log(fs.statSync('a.gz').size < 5000);
  const hash = crypto.createHash('sha256'); await pipeline(fs.createReadStream('a.gz'), zlib.createGunzip(), hash); console.log(hash.digest('hex'));
  await fs.promises.rename('a', 'b'); await fs.promises.symlink('b', 'l'); console.log(await fs.promises.readlink('l'), (await fs.promises.lstat('l')).isSymbolicLink());
  await fs.promises.mkdir('d/e/f', { recursive: true }); await fs.promises.rm('d', { recursive: true }); console.log(await fs.promises.access('d').catch((e) => e.code));
})();`,
  NODE,
);

sameAsNative(
  'node: worker threads, child processes, local sockets, timers',
  `
const { Worker } = require('worker_threads'), cp = require('child_process'), net = require('net'), { once } = require('events');
(async () => {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const workers = [1, 2, 3].map((n) => new Worker(\`const { workerData: s, parentPort } = require('worker_threads'); for (let i = 0; i < 1000; i++) Atomics.add(s, 0, 1); Atomics.wait(s, 1, 0, 20); parentPort.postMessage(s[0] > 0)\`, { eval: true, workerData: shared }));
  console.log(await Promise.all(workers.map((w) => Promise.all([once(w, 'message'), once(w, 'exit')]))), shared[0]);
  console.log(cp.execSync('echo out; seq 3').toString(), cp.spawnSync('sh', ['-c', 'exit 4']).status, cp.spawnSync('/no/such').error.code);
  const child = cp.spawn('cat'); child.stdin.end('z'.repeat(500000)); let n = 0; child.stdout.on('data', (d) => (n += d.length)); console.log(await once(child, 'close'), n);
  const killed = cp.spawn('sleep', ['100']); killed.kill(); console.log(await once(killed, 'exit'));
  const forked = cp.fork('-e', { execPath: process.execPath, execArgv: ['-e', 'process.on("message", (m) => { process.send(m * 2); process.disconnect() })'] }); forked.send(21); console.log(await once(forked, 'message').then((m) => m[0]));
  const server = net.createServer((s) => s.pipe(s)).listen('sock'); await once(server, 'listening');
  const client = net.connect('sock'); client.end('q'.repeat(200000)); let back = 0; client.on('data', (d) => (back += d.length)); await once(client, 'close'); console.log(back); server.close();
  process.on('SIGUSR2', () => console.log('signal')); process.kill(process.pid, 'SIGUSR2'); await new Promise((r) => setTimeout(r, 50));
})();`,
  NODE,
);

sameAsNative(
  'perl: fork, pipes, alarms, sockets, directories',
  String.raw`
use strict; use warnings; use Socket; use POSIX ':sys_wait_h'; $| = 1;
my $pid = fork // die; exit 3 unless $pid; waitpid $pid, 0; print $? >> 8, "\n";
open my $ls, '-|', 'ls /etc/apt' or die; print sort <$ls>; close $ls;
open my $wc, '|-', 'wc -c' or die; print $wc 'x' x 100000; close $wc;
local $SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 1; select undef, undef, undef, 5 }; print $@;
socketpair my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die; syswrite $a, 'ping'; sysread $b, my $got, 10; print "$got\n";
my $count = 0; local $SIG{CHLD} = sub { $count++ while waitpid(-1, WNOHANG) > 0 };
for (1 .. 10) { fork or do { select undef, undef, undef, 0.01; exit 0 } } select undef, undef, undef, 0.05 while $count < 10; print "$count\n";
pipe my $r, my $w; close $r; { local $SIG{PIPE} = sub { print "SIGPIPE\n" }; syswrite $w, 'x' or print $!, "\n"; }
mkdir "d$_" for 1 .. 5; opendir my $d, '.'; print join(',', sort grep /^d/, readdir $d), "\n"; my %words; open my $f, '<', '/etc/services'; /^(\w+)/ && $words{$1}++ while <$f>; print scalar keys %words, "\n";
print join(',', (stat '/etc/passwd')[2, 3, 4, 5, 7]), "\n"; printf "%s\n", sprintf('%vd', 'v5.10'); exec 'echo', 'replaced';`,
  PERL,
);

// Profilers and debuggers find the program by its mappings: text that has been patched is one mapping all the same.
sameAsNative(
  'python: mappings of libraries and programs after many calls, here and in a child',
  `
import os, re
def busy():
    for _ in range(200):
        os.stat('/etc/passwd'); os.getcwd(); d = os.open('/', os.O_RDONLY); os.fstat(d); os.lseek(d, 0, 0); os.close(d)
        r, w = os.pipe(); os.write(w, b'x'); os.read(r, 1); os.close(r); os.close(w)
def mappings(name):
    text = open('/proc/self/' + name).read()
    return re.findall(r'^[0-9a-f]+-[0-9a-f]+ (r-xp [0-9a-f]+) \\S+ \\d+ +(/\\S+)$', text, re.M), text
def show():
    busy()
    maps, _ = mappings('maps'); smaps, text = mappings('smaps')
    print(len(maps) == len(set(name for _, name in maps)), maps == smaps, sorted(maps))
    first = re.search(r'^([0-9a-f]+)-([0-9a-f]+) r-xp .*\\nSize: +(\\d+) kB\\nKernelPageSize: +(\\d+) kB\\n', text, re.M)
    start, end, size, page = first.groups()
    print((int(end, 16) - int(start, 16)) // 1024 == int(size), page, text.count('VmFlags:') == len(re.findall('^[0-9a-f]+-', text, re.M)))
show()
import sys; sys.stdout.flush()
if os.fork() == 0: show(); sys.stdout.flush(); os._exit(0)
os.wait()`,
  PYTHON,
);

sameAsNative(
  'python: multicast groups of the loopback as /proc/net tells of them',
  `
import socket
def rows():
    mine, on = [], False
    for line in open('/proc/net/igmp'):
        if line[0] != '\\t': on = line.split()[1].startswith('lo')
        if on and line[0] == '\\t': mine.append(line)
    return mine + [line for line in open('/proc/net/igmp6') if line.split()[1] == 'lo']
sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
for s in sockets: s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('239.7.7.201') + socket.inet_aton('127.0.0.1'))
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, 'ff15::7:201') + (1).to_bytes(4, 'little'))
mine = lambda: [line for line in rows() if 'C90707EF' in line or '00070201' in line or '010000E0' in line or line.split()[2].endswith('00000001')]
print(open('/proc/net/igmp').readline(), *mine())
sockets[0].close(); six.close(); print(*mine())
sockets[1].close(); print(*mine())`,
  PYTHON,
);
