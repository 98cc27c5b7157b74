// Options of wait4(2) and waitid(2), and the encoding of a wait status.

export const WNOHANG = 0x1;
export const WUNTRACED = 0x2;
export const WSTOPPED = 0x2;
export const WEXITED = 0x4;
export const WCONTINUED = 0x8;
export const WNOWAIT = 0x1000000;
export const __WNOTHREAD = 0x20000000;
export const __WALL = 0x40000000;
export const __WCLONE = 0x80000000;

// waitid(2): what the id is
export const P_ALL = 0;
export const P_PID = 1;
export const P_PGID = 2;
export const P_PIDFD = 3;

export const WCOREFLAG = 0x80;
export const W_CONTINUED = 0xffff; // status of a child that SIGCONT resumed

/** Status of a child that exited with this code. */
export const exitStatus = (code: number): number => (code & 0xff) << 8;

/** Status of a child that this signal killed. */
export const killedStatus = (signal: number, coreDumped: boolean): number => signal | (coreDumped ? WCOREFLAG : 0);

/** Status of a child that this signal stopped. */
export const stoppedStatus = (signal: number): number => (signal << 8) | 0x7f;

export const WIFEXITED = (status: number): boolean => (status & 0x7f) === 0;
export const WEXITSTATUS = (status: number): number => (status >> 8) & 0xff;
export const WIFSIGNALED = (status: number): boolean => (((status & 0x7f) + 1) << 24) >> 25 > 0;
export const WTERMSIG = (status: number): number => status & 0x7f;
export const WCOREDUMP = (status: number): boolean => (status & WCOREFLAG) !== 0;
export const WIFSTOPPED = (status: number): boolean => (status & 0xff) === 0x7f;
export const WSTOPSIG = (status: number): number => (status >> 8) & 0xff;
export const WIFCONTINUED = (status: number): boolean => status === W_CONTINUED;
