# Tries to get out under an egress policy. Arguments: the other end's address, its TCP port.
import socket
import struct
import sys

peer, port = sys.argv[1], int(sys.argv[2])


def attempt(what, do):
    try:
        print(what, do())
    except OSError as error:
        print(what, error.errno)


def reach(host, to=port):
    with socket.create_connection((host, to), 3) as s:
        s.sendall(b"hi")
        return s.recv(2)


def send(host, to):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        return s.sendto(b"x", (host, to))


def connected(host, to):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((host, to))
        return s.send(b"x")


def tcp_query(name):
    query = b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"".join(bytes([len(l)]) + l for l in name.split(b".")) + b"\0\0\1\0\1"
    with socket.create_connection((peer, 53), 3) as s:
        s.sendall(struct.pack(">H", len(query)) + query[:9])
        s.sendall(query[9:])
        return socket.inet_ntoa(s.recv(100)[-4:]) == peer


def many(*to):
    """sendmmsg(2) with a destination for each message: how many were sent."""
    import ctypes

    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]

    class Header(ctypes.Structure):
        _fields_ = [("name", ctypes.c_char_p), ("name_length", ctypes.c_uint), ("vector", ctypes.POINTER(Vector)), ("vectors", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t), ("flags", ctypes.c_int), ("pad", ctypes.c_int), ("length", ctypes.c_uint)]

    vector = Vector(b"x", 1)
    names = [struct.pack("=H", socket.AF_INET) + struct.pack(">H", to) + socket.inet_aton(host) + bytes(8) for host, to in to]
    headers = (Header * len(to))(*[Header(name, 16, ctypes.pointer(vector), 1) for name in names])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        libc = ctypes.CDLL(None, use_errno=True)
        sent = libc.sendmmsg(s.fileno(), headers, len(to), 0)
        return sent if sent >= 0 else -ctypes.get_errno()


def join():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.1.2.3") + bytes(4) + struct.pack("i", 2))


def reach6(host):
    with socket.socket(socket.AF_INET6) as s:
        s.settimeout(3)
        s.connect((host, port))


attempt("address before its name", lambda: reach(peer))
attempt("mapped before its name", lambda: reach6("::ffff:" + peer))
attempt("name", lambda: reach("web.good.test"))
attempt("address after its name", lambda: reach(peer))
attempt("mapped after its name", lambda: reach6("::ffff:" + peer))
attempt("by aliases", lambda: reach("chain.good.test"))
attempt("a name that leads back", lambda: reach("near.good.test"))
attempt("a name that leads to credentials", lambda: reach("metadata.good.test"))
attempt("the machine itself", lambda: reach("0.0.0.0"))
attempt("by a translator", lambda: reach6("64:ff9b::" + peer))
attempt("several", lambda: many((peer, 9), ("10.9.9.9", 9)))
attempt("a group", lambda: join())
attempt("sent to a group", lambda: send("239.1.2.3", 9))
attempt("other port", lambda: reach("web.good.test", port + 1))
attempt("other name", lambda: reach("evil.test"))
attempt("udp", lambda: send(peer, 9))
attempt("udp connected", lambda: connected(peer, 9))
attempt("udp to the port of tcp", lambda: send(peer, port))
attempt("other resolver", lambda: send(peer + "9", 53))
attempt("no query", lambda: send(peer, 53))
attempt("query by tcp", lambda: tcp_query(b"web.good.test"))
attempt("other query by tcp", lambda: tcp_query(b"evil.test"))
attempt("ping", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).sendto(b"\x08\0\xf7\xfe\0\0\0\1", (peer, 0)))
attempt("loopback", lambda: reach("127.0.0.1"))
attempt("metadata", lambda: reach("169.254.169.254", 80))
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 5000))
print("serving", flush=True)
data, sender = server.recvfrom(100)
attempt("answer", lambda: server.sendto(data * 2, sender))
attempt("another port", lambda: server.sendto(data, (sender[0], sender[1] ^ 1)))
