# Raw and ping sockets, multicast groups and times of arrival over the loopback: prints what a program can see of them.
import errno, os, socket, struct, sys, time


def attempt(what, call):
    try:
        print(what, call())
    except OSError as error:
        print(what, errno.errorcode[error.errno])


def checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def echo(kind, identifier, sequence, body=b'0123456789abcdef'):
    head = struct.pack('!BBHHH', kind, 0, 0, identifier, sequence)
    return struct.pack('!BBHHH', kind, 0, checksum(head + body), identifier, sequence) + body


def raw():
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    s.settimeout(2)
    print('name', s.getsockname())
    s.sendto(echo(8, 77, 1), ('127.0.0.5', 0))
    for _ in range(2):
        data, address = s.recvfrom(2048)
        print('heard', data[0], len(data), struct.unpack('!H', data[2:4])[0], data[8:10].hex(), data[12:20].hex(), data[20:22].hex(), data[24:].hex(), checksum(data[:20]), address)
    # SOL_RAW, ICMP_FILTER: only replies
    s.setsockopt(255, 1, struct.pack('I', ~1 & 0xffffffff))
    print('filter', s.getsockopt(255, 1, 4).hex())
    s.sendto(echo(8, 77, 2), ('127.0.0.1', 0))
    print('filtered', s.recv(2048)[20])
    s.setblocking(False)
    attempt('nothing', lambda: s.recv(100))
    attempt('bad sum', lambda: s.sendto(b'\x08\x00\x12\x34' + bytes(12), ('127.0.0.1', 0)))
    attempt('no answer', lambda: s.recv(100))
    attempt('port 0', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 0))
    attempt('protocol', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 300))
    attempt('no destination', lambda: s.send(b'x'))
    attempt('elsewhere', lambda: s.bind(('192.0.2.7', 0)))
    attempt('peer', lambda: s.getpeername())
    s.connect(('127.0.0.1', 0))
    attempt('connected', lambda: s.getsockname())


def own_protocol():
    a = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)
    b = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)
    b.bind(('127.0.0.2', 0))
    a.settimeout(2)
    b.settimeout(2)
    a.sendto(b'hello', ('127.0.0.2', 0))
    print('bound', b.recv(100)[20:], 'wildcard', a.recv(100)[20:])
    a.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
    header = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 0, 1, 0, 9, 253, 0, bytes(4), socket.inet_aton('127.0.0.2'))
    print('own header', a.sendto(header + b'data', ('127.0.0.2', 0)))
    got = b.recv(100)
    print('with', got[8], got[2:4].hex(), got[12:16].hex(), checksum(got[:20]), got[20:])
    attempt('short header', lambda: a.sendto(b'E' * 10, ('127.0.0.2', 0)))
    attempt('long header', lambda: a.sendto(b'\x4f' + bytes(20), ('127.0.0.2', 0)))


def raw6():
    s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    s.settimeout(2)
    attempt('checksum', lambda: s.getsockopt(255, 7))
    attempt('not by this level', lambda: s.setsockopt(socket.IPPROTO_IPV6, 7, 2))
    attempt('odd', lambda: s.setsockopt(255, 7, 3))
    attempt('even', lambda: s.setsockopt(255, 7, 2))
    s.sendto(struct.pack('!BBHHH', 128, 0, 0, 5, 6) + b'six', ('::1', 0))
    for _ in range(2):
        data, address = s.recvfrom(100)
        print('heard', data.hex(), address)


