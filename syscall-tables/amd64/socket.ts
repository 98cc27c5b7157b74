// Calls on sockets.

import { kernel, type SyscallEntry } from '../types.ts';

const NAME_IN = { sockfd: 'fd', addr: 'sockaddr-in(addrlen)', addrlen: 'int' } as const;
const NAME_OUT = { sockfd: 'fd', addr: 'sockaddr-out(addrlen)', addrlen: 'inout(uint)' } as const;
const FAMILIES = 'AF_UNIX and, inside the sandbox, what the network code registers; other families: EAFNOSUPPORT';

export const SOCKET: readonly SyscallEntry[] = [
  kernel(41, 'socket', { domain: 'value(family)', type: 'flags(socket)', protocol: 'int' }, { note: FAMILIES }),
  kernel(42, 'connect', NAME_IN),
  kernel(43, 'accept', NAME_OUT),
  kernel(44, 'sendto', {
    sockfd: 'fd',
    buf: 'buf-in(len)',
    len: 'size',
    flags: 'flags(msg)',
    dest_addr: 'sockaddr-in(addrlen)',
    addrlen: 'int',
  }),
  kernel(45, 'recvfrom', {
    sockfd: 'fd',
    buf: 'buf-out(len)',
    len: 'size',
    flags: 'flags(msg)',
    src_addr: 'sockaddr-out(addrlen)',
    addrlen: 'inout(uint)',
  }),
  kernel(46, 'sendmsg', { sockfd: 'fd', msg: 'in(msghdr)', flags: 'flags(msg)' }),
  kernel(47, 'recvmsg', { sockfd: 'fd', msg: 'inout(msghdr)', flags: 'flags(msg)' }),
  kernel(48, 'shutdown', { sockfd: 'fd', how: 'value(shutdown)' }),
  kernel(49, 'bind', NAME_IN),
  kernel(50, 'listen', { sockfd: 'fd', backlog: 'int' }),
  kernel(51, 'getsockname', NAME_OUT),
  kernel(52, 'getpeername', NAME_OUT),
  kernel(
    53,
    'socketpair',
    { domain: 'value(family)', type: 'flags(socket)', protocol: 'int', sv: 'out(int_pair)' },
    { note: 'AF_UNIX only, as in Linux' },
  ),
  kernel(54, 'setsockopt', {
    sockfd: 'fd',
    level: 'value(sockopt_level)',
    optname: 'int',
    optval: 'buf-in(optlen)',
    optlen: 'int',
  }),
  kernel(55, 'getsockopt', {
    sockfd: 'fd',
    level: 'value(sockopt_level)',
    optname: 'int',
    optval: 'addr',
    optlen: 'inout(uint)',
  }),
  kernel(288, 'accept4', { ...NAME_OUT, flags: 'flags(socket)' }),
  kernel(299, 'recvmmsg', {
    sockfd: 'fd',
    msgvec: 'addr',
    vlen: 'uint',
    flags: 'flags(msg)',
    timeout: 'in(timespec)',
  }),
  kernel(307, 'sendmmsg', { sockfd: 'fd', msgvec: 'addr', vlen: 'uint', flags: 'flags(msg)' }),
];
