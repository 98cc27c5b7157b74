"""Uses pseudo-terminals as programs do and prints what happens; run natively and in a sandbox, it prints the same."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
import tty

TIOCPKT = 0x5420
TIOCGPTPEER = 0x5441


def collect(fd, patience):
    """What the master reads until the other side is gone or silent."""
    output = b""
    end = time.time() + patience
    while time.time() < end:
        if not select.select([fd], [], [], 0.05)[0]:
            continue
        try:
            data = os.read(fd, 4096)
        except OSError as error:
            return output + b"<errno %d>" % error.errno
        if not data:
            return output + b"<end>"
        output += data
    return output + b"<silent>"


def wait_for(fd, text):
    output = b""
    while text not in output:
        output += os.read(fd, 4096)
    return output


def program(what, *command, keys=()):
    """Runs a command in a session of its own on a new terminal; keys are (wait for this, then type that)."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    output = b""
    for awaited, typed in keys:
        output += wait_for(fd, awaited)
        os.write(fd, typed)
    output += collect(fd, 5)
    os.close(fd)
    print(what, output, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


program("line", "sh", "-c", "echo go; read x; echo got $x; exit 4", keys=[(b"go", b"he\x7fllo\n")])
program("interrupt", "sh", "-c", 'trap "echo INT" INT; echo go; cat; echo end', keys=[(b"go", b"abc\n"), (b"abc\r\nabc", b"\x03")])
program("quit", "sh", "-c", "ulimit -c 0; echo go; exec cat", keys=[(b"go", b"\x1c")])
program("end of file", "sh", "-c", "echo go; cat; echo end", keys=[(b"go", b"x\x04y\x04\x04")])
program("name", "python3", "-c", "import os; os.write(1, os.ttyname(0)[:8].encode())")


def observe(child, patience=3.0):
    """Runs a function in a session on a new terminal whose master then goes; it reports through a pipe."""
    reader, writer = os.pipe()
    pid, fd = pty.fork()
    if pid == 0:
        os.close(reader)
        say = lambda text: os.write(writer, text.encode() + b" ")
        try:
            child(say)
        finally:
            os._exit(0)
    os.close(writer)
    return pid, fd, reader


def attempt(say, what, action):
    try:
        say("%s=%r" % (what, action()))
    except OSError as error:
        say("%s:%d" % (what, error.errno))


def hung_up(say):
    for number in (signal.SIGHUP, signal.SIGCONT):
        signal.signal(number, lambda n, _: say("signal%d" % n))
    say("ready")
    attempt(say, "read", lambda: os.read(0, 10))
    attempt(say, "again", lambda: os.read(0, 10))
    attempt(say, "write", lambda: os.write(1, b"x"))
    attempt(say, "tty", lambda: os.open("/dev/tty", os.O_RDWR))
    attempt(say, "size", lambda: fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))


pid, fd, reader = observe(hung_up)
wait_for(reader, b"ready")
time.sleep(0.2)
os.close(fd)
print("hang-up", collect(reader, 3))
os.waitpid(pid, 0)


def background(say):
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        os.read(0, 1)
        os._exit(0)
    os.waitpid(child, os.WUNTRACED)
    os.kill(child, signal.SIGCONT)
    stopped = os.waitpid(child, os.WUNTRACED)[1]
    say("read stops by %d" % os.WSTOPSIG(stopped))
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(0, child)
    say("foreground is child %s" % (os.tcgetpgrp(0) == child))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    attempt(say, "no such group", lambda: os.tcsetpgrp(0, 4194000))


pid, fd, reader = observe(background)
print("background", collect(reader, 3))
os.waitpid(pid, 0)
os.close(fd)


def tostop(say):
    mode = termios.tcgetattr(0)
    mode[3] |= termios.TOSTOP
    termios.tcsetattr(0, termios.TCSANOW, mode)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.write(1, b"from behind")
        os._exit(0)
    say("write stops by %d" % os.WSTOPSIG(os.waitpid(child, os.WUNTRACED)[1]))
    os.kill(child, signal.SIGKILL)


pid, fd, reader = observe(tostop)
print("tostop", collect(reader, 3))
os.waitpid(pid, 0)
os.close(fd)


def leader_exits(say):
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGHUP, lambda n, _: say("child hears %d" % n))
        say("ready")
        time.sleep(0.5)
        attempt(say, "tty", lambda: os.open("/dev/tty", os.O_RDWR))
        os._exit(0)
    time.sleep(0.2)


pid, fd, reader = observe(leader_exits)
print("leader exits", collect(reader, 3))
os.waitpid(pid, 0)
os.close(fd)


def size_changes(say):
    signal.signal(signal.SIGWINCH, lambda n, _: say("size %d %d" % struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))[:2]))
    say("ready")
    time.sleep(1)
    time.sleep(0.1)


pid, fd, reader = observe(size_changes)
wait_for(reader, b"ready")
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
print("size", collect(reader, 3))
os.waitpid(pid, 0)
os.close(fd)

master, slave = os.openpty()
tty.setraw(slave)


def timed(minimum, tenths, typed):
    mode = termios.tcgetattr(slave)
    mode[6][termios.VMIN], mode[6][termios.VTIME] = minimum, tenths
    termios.tcsetattr(slave, termios.TCSANOW, mode)
    if typed:
        os.write(master, typed)
        time.sleep(0.05)
    start = time.time()
    data = os.read(slave, 100)
    print("VMIN", minimum, "VTIME", tenths, data, "after", round((time.time() - start) * 5) / 5)


timed(0, 4, b"")
timed(0, 0, b"")
timed(0, 4, b"x")
timed(3, 2, b"ab")
timed(3, 2, b"abcd")
timed(2, 0, b"abcd")

fcntl.ioctl(master, TIOCPKT, struct.pack("i", 1))
os.write(slave, b"hi")
print("packet", os.read(master, 10))
termios.tcflow(slave, termios.TCOOFF)
print("packet", os.read(master, 10))
termios.tcflow(slave, termios.TCOON)
print("packet", os.read(master, 10))
termios.tcflush(slave, termios.TCIOFLUSH)
print("packet", os.read(master, 10))
fcntl.ioctl(master, TIOCPKT, struct.pack("i", 0))

peer = fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY)
print("peer", os.ttyname(peer) == os.ttyname(slave), os.major(os.fstat(peer).st_rdev))
name = os.ttyname(slave)
os.close(slave)
os.close(peer)
print("closed slave", collect(master, 1))
os.close(master)
print("gone", os.path.exists(name))
