"""Plays scenarios on a pseudo-terminal of the host and prints what came out: the reference for the line discipline.

Reads a JSON array of {"settings": [iflag, oflag, lflag, {index: value}], "steps": [[verb, argument], ...]} from standard
input; the argument is how long to wait, in seconds, for the kernel's workers after each step. Verbs: type (to the master), write (to the slave), read (at most N bytes from the slave), show (what the master
can read), set (settings), available (FIONREAD), events (poll mask of the slave). Texts are latin-1.
"""

import errno
import fcntl
import json
import os
import select
import struct
import sys
import termios
import time


def attempt(action):
    try:
        return action()
    except OSError as error:
        return -error.errno


def settle():
    time.sleep(float(sys.argv[1]))


def text(result):
    return result.decode("latin-1") if isinstance(result, bytes) else result


def apply(fd, settings):
    iflag, oflag, lflag, characters = settings
    mode = termios.tcgetattr(fd)
    mode[0], mode[1], mode[3] = iflag, oflag, lflag
    for index, value in characters.items():
        mode[6][int(index)] = bytes([value])
    # tcsetattr of Python takes VMIN and VTIME as numbers in raw mode only; bytes do in both.
    raw = struct.pack("IIII", mode[0], mode[1], mode[2], mode[3]) + b"\0" + b"".join(
        c if isinstance(c, bytes) else bytes([c]) for c in mode[6]
    )[:19]
    fcntl.ioctl(fd, 0x5402, raw.ljust(36, b"\0"))


def play(scenario):
    master, slave = os.openpty()
    for fd in (master, slave):
        os.set_blocking(fd, False)
    apply(slave, scenario["settings"])
    results = []
    for verb, argument in scenario["steps"]:
        if verb == "type":
            results.append(attempt(lambda: os.write(master, argument.encode("latin-1"))))
            settle()
        elif verb == "write":
            results.append(attempt(lambda: os.write(slave, argument.encode("latin-1"))))
            settle()
        elif verb == "read":
            results.append(text(attempt(lambda: os.read(slave, argument))))
            settle()
        elif verb == "show":
            results.append(text(attempt(lambda: os.read(master, 65536))))
            settle()
        elif verb == "set":
            apply(slave, argument)
            settle()
            results.append(0)
        elif verb == "available":
            results.append(struct.unpack("i", fcntl.ioctl(slave, termios.FIONREAD, b"\0" * 4))[0])
        elif verb == "events":
            poller = select.poll()
            poller.register(slave, 0x7FF)
            ready = poller.poll(0)
            results.append(ready[0][1] if ready else 0)
    os.close(slave)
    os.close(master)
    return results


json.dump([play(scenario) for scenario in json.load(sys.stdin)], sys.stdout)
