// Branded number types: a user address, a file descriptor and a process id are all numbers, but no one is another.
// All are plain numbers at run time; a cast happens where the number enters the kernel (dispatch, tables).

declare const brand: unique symbol;

/** An address in the guest, never dereferenced: only UserMemory takes it. */
export type UserAddress = number & { readonly [brand]: 'UserAddress' };
/** A guest's file descriptor number, not yet looked up. */
export type Fd = number & { readonly [brand]: 'Fd' };
/** A virtual process, thread, process-group or session id. */
export type Pid = number & { readonly [brand]: 'Pid' };
/** A descriptor of the sentry's own, on the host. */
export type HostFd = number & { readonly [brand]: 'HostFd' };
/** A process or thread id on the host, in the sentry's pid namespace. */
export type HostPid = number & { readonly [brand]: 'HostPid' };

export const userAddress = (value: number): UserAddress => value as UserAddress;
export const NULL = 0 as UserAddress;
