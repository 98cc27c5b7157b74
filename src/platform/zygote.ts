// The zygote and its blanks. The zygote is a stub process with nothing in it; a blank is a fork of it that waits, its
// hello withheld, for a program to be laid out in it (exec). A few are kept ready.

import type { HostPid } from '../base/brands.ts';
import { clearOrders, flushAnswers, order, sendAnswer, writeAnswer } from './answer.ts';
import { FD_BLANK_SLOTS, ORDER_FORK } from './layout.ts';
import { native } from './native.ts';
import { allocateSlot, freeSlot, setExpectedThread, setOwner, slotDescriptor, slotsLeft } from './slots.ts';

const ZYGOTE_SLOT = 0;
/** Blanks kept ready; so few are left when more are made, several with one order; and how many that makes at most. */
const READY = 4;
const FEW = 1;
const BATCH = 8;

export class Blank {
  readonly slot: number;
  /** The CPU on which it is held; negative if it is not. */
  readonly heldOn: number;
  /** Its host process; 0 until its hello. */
  hostPid: HostPid = 0 as HostPid;

  constructor(slot: number, heldOn: number) {
    this.slot = slot;
    this.heldOn = heldOn;
  }
}

const ready: Blank[] = [];
let coming = 0;
let zygoteWaits = false;
/** How many tasks wait for a blank; the kernel keeps the queue. */
let wanted = 0;
/** The CPU that the zygote is held on, and that its next blanks start on; negative before the first. */
let heldOn = -1;
/** What the zygote was told to make last. */
let batch: Blank[] = [];
/** The host made no more processes of late: none are asked for ahead of need. */
let refused = false;

/** The zygote rang: it can take orders. */
export function zygoteRang(): void {
  zygoteWaits = true;
}

/** The host refused (a limit) the blank that was order `index` of the last batch; those behind it were not tried. */
export function blanksRefused(index: number): void {
  for (const blank of batch.slice(index)) {
    coming--;
    freeSlot(blank.slot);
  }
  refused = true;
}

/** A blank's hello came: it is withheld until a program is laid out in it. */
export function blankArrived(blank: Blank, hostPid: HostPid): void {
  coming--;
  refused = false;
  blank.hostPid = hostPid;
  setExpectedThread(blank.slot, hostPid);
  ready.push(blank);
}

/** A ready blank, or null: then one more is ordered, and the caller tries again after the next arrival. */
export function takeBlank(): Blank | null {
  for (let blank = ready.shift(); blank; blank = ready.shift()) {
    if (native.idValid(blank.slot) === 0) return blank;
    // Killed on the host while it waited.
    freeSlot(blank.slot);
  }
  wanted++;
  return null;
}

export function blanksMissing(): boolean {
  if (!zygoteWaits || ((refused || slotsLeft() === 0) && wanted === 0)) return false;
  return ready.length + coming <= FEW + wanted;
}

/** Orders what is missing from the zygote, if it waits for orders. */
export function refillBlanks(): void {
  if (!blanksMissing()) return;
  const count = Math.min(BATCH, (refused ? 0 : READY) + wanted - ready.length - coming);
  wanted = 0;
  clearOrders(ZYGOTE_SLOT);
  // Blanks start where their hello costs least; who executes a program in one lets it go (kernel/placement.ts).
  heldOn = native.hold(native.expected[ZYGOTE_SLOT], heldOn);
  batch = [];
  while (batch.length < count) {
    const slot = allocateSlot();
    if (slot < 0) break;
    const fd = FD_BLANK_SLOTS + batch.length;
    if (native.addfd(ZYGOTE_SLOT, slotDescriptor(slot), fd, false) < 0) {
      freeSlot(slot);
      break;
    }
    const blank = new Blank(slot, heldOn);
    batch.push(blank);
    setOwner(slot, blank, 0);
    order(ZYGOTE_SLOT, ORDER_FORK, slot, 0, 0, 0, 1, fd);
  }
  if (batch.length === 0) {
    refused = true;
    return;
  }
  coming += batch.length;
  zygoteWaits = false;
  writeAnswer(ZYGOTE_SLOT, 0, 0, 0, false);
  sendAnswer(ZYGOTE_SLOT);
  flushAnswers();
}
