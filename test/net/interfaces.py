# Prints what it is told of interfaces, addresses and routes: natively in a network namespace, and in a sandbox whose
# outside it is.
import array
import fcntl
import os
import socket
import struct
import subprocess

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def ioctl(number, name):
    try:
        return fcntl.ioctl(s, number, struct.pack("40s", name.encode())).hex()
    except OSError as error:
        return error.errno


print(socket.if_nameindex())
for name in ("lo", "eth0", "eth1"):
    # SIOCGIFFLAGS, ADDR, BRDADDR, NETMASK, MTU, HWADDR, INDEX
    print(name, [ioctl(number, name) for number in (0x8913, 0x8915, 0x8919, 0x891B, 0x8921, 0x8927, 0x8933)])
buffer = array.array("B", bytes(400))
answer = fcntl.ioctl(s, 0x8912, struct.pack("iL", 400, buffer.buffer_info()[0]))
length = struct.unpack("iL", answer)[0]
print(length, [bytes(buffer[at : at + 24]) for at in range(0, length, 40)])
for command in (
    "ip -4 -o addr show dev eth0",
    "ip -6 -o addr show dev eth0 scope global",
    "ip route",
    "ip -6 route show dev eth0",
    "ip link show dev eth1",
    "cat /proc/net/route; grep -v ^fe80 /proc/net/if_inet6 | sort",
    "ls /sys/class/net /sys/class/net/eth0/statistics/",
    "cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu /sys/class/net/eth0/operstate",
):
    run = subprocess.run(command, shell=True, capture_output=True, text=True)
    print(command, run.returncode, run.stdout, run.stderr)
os.close(s.detach())
