# What sockets towards the outside know beyond sending and receiving: groups, devices, errors, options. Prints what it sees,
# natively in the network namespace and in a sandbox whose outside it is. Arguments as of outside.py.
import errno
import fcntl
import select
import socket
import struct
import sys
import time

own, own6, peer, peer6, tcp, udp = sys.argv[1:7]
tcp, udp = int(tcp), int(udp)
index, device = next((number, name) for number, name in socket.if_nameindex() if name != "lo")
IP, IP6, SOL = socket.IPPROTO_IP, socket.IPPROTO_IPV6, socket.SOL_SOCKET
aton = socket.inet_aton


def attempt(what, do):
    try:
        print(what, do())
    except OSError as error:
        print(what, errno.errorcode.get(error.errno, error))


def datagrams(family=socket.AF_INET, address=None):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(2)
    if address:
        s.setsockopt(SOL, socket.SO_REUSEADDR, 1)
        s.bind(address)
    return s


def heard(s):
    s.settimeout(0.3)
    try:
        return s.recv(100)
    except TimeoutError:
        return None


def groups():
    group = "239.7.7.7"
    members = [datagrams(address=("0.0.0.0", 7777)), datagrams(address=(group, 7777)), datagrams(address=("0.0.0.0", 7777))]
    members[0].setsockopt(IP, socket.IP_ADD_MEMBERSHIP, aton(group) + aton(own))
    members[1].setsockopt(IP, socket.IP_ADD_MEMBERSHIP, aton(group) + aton("0.0.0.0") + struct.pack("i", index))
    members[2].setsockopt(IP, 49, 0)
    attempt("again", lambda: members[0].setsockopt(IP, socket.IP_ADD_MEMBERSHIP, aton(group) + aton(own)))
    attempt("nowhere", lambda: members[0].setsockopt(IP, socket.IP_ADD_MEMBERSHIP, aton(group) + aton("0.0.0.0") + struct.pack("i", 99)))
    attempt("no group", lambda: members[0].setsockopt(IP, socket.IP_ADD_MEMBERSHIP, aton("10.0.0.1") + aton(own)))
    sender = datagrams()
    sender.setsockopt(IP, socket.IP_MULTICAST_IF, aton(own))
    print("interface", socket.inet_ntoa(sender.getsockopt(IP, socket.IP_MULTICAST_IF, 4)) == own)
    sender.sendto(b"to all", (group, 7777))
    print("heard", [heard(s) for s in members])
    sender.setsockopt(IP, socket.IP_MULTICAST_LOOP, 0)
    sender.sendto(b"to others", (group, 7777))
    print("not by the own machine", [heard(s) for s in members])
    sender.setsockopt(IP, socket.IP_MULTICAST_LOOP, 1)
    members[0].setsockopt(IP, socket.IP_DROP_MEMBERSHIP, aton(group) + aton(own))
    members[1].setsockopt(IP, socket.IP_DROP_MEMBERSHIP, aton(group) + aton("0.0.0.0"))
    sender.sendto(b"to none", (group, 7777))
    print("left", [heard(s) for s in members])
    attempt("not a member", lambda: members[0].setsockopt(IP, socket.IP_DROP_MEMBERSHIP, aton(group) + aton(own)))
    six = datagrams(socket.AF_INET6, ("::", 7778))
    six.setsockopt(IP6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, "ff15::7") + struct.pack("I", index))
    sender = datagrams(socket.AF_INET6)
    sender.setsockopt(IP6, socket.IPV6_MULTICAST_IF, index)
    sender.sendto(b"six", ("ff15::7", 7778))
    print("six", heard(six))
    stream = socket.socket()
    attempt("a stream's", lambda: stream.setsockopt(IP, socket.IP_ADD_MEMBERSHIP, aton(group) + aton(own)))
    attempt("left", lambda: stream.setsockopt(IP, socket.IP_DROP_MEMBERSHIP, aton(group) + aton(own)))


