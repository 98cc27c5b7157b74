# What files do wherever they lie: prints what a few sequences of calls leave behind. places.py DIRECTORY
import os
import stat
import sys

os.makedirs(sys.argv[1], exist_ok=True)
os.chdir(sys.argv[1])
os.umask(0)


def mode(name):
    return oct(os.stat(name).st_mode)


def as_nobody(call, *args):
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        call(*args)
        os._exit(0)
    os.waitpid(pid, 0)


def write(name):
    with open(name, 'r+b') as file:
        file.write(b'changed')


def allocate(name):
    with open(name, 'r+b') as file:
        os.posix_fallocate(file.fileno(), 0, 9000)


def cut(name):
    with open(name, 'r+b') as file:
        os.ftruncate(file.fileno(), 3)


# Set-id bits stay with those who may set them, and go when others change the data.
os.chmod('.', 0o777)
for number, call in enumerate([write, allocate, cut, lambda name: os.truncate(name, 5)]):
    for bits in (0o6777, 0o6767, 0o4777, 0o2777):
        name = f'setid{number}{bits}'
        with open(name, 'w') as file:
            file.write('before')
        os.chmod(name, bits)
        call(name)
        print(name, mode(name), end=' ')
        as_nobody(call, name)
        print(mode(name))

# A file that gets its name last keeps its mode.
descriptors = os.open('/proc/self/fd', os.O_RDONLY)
for bits in (0o7777, 0o755, 0o4711):
    fd = os.open('.', os.O_TMPFILE | os.O_RDWR, bits)
    os.write(fd, b'x' * 5000)
    os.link(str(fd), f'linked{bits}', src_dir_fd=descriptors, follow_symlinks=True)
    os.close(fd)
    print(mode(f'linked{bits}'), os.stat(f'linked{bits}').st_nlink)

# Of many names any may go; those that are left lead to the file.
os.mkdir('links')
with open('links/0', 'w') as file:
    file.write('many')
for i in range(1, 1000):
    os.link('links/0', f'links/{i}')
os.mkdir('other')
os.link('links/7', 'other/last')
print(os.stat('links/800').st_nlink)
for i in range(999):
    os.unlink(f'links/{i}')
os.chmod('links/999', 0o640)
os.setxattr('links/999', 'user.a', b'b')
print(mode('other/last'), os.stat('other/last').st_nlink)
os.rename('links/999', 'links/moved')
os.unlink('other/last')
os.utime('links/moved', (1, 2))
print(os.stat('links/moved').st_mtime, open('links/moved').read(), os.getxattr('links/moved', 'user.a'))

# Names are bytes.
for name in (b'new\nline', b'\xff\xfe\x80', b' ', b'\\', b"'\"", b'-rf', b'a' * 255, '\u00fc\u2713'.encode()):
    with open(name, 'w') as file:
        file.write('here')
    os.symlink(name, name[:250] + b'.link')
print(sorted(name for name in os.listdir(b'.') if not name.startswith((b'setid', b'linked'))))
print(os.readlink(b'\xff\xfe\x80.link'), open(b'new\nline.link').read())
try:
    open(b'a' * 256, 'w')
except OSError as error:
    print(error.errno)

# The longest path has 4095 bytes and a NUL.
deep = b'./' * 2045
for length in (4094, 4095, 4096):
    path = deep + b'z' * (length - len(deep))
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        print(length, os.stat(path).st_size, os.access(path, os.R_OK))
        os.unlink(path)
    except OSError as error:
        print(length, error.errno)
print(stat.S_ISLNK(os.lstat(b'-rf.link').st_mode))
