// System V ipc and POSIX message queues.

import { kernel, type SyscallEntry } from '../types.ts';

export const IPC: readonly SyscallEntry[] = [
  kernel(29, 'shmget', { key: 'int', size: 'size', shmflg: 'hex' }),
  kernel(30, 'shmat', { shmid: 'int', shmaddr: 'addr', shmflg: 'hex' }),
  kernel(31, 'shmctl', { shmid: 'int', cmd: 'int', buf: 'addr' }),
  kernel(64, 'semget', { key: 'int', nsems: 'int', semflg: 'hex' }),
  kernel(65, 'semop', { semid: 'int', sops: 'addr', nsops: 'size' }),
  kernel(66, 'semctl', { semid: 'int', semnum: 'int', cmd: 'int', arg: 'long' }),
  kernel(67, 'shmdt', { shmaddr: 'addr' }),
  kernel(68, 'msgget', { key: 'int', msgflg: 'hex' }),
  kernel(69, 'msgsnd', { msqid: 'int', msgp: 'addr', msgsz: 'size', msgflg: 'hex' }),
  kernel(70, 'msgrcv', { msqid: 'int', msgp: 'addr', msgsz: 'size', msgtyp: 'long', msgflg: 'hex' }),
  kernel(71, 'msgctl', { msqid: 'int', cmd: 'int', buf: 'addr' }),
  kernel(220, 'semtimedop', { semid: 'int', sops: 'addr', nsops: 'size', timeout: 'in(timespec)' }),
  kernel(240, 'mq_open', { name: 'string', oflag: 'flags(open)', mode: 'mode', attr: 'addr' }),
  kernel(241, 'mq_unlink', { name: 'string' }),
  kernel(242, 'mq_timedsend', {
    mqdes: 'fd',
    msg_ptr: 'buf-in(msg_len)',
    msg_len: 'size',
    msg_prio: 'uint',
    abs_timeout: 'in(timespec)',
  }),
  kernel(243, 'mq_timedreceive', {
    mqdes: 'fd',
    msg_ptr: 'buf-out(msg_len)',
    msg_len: 'size',
    msg_prio: 'out(uint)',
    abs_timeout: 'in(timespec)',
  }),
  kernel(244, 'mq_notify', { mqdes: 'fd', sevp: 'in(sigevent)' }),
  kernel(245, 'mq_getsetattr', { mqdes: 'fd', newattr: 'addr', oldattr: 'addr' }),
];
