// System V ipc (sysvipc(7)): flags, commands, and struct layouts of amd64.

export const IPC_PRIVATE = 0;
export const IPC_CREAT = 0o1000;
export const IPC_EXCL = 0o2000;
export const IPC_NOWAIT = 0o4000;

export const IPC_RMID = 0;
export const IPC_SET = 1;
export const IPC_STAT = 2;
export const IPC_INFO = 3;

// msgctl(2), msgrcv(2)
export const MSG_STAT = 11;
export const MSG_INFO = 12;
export const MSG_STAT_ANY = 13;
export const MSG_NOERROR = 0o10000;
export const MSG_EXCEPT = 0o20000;
export const MSG_COPY = 0o40000;
export const MSGMAX = 8192;
export const MSGMNB = 16384;
export const MSGMNI = 32000;

// semctl(2), semop(2)
export const GETPID = 11;
export const GETVAL = 12;
export const GETALL = 13;
export const GETNCNT = 14;
export const GETZCNT = 15;
export const SETVAL = 16;
export const SETALL = 17;
export const SEM_STAT = 18;
export const SEM_INFO = 19;
export const SEM_STAT_ANY = 20;
export const SEM_UNDO = 0x1000;
export const SEMMSL = 32000;
export const SEMMNS = 1024000000;
export const SEMOPM = 500;
export const SEMMNI = 32000;
export const SEMVMX = 32767;
export const SEMAEM = SEMVMX;
export const SEMUME = SEMOPM;
export const SEMUSZ = 20;
/** struct sembuf: u16 number, s16 operation, s16 flags */
export const SEMBUF_SIZE = 6;

// shmctl(2), shmat(2)
export const SHM_LOCK = 11;
export const SHM_UNLOCK = 12;
export const SHM_STAT = 13;
export const SHM_INFO = 14;
export const SHM_STAT_ANY = 15;
export const SHM_RDONLY = 0o10000;
export const SHM_RND = 0o20000;
export const SHM_REMAP = 0o40000;
export const SHM_EXEC = 0o100000;
export const SHM_HUGETLB = 0o4000;
export const SHM_NORESERVE = 0o10000;
/** In the mode of a segment: goes with its last attachment. */
export const SHM_DEST = 0o1000;
export const SHM_LOCKED = 0o2000;
export const SHMMNI = 4096;

// struct ipc64_perm: s32 key, u32 uid, gid, cuid, cgid, mode, u16 seq
export const PERM_UID = 4;
export const PERM_GID = 8;
export const PERM_CUID = 12;
export const PERM_CGID = 16;
export const PERM_MODE = 20;
export const PERM_SEQ = 24;
export const PERM_SIZE = 48;

// struct msqid64_ds: times, u64 cbytes, qnum, qbytes, s32 lspid, lrpid
export const MSQID_SIZE = 120;
export const MSQID_STIME = 48;
export const MSQID_RTIME = 56;
export const MSQID_CTIME = 64;
export const MSQID_CBYTES = 72;
export const MSQID_QNUM = 80;
export const MSQID_QBYTES = 88;
export const MSQID_LSPID = 96;
export const MSQID_LRPID = 100;

// struct semid64_ds
export const SEMID_SIZE = 104;
export const SEMID_OTIME = 48;
export const SEMID_CTIME = 64;
export const SEMID_NSEMS = 80;

// struct shmid64_ds
export const SHMID_SIZE = 112;
export const SHMID_SEGSZ = 48;
export const SHMID_ATIME = 56;
export const SHMID_DTIME = 64;
export const SHMID_CTIME = 72;
export const SHMID_CPID = 80;
export const SHMID_LPID = 84;
export const SHMID_NATTCH = 88;

/** struct msginfo, seminfo, shminfo64, shm_info */
export const MSGINFO_SIZE = 32;
export const SEMINFO_SIZE = 40;
export const SHMINFO_SIZE = 72;
export const SHM_INFO_SIZE = 48;
