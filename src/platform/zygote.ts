// The zygote and its blanks. The zygote is a stub process with nothing in it; a blank is a fork of it that waits, its
// hello withheld, for a program to be laid out in it (exec). A few are kept ready.

import type { HostPid } from '../base/brands.ts';
import { clearOrders, flushAnswers, order, sendAnswer, writeAnswer } from './answer.ts';
import { FD_BLANK_SLOTS, ORDER_FORK } from './layout.ts';
import { native } from './native.ts';
import { allocateSlot, freeSlot, setExpectedThread, setOwner, slotDescriptor } from './slots.ts';

const ZYGOTE_SLOT = 0;
/** Blanks kept ready, and how many one order list makes at most. */
const READY = 3;
const BATCH = 8;

export class Blank {
  readonly slot: number;
  /** Its host process; 0 until its hello. */
  hostPid: HostPid = 0 as HostPid;

  constructor(slot: number) {
    this.slot = slot;
  }
}

const ready: Blank[] = [];
let coming = 0;
let zygoteWaits = false;
/** How many tasks wait for a blank; the kernel keeps the queue. */
let wanted = 0;

/** The zygote rang: it can take orders. */
export function zygoteRang(): void {
  zygoteWaits = true;
}

/** A blank's hello came: it is withheld until a program is laid out in it. */
export function blankArrived(blank: Blank, hostPid: HostPid): void {
  coming--;
  blank.hostPid = hostPid;
  setExpectedThread(blank.slot, hostPid);
  ready.push(blank);
}

/** A ready blank, or null: then one more is ordered, and the caller tries again after the next arrival. */
export function takeBlank(): Blank | null {
  const blank = ready.shift() ?? null;
  if (!blank) wanted++;
  return blank;
}

/** A blank died before it was used. */
export function forgetBlank(blank: Blank): void {
  const index = ready.indexOf(blank);
  if (index >= 0) ready.splice(index, 1);
  else coming--;
  freeSlot(blank.slot);
}

export function blanksMissing(): boolean {
  return zygoteWaits && ready.length + coming < READY + wanted;
}

/** Orders what is missing from the zygote, if it waits for orders. */
export function refillBlanks(): void {
  if (!blanksMissing()) return;
  const count = Math.min(BATCH, READY + wanted - ready.length - coming);
  wanted = 0;
  clearOrders(ZYGOTE_SLOT);
  let made = 0;
  for (; made < count; made++) {
    const slot = allocateSlot();
    if (slot < 0) break;
    const fd = FD_BLANK_SLOTS + made;
    if (native.addfd(ZYGOTE_SLOT, slotDescriptor(slot), fd, false) < 0) {
      freeSlot(slot);
      break;
    }
    setOwner(slot, new Blank(slot), 0);
    order(ZYGOTE_SLOT, ORDER_FORK, slot, 0, 0, 0, 1, fd);
  }
  if (made === 0) return;
  coming += made;
  zygoteWaits = false;
  writeAnswer(ZYGOTE_SLOT, 0, 0, 0, false);
  sendAnswer(ZYGOTE_SLOT);
  flushAnswers();
}
