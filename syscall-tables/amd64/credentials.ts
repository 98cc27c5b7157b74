// Calls on user and group ids, capabilities and keys.

import { kernel, type SyscallEntry } from '../types.ts';

const KEYS = 'types keyring, user, logon, big_key; no helper that makes keys on request';
const LSM = 'no security module has attributes here';

export const CREDENTIALS: readonly SyscallEntry[] = [
  kernel(102, 'getuid', {}),
  kernel(104, 'getgid', {}),
  kernel(105, 'setuid', { uid: 'uid' }),
  kernel(106, 'setgid', { gid: 'gid' }),
  kernel(107, 'geteuid', {}),
  kernel(108, 'getegid', {}),
  kernel(113, 'setreuid', { ruid: 'uid', euid: 'uid' }),
  kernel(114, 'setregid', { rgid: 'gid', egid: 'gid' }),
  kernel(115, 'getgroups', { size: 'int', list: 'array-out(uint, size)' }),
  kernel(116, 'setgroups', { size: 'int', list: 'array-in(uint, size)' }),
  kernel(117, 'setresuid', { ruid: 'uid', euid: 'uid', suid: 'uid' }),
  kernel(118, 'getresuid', { ruid: 'out(uint)', euid: 'out(uint)', suid: 'out(uint)' }),
  kernel(119, 'setresgid', { rgid: 'gid', egid: 'gid', sgid: 'gid' }),
  kernel(120, 'getresgid', { rgid: 'out(uint)', egid: 'out(uint)', sgid: 'out(uint)' }),
  kernel(122, 'setfsuid', { fsuid: 'uid' }),
  kernel(123, 'setfsgid', { fsgid: 'gid' }),
  kernel(125, 'capget', { header: 'inout(cap_header)', data: 'out(cap_data)' }),
  kernel(126, 'capset', { header: 'inout(cap_header)', data: 'in(cap_data)' }),
  kernel(
    248,
    'add_key',
    { type: 'string', description: 'string', payload: 'addr', plen: 'size', keyring: 'int' },
    { note: KEYS },
  ),
  kernel(
    249,
    'request_key',
    { type: 'string', description: 'string', callout_info: 'addr', dest_keyring: 'int' },
    { note: KEYS },
  ),
  kernel(
    250,
    'keyctl',
    { cmd: 'int', arg2: 'arg', arg3: 'arg', arg4: 'arg', arg5: 'arg' },
    { note: 'no asymmetric keys (DH_COMPUTE, PKEY_*), no WATCH_KEY: EOPNOTSUPP' },
  ),
  kernel(459, 'lsm_get_self_attr', { attr: 'uint', ctx: 'addr', size: 'addr', flags: 'hex' }, { note: LSM }),
  kernel(460, 'lsm_set_self_attr', { attr: 'uint', ctx: 'addr', size: 'uint', flags: 'hex' }, { note: LSM }),
  kernel(461, 'lsm_list_modules', { ids: 'addr', size: 'addr', flags: 'hex' }),
];