def devices():
    s = socket.socket()
    attempt("none", lambda: s.setsockopt(SOL, socket.SO_BINDTODEVICE, b"nothing"))
    s.setsockopt(SOL, socket.SO_BINDTODEVICE, device.encode())
    print("bound", s.getsockopt(SOL, socket.SO_BINDTODEVICE, 100) == device.encode() + b"\0", s.getsockopt(SOL, 62) == index)
    s.connect((peer, tcp))
    s.sendall(b"by device")
    print(s.recv(100))
    server = socket.socket()
    server.setsockopt(SOL, socket.SO_BINDTODEVICE, device.encode() + b"\0")
    server.bind(("0.0.0.0", 0))
    server.listen()
    for address in "127.0.0.1", own:
        attempt("by the loopback", lambda: socket.create_connection((address, server.getsockname()[1]), 2).close())
    near = socket.socket()
    near.settimeout(1)
    near.setsockopt(SOL, socket.SO_BINDTODEVICE, b"lo")
    attempt("the loopback's", lambda: near.connect(("127.0.0.1", 1)))
    d = datagrams()
    d.setsockopt(SOL, 62, index)
    d.sendto(b"datagram", (peer, udp))
    print(d.recv(100))
    unused = socket.socket()
    unused.setsockopt(SOL, 62, index)
    unused.setsockopt(SOL, 62, 0)
    print("free again", unused.getsockopt(SOL, 62), unused.getsockopt(SOL, socket.SO_BINDTODEVICE, 100))
    free = socket.socket()
    attempt("elsewhere", lambda: free.bind(("203.0.113.9", 0)))
    free.setsockopt(IP, 15, 1)
    attempt("freely", lambda: free.bind(("203.0.113.9", 0)))
    print(free.getsockname()[0])


def told(s):
    s.setblocking(True)
    select.select([], [], [s], 1)
    data, items, flags, name = s.recvmsg(100, 200, socket.MSG_ERRQUEUE)
    told = []
    for level, kind, value in items:
        number, origin, type, code, _, info, _ = struct.unpack("=IBBBBII", value[:16])
        family = struct.unpack("H", value[16:18])[0]
        where = socket.inet_ntop(family, value[20:24] if family == socket.AF_INET else value[24:40])
        told.append((level, kind, errno.errorcode[number], origin, type, code, info, where))
    return data, told, flags, name[:2]


def errors():
    for family, options, address in (
        (socket.AF_INET, (IP, 11), (peer, 9)),
        (socket.AF_INET6, (IP6, 25), (peer6, 9)),
        (socket.AF_INET, (IP, 11), ("127.0.0.1", 9)),
        (socket.AF_INET6, (IP6, 25), ("::1", 9)),
    ):
        s = datagrams(family)
        s.setsockopt(*options, 1)
        s.sendto(b"anybody?", address)
        poll = select.poll()
        poll.register(s, select.POLLIN)
        print("ready", poll.poll(1000)[0][1])
        attempt("queued", lambda: told(s))
        s.setblocking(False)
        attempt("no more", lambda: s.recvmsg(100, 100, socket.MSG_ERRQUEUE))
        attempt("pending", lambda: s.getsockopt(SOL, socket.SO_ERROR))
        s.sendto(b"anybody?", address)
        time.sleep(0.1)
        attempt("error", lambda: s.recv(100))
        attempt("still queued", lambda: told(s))
    attempt("broadcast", lambda: datagrams().sendto(b"x", ("255.255.255.255", 9)))
    attempt("broadcast", lambda: socket.socket().connect(("255.255.255.255", 9)))


