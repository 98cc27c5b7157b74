# Opens sockets and has ss(8) list them: what it says of those of this process, with ports by name.
import os
import re
import socket
import subprocess

names, datagrams = {}, {}
kept = []


def bound(name, family, kind, host, only=False):
    s = socket.socket(family, kind)
    if only:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((host, 0))
    (names if kind == socket.SOCK_STREAM else datagrams)[s.getsockname()[1]] = name
    if kind == socket.SOCK_STREAM:
        s.listen(7)
    kept.append(s)
    return s


four = bound("FOUR", socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1")
bound("BOTH", socket.AF_INET6, socket.SOCK_STREAM, "::")
bound("SIX", socket.AF_INET6, socket.SOCK_STREAM, "::1")
bound("ONLY", socket.AF_INET6, socket.SOCK_STREAM, "::", True)
bound("UDP", socket.AF_INET, socket.SOCK_DGRAM, "0.0.0.0")
bound("UDP6", socket.AF_INET6, socket.SOCK_DGRAM, "::1")
client = socket.create_connection(four.getsockname())
names[client.getsockname()[1]] = "CLIENT"
half, _ = four.accept()
waiting = socket.create_connection(four.getsockname())
names[waiting.getsockname()[1]] = "WAITING"
client.sendall(b"12345")
path = f"/tmp/lists-{os.getpid()}"
for name in (path, "\0" + path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(name)
    s.listen(3)
    kept.append(s)
a, b = socket.socketpair()
a.sendall(b"123")


def show(what, *lines):
    print("==", what)
    print("\n".join(sorted(re.sub(r" +", " ", line).strip() for line in lines)))


def ss(*args):
    return subprocess.run(["ss", "-Hn", *args], capture_output=True, text=True, check=True).stdout.splitlines()


def own(lines, names=names):
    """Those of known ports, by name."""
    known = lambda match: ":" + names.get(int(match[1]), match[1])
    named = [re.sub(r":(\d+)", known, line) for line in lines]
    return [line for line in named if any(":" + name in line for name in names.values())]


show("tcp that listens", *own(ss("-tl")))
show("udp", *own(ss("-ul"), datagrams))
show("connected", *[line for line in own(ss("-t", "state", "established")) if "WAITING" not in line])
show("by port", *own(ss("-tl", f"sport = :{four.getsockname()[1]}")))
show("with details", *["cubic" in line or "bbr" in line or "reno" in line for line in ss("-tli", f"sport = :{four.getsockname()[1]}") if "LISTEN" not in line] and ["details"])
show("unix that listens", *[re.sub(r" \d{2,}", " N", line).replace(path, "PATH") for line in ss("-xl") if path in line])
inode = lambda s: str(os.fstat(s.fileno()).st_ino)
pair = [line.split() for line in ss("-x") if inode(a) in line]
show("a pair", *[f"{state} {received} {own == inode(a)} {other == inode(b)}" for _, state, received, _, _, own, _, other in pair if own == inode(a)])
os.unlink(path)