def ping():
    with open('/proc/sys/net/ipv4/ping_group_range') as f:
        before = f.read()
    try:
        with open('/proc/sys/net/ipv4/ping_group_range', 'w') as f:
            f.write('1 0')
        attempt('nobody', lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP))
        with open('/proc/sys/net/ipv4/ping_group_range', 'w') as f:
            f.write('0 0')
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    finally:
        with open('/proc/sys/net/ipv4/ping_group_range', 'w') as f:
            f.write(before)
    s.settimeout(2)
    s.bind(('127.0.0.1', 4242))
    print('name', s.getsockname())
    s.sendto(echo(8, 1, 9), ('127.0.0.1', 0))
    data, address = s.recvfrom(100)
    print('reply', data.hex(), address)
    attempt('short', lambda: s.sendto(b'abc', ('127.0.0.1', 0)))
    attempt('not an echo', lambda: s.sendto(echo(13, 1, 9), ('127.0.0.1', 0)))
    attempt('for version 6', lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6))


def groups():
    lo = socket.inet_aton('127.0.0.1')
    group = socket.inet_aton('239.1.2.3')
    members = []
    for _ in range(2):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(('', 35353))
        s.settimeout(1)
        members.append(s)
    members[0].setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + lo)
    attempt('twice', lambda: members[0].setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + lo))
    attempt('no group', lambda: members[0].setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, lo + lo))
    attempt('short', lambda: members[0].setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, b'abcd'))
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, lo)
    attempt('no interface', lambda: sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('192.0.2.9')))
    print('interface', sender.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, 4).hex())
    members[0].setsockopt(socket.IPPROTO_IP, 12, 1)
    sender.sendto(b'to all', ('239.1.2.3', 35353))
    data, items, _, address = members[0].recvmsg(100, 100)
    print('member', data, [(level, kind, value.hex()) for level, kind, value in items], address[0])
    print('other', members[1].recv(100))
    members[0].setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, group + lo)
    attempt('left', lambda: members[0].setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, group + lo))
    sender.sendto(b'to none', ('239.1.2.3', 35353))
    members[1].setblocking(False)
    attempt('nobody', lambda: members[1].recv(100))
    six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    six.bind(('::', 35354))
    six.settimeout(1)
    six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, 'ff15::7') + struct.pack('I', 1))
    sender6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sender6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, 1)
    attempt('no way to groups of IPv6', lambda: sender6.sendto(b'six', ('ff15::7', 35354)))


def stamps():
    a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    a.bind(('127.0.0.1', 0))
    b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (29, 35):
        a.setsockopt(socket.SOL_SOCKET, option, 1)
        print('options', a.getsockopt(socket.SOL_SOCKET, 29), a.getsockopt(socket.SOL_SOCKET, 35))
        b.sendto(b'now', a.getsockname())
        data, items, _, _ = a.recvmsg(100, 100)
        for level, kind, value in items:
            seconds, fraction = struct.unpack('qq', value)
            print(level, kind, abs(time.time() - seconds) < 5, 0 <= fraction < (1e6 if kind == 29 else 1e9))
    a.setsockopt(socket.SOL_SOCKET, 35, 0)
    b.sendto(b'now', a.getsockname())
    print('none', a.recvmsg(100, 100)[1])
    c, d = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    d.setsockopt(socket.SOL_SOCKET, 29, 1)
    c.send(b'now')
    print('unix', [(kind, len(value)) for _, kind, value in d.recvmsg(100, 100)[1]])


SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER = 26, 27, 44


def attach(s, *program):
    """A filter of (code, jt, jf, k)."""
    import ctypes
    code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *i) for i in program))
    return s.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack('HxxxxxxQ', len(program), ctypes.addressof(code)))


def hear(s):
    s.setblocking(False)
    heard = []
    try:
        while True:
            heard.append(s.recv(100))
    except BlockingIOError:
        return heard


LDB, LDH, LDW, INDB, LEN, MSH, RET, RETA, JEQ, JGT, TAX, ADDX, DIVX = 0x30, 0x28, 0x20, 0x50, 0x80, 0xb1, 0x06, 0x16, 0x15, 0x25, 0x07, 0x0c, 0x3c
ALL = 0xffffffff


