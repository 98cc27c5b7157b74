// The platform's part of the native addon, typed: slots, the doorbell, the one native wait, guest memory.
// native/addon says how each works.

import type { HostFd, HostPid } from '../base/brands.ts';
import { onAddonLoaded } from '../host/addon.ts';

/** Results of next() that are no slot. */
export const NEXT_TIMEOUT = -1;
/** events() has some. */
export const NEXT_EVENTS = -2;
/** No guest process is left (info[INFO_ERROR]: errno, 0 for a plain hang-up). */
export const NEXT_GONE = -3;
/** A ring was refused: no such slot, not its thread, or a sequence number that is not the slot's. */
export const NEXT_STRANGER = -4;

/** Added to a slot that next() returns: the ring that want() asked for. */
export const LATE_RING = 4096;

/** Indices of `info`. */
export const INFO_PID = 0;
export const INFO_ERROR = 1;
export const INFO_SYNC = 2;
export const INFO_MOVED = 3;
export const INFO_BURSTS = 4;
export const INFO_SPUN = 5;
export const INFO_WATCHES = 6;
export const INFO_LOSSES = 8;

export interface NativePlatform {
  /** [INFO_PID] who rang last; counters. */
  readonly info: Int32Array;
  /** [0]: CLOCK_MONOTONIC in nanoseconds when next() last returned. */
  readonly clock: Float64Array;
  /** The only host thread that may ring each slot. 0: the first that does so with the right sequence number becomes it. */
  readonly expected: Int32Array;
  /** (token, events) pairs of the last events(). */
  readonly readyTokens: Int32Array;

  /** Reserves the slots and the scratch behind them. Once per process; throws if there is no address space. */
  arenaCreate(): ArrayBuffer;
  /** A fresh slot, zeroed, in place of what was there: a new memfd's descriptor, or -errno. */
  slotCreate(slot: number): number;
  /** Descriptor of the slot's memfd, or -EBADF. */
  slotFd(slot: number): number;
  /** Closes the slot's memfd, and unmaps it now or when its place is used again: reading its part of the arena may be fatal. */
  slotDestroy(slot: number): number;

  /**
   * Maps slot 0 and takes over from the zygote what it published there: the listener of its user notifications, or
   * (traced) itself as a tracee. 0, or -errno: what seccomp(2) said in
   * the zygote, -ESRCH if the zygote died, -ETIMEDOUT.
   */
  attach(slot0Fd: HostFd, zygotePid: HostPid, traced: boolean): number;
  /**
   * Answers `reply` (or -1), then waits for at most timeoutNs (-1: for ever, 0: not at all). The slot that rang, or
   * one of NEXT_*.
   */
  next(reply: number, timeoutNs: number): number;
  /**
   * Answers a ring that was withheld; `elsewhere` if nobody waits for what the thread does now, so that it may wake up on
   * another CPU. 0, or -ENOENT when its thread was killed.
   */
  reply(slot: number, elsewhere: boolean): number;
  /**
   * Installs a descriptor in the process that waits on the slot, as newFd or (-1) the lowest free; with `send` that
   * also answers the ring. The number in the guest process, or -errno.
   */
  addfd(slot: number, fd: number, newFd: number, send: boolean): number;
  /**
   * The call was taken without a ring, but its answer needs one (addfd said -EAGAIN): the stub is made to ring, and
   * next() then returns the slot plus LATE_RING.
   */
  want(slot: number): void;
  /** The slot's thread is a zygote from now on: it runs where it was put, which its children inherit. */
  stay(slot: number): void;
  /** 0 while the slot's thread waits for its answer, else -ENOENT. */
  idValid(slot: number): number;

  /**
   * From now on the sentry may make no host calls but those of syscall-tables/sentry.ts; any other kills it, or with a
   * descriptor to write to is named there first. variant: a bit for each of OPTIONAL_GROUPS. 0 or -errno.
   */
  lockDown(variant: number, logFd: number): number;

  /** Whether the sentry may spin for calls at all; it does from the start. cpus: that it is given, 0 for all there are. */
  setSpin(on: boolean, cpus: number): void;

  /** The slot is not watched any more, and its thread may run anywhere: it is to make another that inherits where. */
  letRoam(slot: number): void;

  /** Adds a descriptor to the native wait, with epoll's events. 0 or -errno (-EPERM: a plain file, always ready). */
  watch(fd: HostFd, events: number, token: number): number;
  modify(fd: HostFd, events: number, token: number): number;
  /** Before the descriptor is closed. */
  unwatch(fd: HostFd): number;
  /** Takes what is ready: the number of pairs in `readyTokens`. */
  events(): number;
  /** libuv's backend descriptor, to be watched for EPOLLIN. */
  uvBackend(): HostFd;
  /** Milliseconds until libuv has work of its own accord; 0 now, -1 never. */
  uvTimeout(): number;

  /**
   * Lets a guest thread run only on the CPU that the sentry is on; `heldOn` is where it is held already, or -1. That CPU,
   * or -errno.
   */
  hold(hostTid: number, heldOn: number): number;
  /** Lets a guest thread run wherever the sandbox may. 0 or -errno. */
  letGo(hostTid: number): number;

  /** Bytes read from the guest at `address` to the arena, fewer if a page is missing, or -errno. */
  vmRead(pid: number, address: number, at: number, length: number): number;
  /** Bytes written to the guest at `address` from the arena, fewer if a page is missing, or -errno. */
  vmWrite(pid: number, address: number, at: number, length: number): number;
}

/** The platform's native functions; bound when the addon is loaded. */
export let native: NativePlatform;

onAddonLoaded((exports) => {
  native = exports as NativePlatform;
});
