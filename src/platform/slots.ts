// Slots: which task (or blank process) each belongs to, and their memory. A slot's memfd is never given to a second
// address space: whoever once had it may have kept the descriptor and could read and forge another's calls. So a slot
// freed by a thread is used again in the same address space only, and a fresh memfd is made for every other use.

import { EAGAIN } from '../abi/errno.ts';
import { addInvariant } from '../base/invariants.ts';
import { u32 } from './arena.ts';
import { H_GONE, H_OWN_COUNT, MAX_SLOTS, SLOT_SIZE } from './layout.ts';
import { native } from './native.ts';

/** What answers for a slot's rings: a task or a blank; the platform does not look inside. */
export type SlotOwner = object;

const owners: (SlotOwner | null)[] = new Array(MAX_SLOTS).fill(null);
const free: number[] = [];
let created = 1; // slot 0 is the zygote's
/** Fresh slots with memory, made ahead of need. */
const ready: number[] = [];
const fds: number[] = [];
const READY_WANTED = 4;
/** No host thread has this id: every ring for the slot is refused. */
const NOBODY = -1;

export function ownerOf(slot: number): SlotOwner | null {
  return owners[slot] ?? null;
}

/** Gives a slot an owner; `hostTid` 0 lets the first ring tell who it is. */
export function setOwner(slot: number, owner: SlotOwner | null, hostTid: number): void {
  owners[slot] = owner;
  native.expected[slot] = hostTid;
}

/** Only this host thread may ring for the slot from now on. */
export function setExpectedThread(slot: number, hostTid: number): void {
  native.expected[slot] = hostTid;
}

/** A slot with fresh memory, or -EAGAIN when all are in use. */
export function allocateSlot(): number {
  return ready.pop() ?? freshSlot();
}

/** How many slots can still be allocated. */
export function slotsLeft(): number {
  return ready.length + free.length + MAX_SLOTS - created;
}

/** Makes slots ahead of need, while nobody waits. */
export function prepareSlots(): void {
  while (ready.length < READY_WANTED) {
    const slot = freshSlot();
    if (slot < 0) return;
    ready.push(slot);
  }
}

export function slotsPrepared(): boolean {
  return ready.length >= READY_WANTED || free.length + MAX_SLOTS - created === 0;
}

/** Host descriptor of a slot's memfd, to be installed in the process that owns it. */
export function slotDescriptor(slot: number): number {
  return fds[slot];
}

/** Whether the thread of a slot has made its last store. True is only as good as the guest's word. */
export function isGone(slot: number): boolean {
  return u32[((slot * SLOT_SIZE) >>> 2) + H_GONE] === 1;
}

export function clearGone(slot: number): void {
  u32[((slot * SLOT_SIZE) >>> 2) + H_GONE] = 0;
}

let answeredBefore = 0;

/** How many calls stubs say to have answered by themselves. A guest can write what it likes there. */
export function countOwnAnswers(): number {
  let sum = answeredBefore;
  for (let slot = 1; slot < created; slot++) {
    if (native.slotFd(slot) >= 0) sum += u32[((slot * SLOT_SIZE) >>> 2) + H_OWN_COUNT];
  }
  return sum;
}

/** Gives back a slot whose address space is gone (or going): its memory is dropped. */
export function freeSlot(slot: number): void {
  answeredBefore += u32[((slot * SLOT_SIZE) >>> 2) + H_OWN_COUNT];
  setOwner(slot, null, NOBODY);
  native.slotDestroy(slot);
  fds[slot] = -1;
  free.push(slot);
}

function freshSlot(): number {
  const slot = free.pop() ?? (created < MAX_SLOTS ? created++ : -EAGAIN);
  if (slot < 0) return slot;
  const fd = native.slotCreate(slot);
  if (fd < 0) {
    free.push(slot);
    return -EAGAIN;
  }
  fds[slot] = fd;
  return slot;
}

addInvariant((fail) => {
  const idle = [...free, ...ready];
  if (new Set(idle).size !== idle.length) fail('a slot is free twice');
  if (created > MAX_SLOTS) fail(`${created} slots`);
  for (const slot of idle) {
    if (owners[slot] !== null) fail(`slot ${slot} is free and has an owner`);
    if (slot <= 0 || slot >= created) fail(`slot ${slot} is free and was never made`);
  }
  for (const slot of ready) if (fds[slot] < 0) fail(`slot ${slot} is ready without memory`);
});