def filters():
    a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    a.bind(('127.0.0.1', 0))
    b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def told(sent=(b'apple', b'bean', b'cherry', b'')):
        for one in sent:
            b.sendto(one, a.getsockname())
        return hear(a)

    attach(a, (LDB, 0, 0, 8), (JEQ, 0, 1, ord('b')), (RET, 0, 0, ALL), (RET, 0, 0, 0))
    print('first byte behind the header', told())
    attach(a, (LDH, 0, 0, 4), (JGT, 1, 0, 12), (RET, 0, 0, 0), (RET, 0, 0, 10))
    print('length in the header, cut', told())
    attach(a, (RET, 0, 0, 3))
    print('less than the header', told())
    attach(a, (LDW, 0, 0, 10), (RET, 0, 0, ALL))
    print('beyond the end is nothing', told((b'12345', b'123456')))
    attach(a, (LEN, 0, 0, 0), (TAX, 0, 0, 0), (INDB, 0, 0, ALL), (JEQ, 0, 1, ord('y')), (RET, 0, 0, ALL), (RET, 0, 0, 0))
    print('an offset that wraps', told())
    attach(a, (0x01, 0, 0, 6), (INDB, 0, 0, 2), (JEQ, 0, 1, ord('a')), (RET, 0, 0, ALL), (RET, 0, 0, 0))
    print('relative', told())
    attach(a, (0x01, 0, 0, 0), (DIVX, 0, 0, 0), (RET, 0, 0, ALL))
    print('division by nothing', told())
    for bad in ([], [(LDB, 0, 0, 0)], [(RET, 0, 0, 0), (LDB, 0, 0, 0)], [(JEQ, 5, 0, 0), (RET, 0, 0, 0)], [(0x60, 0, 0, 3), (RET, 0, 0, 0)], [(0xffff, 0, 0, 0), (RET, 0, 0, 0)]):
        attempt('refused', lambda: attach(a, *bad))
    attempt('too short', lambda: a.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, b'1234'))
    attempt('nowhere', lambda: a.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack('HxxxxxxQ', 1, 16)))
    attempt('detach', lambda: a.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0))
    attempt('detach', lambda: a.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0))
    print('none', told())
    attach(a, (RET, 0, 0, 0))
    attempt('lock', lambda: a.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1))
    attempt('unlock', lambda: a.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 0))
    attempt('detach', lambda: a.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0))
    attempt('attach', lambda: attach(a, (RET, 0, 0, ALL)))
    print('locked', a.getsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER), told())

    for kind in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        c, d = socket.socketpair(socket.AF_UNIX, kind)
        attach(d, (LDB, 0, 0, 0), (JEQ, 0, 1, ord('b')), (RET, 0, 0, 2), (RET, 0, 0, 0))
        print('unix', [c.send(one) for one in (b'apple', b'bean', b'cherry')], hear(d))
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    attach(raw, (MSH, 0, 0, 0), (INDB, 0, 0, 0), (JEQ, 0, 1, 0), (RET, 0, 0, ALL), (RET, 0, 0, 0))
    raw.sendto(echo(8, 77, 1), ('127.0.0.1', 0))
    print('only the answer', [data[20] for data in hear(raw)])
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    attach(link, (LDH, 0, 0, 4), (JEQ, 0, 1, 0x1000), (RET, 0, 0, ALL), (RET, 0, 0, 0))
    link.send(struct.pack('IHHIIBxxxxxxxxxxxxxxx', 32, 18, 0x301, 1, 0, 0))
    print('links, but not the end of the list', {struct.unpack('H', data[4:6])[0] for data in hear(link)})