def options():
    s = socket.create_connection((peer, tcp), 5)
    s.sendall(b"0123456789")
    time.sleep(0.2)
    print("waiting", struct.unpack("i", fcntl.ioctl(s, 0x541B, bytes(4)))[0], struct.unpack("i", fcntl.ioctl(s, 0x5411, bytes(4)))[0])
    print(s.recv(4, socket.MSG_PEEK), s.recv(3, socket.MSG_TRUNC), s.recv(100))
    s.setblocking(False)
    attempt("nothing", lambda: s.recv(1))
    s.setblocking(True)
    s.setsockopt(SOL, socket.SO_RCVTIMEO, struct.pack("qq", 0, 100000))
    attempt("in time", lambda: s.recv(1))
    print("congestion control", s.getsockopt(socket.IPPROTO_TCP, 13, 16))
    s.shutdown(socket.SHUT_WR)
    print("half closed", s.recv(1), s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in (4, 5, 6, 7))
    d = datagrams()
    d.connect((peer, udp))
    d.setsockopt(SOL, 29, 1)
    d.send(b"long datagram")
    data, items, flags, name = d.recvmsg(4, 100)
    print(data, [(level, kind, len(value)) for level, kind, value in items], flags)
    d.send(b"long datagram")
    print(d.recv(4, socket.MSG_TRUNC | socket.MSG_PEEK) and len(d.recv(100)))
    listeners = []
    for _ in range(2):
        one = socket.socket()
        one.setsockopt(SOL, socket.SO_REUSEPORT, 1)
        one.bind((own, listeners[0].getsockname()[1] if listeners else 0))
        one.listen()
        listeners.append(one)
    other = socket.socket()
    attempt("without SO_REUSEPORT", lambda: other.bind(listeners[0].getsockname()))
    six = socket.create_connection(("::ffff:" + peer, tcp), 5)
    six.setsockopt(IP6, 1, socket.AF_INET)
    print("now of IPv4", six.getsockopt(SOL, socket.SO_DOMAIN), len(socket.socket(fileno=six.detach()).getpeername()))


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo(kind, identifier, sequence, body=b"0123456789"):
    head = struct.pack("!BBHHH", kind, 0, 0, identifier, sequence)
    return struct.pack("!BBHHH", kind, 0, checksum(head + body), identifier, sequence) + body


def echoes():
    """Echo requests of raw and of ping sockets."""
    with open("/proc/sys/net/ipv4/ping_group_range", "w") as groups:
        groups.write("0 2147483647")
    for family, protocol, kind, address, own_address in (
        (socket.AF_INET, socket.IPPROTO_ICMP, 8, peer, own),
        (socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, peer6, own6),
    ):
        six = family == socket.AF_INET6
        for target in address, own_address, "::1" if six else "127.0.0.1":
            raw = socket.socket(family, socket.SOCK_RAW, protocol)
            raw.settimeout(2)
            raw.setsockopt(socket.IPPROTO_ICMPV6 if six else 255, 1, struct.pack("I", ~(1 << 1 if six else 1) & 0xFFFFFFFF) * (8 if six else 1) if not six else b"\xff" * 16 + b"\xfd" + b"\xff" * 15)
            for sequence in 1, 2:
                raw.sendto(echo(kind, 4711, sequence), (target, 0))
                data, sender = raw.recvfrom(200)
                body = data if six else data[20:]
                print("raw", body[0], body[4:].hex(), sender[0], six or (data[8], data[12:16] == aton(sender[0]), data[16:20] == aton(target if target[:3] == "127" else own)))
            ping = socket.socket(family, socket.SOCK_DGRAM, protocol)
            ping.settimeout(2)
            ping.setsockopt(IP6 if six else IP, 51 if six else 12, 1)
            ping.sendto(echo(kind, 0, 7), (target, 0))
            identifier = ping.getsockname()[1]
            data, items, _, sender = ping.recvmsg(200, 100)
            print("ping", data[0], identifier != 0, data[4:6] == identifier.to_bytes(2, "big"), data[6:].hex(), sender[0], items)
            ping.connect((target, 0))
            ping.send(echo(kind, 0, 8))
            print("connected", ping.recv(200)[6:8].hex())
            attempt("to", ping.getpeername)
        attempt("no request", lambda: ping.send(echo(kind + 1, 0, 9)))
        bound = socket.socket(family, socket.SOCK_DGRAM, protocol)
        bound.settimeout(2)
        bound.bind((own_address, 99))
        bound.sendto(echo(kind, 0, 10), (address, 0))
        print("bound", bound.recv(200)[4:8].hex(), bound.getsockname()[:2])
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    print("too long", end=" ")
    attempt("", lambda: raw.sendto(echo(8, 1, 1, bytes(65520)), (peer, 0)))


globals()[sys.argv[7]]()
