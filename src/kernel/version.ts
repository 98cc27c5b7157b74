// What kernel the guest is told it runs on: uname(2) and /proc/version read it here.

export const OS_TYPE = 'Linux';
/** The Linux release whose interfaces this kernel follows. */
export const OS_RELEASE = '6.12.0';
export const OS_VERSION = '#1 SMP PREEMPT_DYNAMIC Cloister';
