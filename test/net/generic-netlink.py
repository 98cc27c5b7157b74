# What sockets of NETLINK_KOBJECT_UEVENT and NETLINK_GENERIC say: printed, to be compared with the host's words.
import errno
import os
import socket
import struct


def attributes(data):
    found = []
    while len(data) >= 4:
        length, kind = struct.unpack_from('HH', data)
        found.append((kind & 0x3fff, data[4:length]))
        data = data[(length + 3) & ~3:]
    return found


def ask(s, kind, flags, body):
    s.send(struct.pack('IHHII', 16 + len(body), kind, flags, 7, 0) + body)
    data = s.recv(65536)
    while len(data) >= 16:
        length, kind, flags, sequence, _port = struct.unpack_from('IHHII', data)
        yield kind, flags, sequence, data[16:length]
        data = data[(length + 3) & ~3:]


def family(s, kind, value):
    for kind, flags, sequence, body in ask(s, 16, 1, b'\3\1\0\0' + struct.pack('HH', 4 + len(value), kind) + value + bytes(-len(value) & 3)):
        if kind == 2:
            print('refused', sequence, errno.errorcode[-struct.unpack_from('i', body)[0]])
            continue
        print(kind, flags, sequence, body[:4])
        for number, value in attributes(body[4:]):
            print(' ', number, attributes(value) if number in (6, 7) else value)


with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16) as s:
    s.bind((0, 0))
    print(s.getsockname()[0] == os.getpid())
    family(s, 2, b'nlctrl\0')
    family(s, 1, struct.pack('H', 16))
    family(s, 2, b'no-such-family\0')
    family(s, 1, struct.pack('H', 999))
    for kind, _flags, _sequence, body in ask(s, 999, 5, b'\3\1\0\0'):
        print(kind, struct.unpack_from('i', body))
    for kind, _flags, _sequence, body in ask(s, 16, 5, b'\x63\1\0\0'):
        print(kind, struct.unpack_from('i', body))
with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15) as s:
    s.bind((0, 1))
    print(s.getsockname()[1], s.getsockopt(socket.SOL_SOCKET, 38))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as other:
        other.bind((0, 0))
        print(other.getsockname()[0] == s.getsockname()[0])
    s.setblocking(False)
    try:
        print(s.recv(10))
    except BlockingIOError:
        print('silent')
