# Talks to the other end of a veth pair and to its own loopback, and prints what it sees: natively in the network
# namespace, and in a sandbox whose outside it is. Arguments: own addresses (IPv4, IPv6), the other end's, a port there
# where TCP is echoed in capitals, and one where UDP is.
import select
import socket
import struct
import sys

own, own6, peer, peer6, tcp, udp = sys.argv[1:7]
tcp, udp = int(tcp), int(udp)


def attempt(what, do):
    try:
        print(what, do())
    except OSError as error:
        print(what, error.errno if error.errno else error)


def talk(address):
    with socket.create_connection((address, tcp), 5) as s:
        names = s.getsockname()[0], s.getpeername()[0]
        s.sendall(b"hello")
        s.shutdown(socket.SHUT_WR)
        answer = b""
        while part := s.recv(100):
            answer += part
        return answer, names


def big():
    with socket.create_connection((peer, tcp), 5) as s:
        data = bytes(range(97, 113)) * 65536
        got = bytearray()
        s.setblocking(False)
        sent = 0
        while len(got) < len(data):
            r, w, _ = select.select([s], [s] if sent < len(data) else [], [], 5)
            if w:
                sent += s.send(data[sent:])
                if sent == len(data):
                    s.shutdown(socket.SHUT_WR)
            if r:
                got += s.recv(1 << 18)
        return bytes(got) == data.upper()


def datagram(family, address):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.sendto(b"hello", (address, udp))
        data, sender = s.recvfrom(100)
        s.connect((address, udp))
        s.send(b"again")
        return data, sender[0], s.recv(100), s.getsockname()[0]


def refused(address, port):
    with socket.socket() as s:
        s.setblocking(False)
        first = s.connect_ex((address, port))
        ready = select.select([], [s], [], 5)[1] == [s]
        return first, ready, s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def unreachable_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.connect((peer, 9))
        s.send(b"x")
        return s.recv(1)


def both_sides():
    with socket.socket(socket.AF_INET6) as server:
        server.bind(("::", 0))
        server.listen()
        seen = []
        for address in ("127.0.0.1", "::1", own, own6):
            with socket.create_connection((address, server.getsockname()[1]), 5) as client:
                half, sender = server.accept()
                with half:
                    seen.append((sender[0], half.getsockname()[0], client.getpeername()[0]))
        return seen


def binds(address):
    with socket.socket() as s:
        s.bind((address, 0))
        return s.getsockname()[0]


def from_loopback():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.connect((peer, tcp))


def packet_info():
    IP_PKTINFO, IP_RECVTTL = 8, 12
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        s.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        s.sendmsg([b"a", b"b"], [(socket.IPPROTO_IP, socket.IP_TTL, (9).to_bytes(4, "little"))], 0, (peer, udp))
        data, items, flags, sender = s.recvmsg(1, 200)
        return data, [(level, kind, data[4:]) for level, kind, data in items], flags, sender[0]


def options():
    with socket.create_connection((peer, tcp), 5) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77)
        info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
        return info[0], len(info), s.getsockopt(socket.IPPROTO_IP, 14)


def filtered():
    """Only datagrams that begin with a or B."""
    import ctypes
    program = [(0x30, 0, 0, 8), (0x15, 1, 0, ord("A")), (0x15, 0, 1, ord("B")), (6, 0, 0, 10), (6, 0, 0, 0)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *i) for i in program))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.connect((peer, udp))
        s.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code)))
        for one in (b"cherry", b"apple", b"cherry", b"bean", b"date"):
            s.send(one)
        return s.recv(1), s.recvmsg(100)[:3]


attempt("tcp", lambda: talk(peer))
attempt("tcp6", lambda: talk(peer6))
attempt("mapped", lambda: talk("::ffff:" + peer))
attempt("megabyte", big)
attempt("udp", lambda: datagram(socket.AF_INET, peer))
attempt("udp6", lambda: datagram(socket.AF_INET6, peer6))
attempt("refused", lambda: refused(peer, 1))
attempt("refused inside", lambda: refused("127.0.0.1", 1))
attempt("no port", unreachable_port)
attempt("both sides", both_sides)
attempt("bind own", lambda: binds(own))
attempt("bind other", lambda: binds(peer))
attempt("from loopback", from_loopback)
attempt("packet info", packet_info)
attempt("options", options)
attempt("filtered", filtered)
# And the other way: whoever listens is reached from the other end.
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("0.0.0.0", 80))
server.listen()
echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
echo.bind(("0.0.0.0", 81))
print("listening", flush=True)
half, sender = server.accept()
print("accepted", sender[0], half.recv(100))
half.sendall(b"welcome")
half.close()
data, sender = echo.recvfrom(100)
print("datagram", data, sender[0])
echo.sendto(data.upper(), sender)
