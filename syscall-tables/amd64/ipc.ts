// System V ipc and POSIX message queues.

import { enosys, type SyscallEntry } from '../types.ts';

const SYSV = 'System V ipc, as on a kernel without CONFIG_SYSVIPC';
const MQUEUE = 'POSIX message queues, as on a kernel without CONFIG_POSIX_MQUEUE';

export const IPC: readonly SyscallEntry[] = [
  enosys(29, 'shmget', { key: 'hex', size: 'size', shmflg: 'hex' }, SYSV),
  enosys(30, 'shmat', { shmid: 'int', shmaddr: 'addr', shmflg: 'hex' }, SYSV),
  enosys(31, 'shmctl', { shmid: 'int', cmd: 'int', buf: 'addr' }, SYSV),
  enosys(64, 'semget', { key: 'hex', nsems: 'int', semflg: 'hex' }, SYSV),
  enosys(65, 'semop', { semid: 'int', sops: 'addr', nsops: 'size' }, SYSV),
  enosys(66, 'semctl', { semid: 'int', semnum: 'int', cmd: 'int', arg: 'addr' }, SYSV),
  enosys(67, 'shmdt', { shmaddr: 'addr' }, SYSV),
  enosys(68, 'msgget', { key: 'hex', msgflg: 'hex' }, SYSV),
  enosys(69, 'msgsnd', { msqid: 'int', msgp: 'addr', msgsz: 'size', msgflg: 'hex' }, SYSV),
  enosys(70, 'msgrcv', { msqid: 'int', msgp: 'addr', msgsz: 'size', msgtyp: 'long', msgflg: 'hex' }, SYSV),
  enosys(71, 'msgctl', { msqid: 'int', cmd: 'int', buf: 'addr' }, SYSV),
  enosys(220, 'semtimedop', { semid: 'int', sops: 'addr', nsops: 'size', timeout: 'in(timespec)' }, SYSV),
  enosys(240, 'mq_open', { name: 'string', oflag: 'flags(open)', mode: 'mode', attr: 'addr' }, MQUEUE),
  enosys(241, 'mq_unlink', { name: 'string' }, MQUEUE),
  enosys(
    242,
    'mq_timedsend',
    { mqdes: 'fd', msg_ptr: 'buf-in(msg_len)', msg_len: 'size', msg_prio: 'uint', abs_timeout: 'in(timespec)' },
    MQUEUE,
  ),
  enosys(
    243,
    'mq_timedreceive',
    { mqdes: 'fd', msg_ptr: 'buf-out(msg_len)', msg_len: 'size', msg_prio: 'out(uint)', abs_timeout: 'in(timespec)' },
    MQUEUE,
  ),
  enosys(244, 'mq_notify', { mqdes: 'fd', sevp: 'in(sigevent)' }, MQUEUE),
  enosys(245, 'mq_getsetattr', { mqdes: 'fd', newattr: 'addr', oldattr: 'addr' }, MQUEUE),
];
