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


attempt("address before its name", lambda: reach(peer))
attempt("name", lambda: reach("web.good.test"))
attempt("address after its name", lambda: reach(peer))
attempt("other port", lambda: reach("web.good.test", port + 1))
attempt("other name", lambda: reach("evil.test"))
attempt("udp", lambda: send(peer, 9))
attempt("udp connected", lambda: connected(peer, 9))
attempt("udp to the port of tcp", lambda: send(peer, port))
attempt("other resolver", lambda: send(peer + "9", 53))
attempt("no query", lambda: send(peer, 53))
attempt("query by tcp", lambda: tcp_query(b"web.good.test"))
attempt("other query by tcp", lambda: tcp_query(b"evil.test"))
attempt("loopback", lambda: reach("127.0.0.1"))
attempt("metadata", lambda: reach("169.254.169.254", 80))
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 5000))
print("serving", flush=True)
data, sender = server.recvfrom(100)
attempt("answer", lambda: server.sendto(data * 2, sender))
attempt("another port", lambda: server.sendto(data, (sender[0], sender[1] ^ 1)))
