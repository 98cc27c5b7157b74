// Operations of futex(2) and the layout of robust lists (get_robust_list(2)).

// Operations
export const FUTEX_WAIT = 0;
export const FUTEX_WAKE = 1;
export const FUTEX_FD = 2;
export const FUTEX_REQUEUE = 3;
export const FUTEX_CMP_REQUEUE = 4;
export const FUTEX_WAKE_OP = 5;
export const FUTEX_LOCK_PI = 6;
export const FUTEX_UNLOCK_PI = 7;
export const FUTEX_TRYLOCK_PI = 8;
export const FUTEX_WAIT_BITSET = 9;
export const FUTEX_WAKE_BITSET = 10;
export const FUTEX_WAIT_REQUEUE_PI = 11;
export const FUTEX_CMP_REQUEUE_PI = 12;
export const FUTEX_LOCK_PI2 = 13;

// Modifiers of the operation
export const FUTEX_PRIVATE_FLAG = 128;
export const FUTEX_CLOCK_REALTIME = 256;
export const FUTEX_CMD_MASK = ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);

// Flags of the newer calls (futex_wait(2)): the word's size, and what it is looked up by
export const FUTEX2_SIZE_U32 = 2;
export const FUTEX2_PRIVATE = 128;

// struct futex_waitv: u64 value, u64 address, u32 flags, u32 reserved
export const FUTEX_WAITV_SIZE = 24;

export const FUTEX_BITSET_MATCH_ANY = 0xffffffff;

// The futex word of a robust mutex: owner's thread id and these
export const FUTEX_WAITERS = 0x80000000;
export const FUTEX_OWNER_DIED = 0x40000000;
export const FUTEX_TID_MASK = 0x3fffffff;

// struct robust_list_head: u64 first entry, s64 offset of the futex word, u64 pending entry
export const ROBUST_LIST_HEAD_SIZE = 24;
export const ROBUST_LIST_LIMIT = 2048;
