// Calls on clocks and timers. Programs read clocks through the vDSO; these serve those that do not.

import { kernel, type SyscallEntry } from '../types.ts';

const CLOCK = "the clock is the host's";

export const TIME: readonly SyscallEntry[] = [
  kernel(35, 'nanosleep', { req: 'in(timespec)', rem: 'out(timespec)' }),
  kernel(36, 'getitimer', { which: 'value(itimer)', curr_value: 'out(itimerval)' }),
  kernel(37, 'alarm', { seconds: 'uint' }),
  kernel(38, 'setitimer', { which: 'value(itimer)', new_value: 'in(itimerval)', old_value: 'out(itimerval)' }),
  kernel(96, 'gettimeofday', { tv: 'out(timeval)', tz: 'out(timezone)' }),
  kernel(100, 'times', { buf: 'out(tms)' }),
  kernel(159, 'adjtimex', { buf: 'addr' }, { note: 'read-only' }),
  kernel(164, 'settimeofday', { tv: 'in(timeval)', tz: 'in(timezone)' }, { note: CLOCK }),
  kernel(201, 'time', { tloc: 'out(off)' }),
  kernel(222, 'timer_create', { clockid: 'value(clock)', sevp: 'in(sigevent)', timerid: 'out(int)' }),
  kernel(223, 'timer_settime', {
    timerid: 'int',
    flags: 'flags(timer)',
    new_value: 'in(itimerspec)',
    old_value: 'out(itimerspec)',
  }),
  kernel(224, 'timer_gettime', { timerid: 'int', curr_value: 'out(itimerspec)' }),
  kernel(225, 'timer_getoverrun', { timerid: 'int' }),
  kernel(226, 'timer_delete', { timerid: 'int' }),
  kernel(227, 'clock_settime', { clockid: 'value(clock)', tp: 'in(timespec)' }, { note: CLOCK }),
  kernel(228, 'clock_gettime', { clockid: 'value(clock)', tp: 'out(timespec)' }),
  kernel(229, 'clock_getres', { clockid: 'value(clock)', res: 'out(timespec)' }),
  kernel(230, 'clock_nanosleep', {
    clockid: 'value(clock)',
    flags: 'flags(timer)',
    request: 'in(timespec)',
    remain: 'out(timespec)',
  }),
  kernel(305, 'clock_adjtime', { clockid: 'value(clock)', buf: 'addr' }, { note: 'read-only' }),
];