def listeners():
    server = socket.socket()
    for seconds in (1, 2, 10, 1000, -1, 0x7fffffff):
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, seconds)
        print('deferred', server.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT))
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 10)
    server.bind(('127.0.0.1', 0))
    server.listen()
    server.setblocking(False)
    silent = socket.create_connection(server.getsockname())
    talking = socket.create_connection(server.getsockname())
    attempt('none has spoken', server.accept)
    talking.sendall(b'hello')
    half, name = server.accept()
    print(half.recv(10), name == talking.getsockname())
    attempt('the other has not', server.accept)
    silent.close()
    time.sleep(0.1)
    half, _ = server.accept()
    print('at its end', half.recv(10))
    print('not its halves', half.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT))
    server.setsockopt(socket.IPPROTO_TCP, 23, 5)
    print('fast open', server.getsockopt(socket.IPPROTO_TCP, 23))
    name = half.getsockopt(socket.IPPROTO_TCP, 13, 16)
    half.setsockopt(socket.IPPROTO_TCP, 13, name.rstrip(b'\0'))
    attempt('no such algorithm', lambda: half.setsockopt(socket.IPPROTO_TCP, 13, b'nonesuch'))
    server.close()


def forms():
    server = socket.socket(socket.AF_INET6)
    server.bind(('::', 0))
    server.listen()
    client = socket.create_connection(('127.0.0.1', server.getsockname()[1]))
    half, _ = server.accept()
    form = lambda s, to: s.setsockopt(socket.IPPROTO_IPV6, 1, to)
    attempt('of no connection', lambda: form(server, socket.AF_INET))
    attempt('to the same', lambda: form(half, socket.AF_INET6))
    attempt('to IPv4', lambda: form(half, socket.AF_INET))
    print(half.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN))
    attempt('again', lambda: form(half, socket.AF_INET))
    half = socket.socket(fileno=half.detach())
    print(half.family == socket.AF_INET, half.getpeername() == client.getsockname(), half.getsockname() == client.getpeername())
    client.sendall(b'still')
    print(half.recv(10))
    six = socket.create_connection(('::1', server.getsockname()[1]))
    attempt('a peer of IPv6', lambda: form(six, socket.AF_INET))
    datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    datagrams.connect(('::ffff:127.0.0.1', 9))
    attempt('datagrams', lambda: form(datagrams, socket.AF_INET))
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (11, 14):
        before = s.getsockopt(socket.SOL_SOCKET, option)
        s.setsockopt(socket.SOL_SOCKET, option, 1)
        print('kept', before, s.getsockopt(socket.SOL_SOCKET, option) if option == 11 else '')
    print('no options', s.getsockopt(socket.IPPROTO_IP, 4, 40))
    attempt('groups of nobody', lambda: socket.socket().getsockopt(socket.SOL_SOCKET, 59, 100))
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    attempt('device', lambda: s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'lo'))
    attempt('no device', lambda: s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'eth77'))
    print(s.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16), s.getsockopt(socket.SOL_SOCKET, 62))
    free = socket.socket()
    free.setsockopt(socket.IPPROTO_IP, 15, 1)
    attempt('an address from elsewhere', lambda: free.bind(('203.0.113.9', 0)))
    attempt('only own groups', lambda: s.setsockopt(socket.IPPROTO_IP, 49, 0))
    s.bind(('', 0))
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('127.0.0.1'))
    member = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('239.1.2.4') + socket.inet_aton('127.0.0.1'))
    sender.sendto(b'group', ('239.1.2.4', s.getsockname()[1]))
    print(hear(s))
    s.setsockopt(socket.IPPROTO_IP, 49, 1)
    sender.sendto(b'group', ('239.1.2.4', s.getsockname()[1]))
    print(hear(s))
    stream = socket.socket()
    attempt('a stream', lambda: stream.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('239.1.2.4') + socket.inet_aton('127.0.0.1')))
    request = struct.pack('Ixxxx', 1) + struct.pack('HH4s', 2, 0, socket.inet_aton('239.1.2.4')) + bytes(120)
    attempt('a stream', lambda: stream.setsockopt(socket.IPPROTO_IP, 42, request))
    attempt('leaves', lambda: stream.setsockopt(socket.IPPROTO_IP, 45, request))
    attempt('once', lambda: stream.setsockopt(socket.IPPROTO_IP, 45, request))


globals()[sys.argv[1]]()
