// Zygotes and their blanks. A zygote is a stub process with nothing in it; a blank is a fork of it that waits, its hello
// withheld, for a program to be laid out in it (exec). A few are kept ready. The sandbox has a zygote of its own, in its
// cgroup on the host; a container that joined has another in its cgroup, which is where its programs are counted then.

import type { HostPid } from '../base/brands.ts';
import { clearOrders, flushAnswers, order, sendAnswer, writeAnswer } from './answer.ts';
import { u32 } from './arena.ts';
import { ACT_ASK_AGAIN, FD_BLANK_SLOTS, H_HELLO, ORDER_EXIT_GROUP, ORDER_FORK, SLOT_SIZE } from './layout.ts';
import { native } from './native.ts';
import { allocateSlot, freeSlot, setExpectedThread, setOwner, slotDescriptor, slotsLeft } from './slots.ts';

const ZYGOTE_SLOT = 0;
/** How many one order makes at most. */
const BATCH = 8;

/** How many blanks are kept ready, and so few are left when more are made. */
interface Stock {
  readonly ready: number;
  readonly few: number;
}

export class Blank {
  readonly slot: number;
  readonly zygote: Zygote;
  /** The CPU on which it is held; negative if it is not. */
  readonly heldOn: number;
  /** Its host process; 0 until its hello. */
  hostPid: HostPid = 0 as HostPid;

  constructor(slot: number, zygote: Zygote, heldOn: number) {
    this.slot = slot;
    this.zygote = zygote;
    this.heldOn = heldOn;
  }

  /** Its process ends. */
  discard(): void {
    clearOrders(this.slot);
    order(this.slot, ORDER_EXIT_GROUP);
    writeAnswer(this.slot, 0, 0, 0, false);
    sendAnswer(this.slot);
    flushAnswers();
    freeSlot(this.slot);
  }
}

export class Zygote {
  private readonly slot: number;
  private readonly stock: Stock;
  /** What its answers say: one that was a blank is in the midst of its orders, and asks for more. */
  private readonly act: number;
  private readonly ready: Blank[] = [];
  /** Those that it was told to make and that have not been heard of. */
  private readonly coming = new Set<Blank>();
  private waits = false;
  /** How many tasks wait for a blank; the kernel keeps the queue. */
  private wanted = 0;
  /** Who waits for one that is to become a zygote. */
  private readonly claims: ((blank: Blank) => void)[] = [];
  /** The CPU that it is held on, and that its next blanks start on; negative before the first. */
  private heldOn = -1;
  /** What it was told to make last. */
  private batch: Blank[] = [];
  /** The host made no more processes of late: none are asked for ahead of need. */
  private refused = false;
  private ended = false;

  constructor(slot: number, stock: Stock, act: number) {
    this.slot = slot;
    this.stock = stock;
    this.act = act;
    zygotes.push(this);
  }

  /** A zygote that was a blank of another's. */
  static of({ slot, hostPid }: Blank): Zygote {
    const zygote = new Zygote(slot, CONTAINERS_STOCK, ACT_ASK_AGAIN);
    setOwner(slot, zygote, hostPid);
    native.stay(slot);
    zygote.rang();
    return zygote;
  }

  /** It can take orders. */
  rang(): void {
    this.waits = true;
    if (this.ended) this.leave();
  }

  /** The host refused (a limit) the blank that was order `index` of the last batch; those behind it were not tried. */
  blanksRefused(index: number): void {
    for (const blank of this.batch.slice(index)) this.forget(blank);
    this.refused = true;
  }

  private forget(blank: Blank): void {
    if (this.coming.delete(blank)) freeSlot(blank.slot);
  }

  /** A blank's hello came: it is withheld until a program is laid out in it. */
  blankArrived(blank: Blank, hostPid: HostPid): void {
    if (!this.coming.delete(blank)) return;
    this.refused = false;
    blank.hostPid = hostPid;
    setExpectedThread(blank.slot, hostPid);
    if (this.ended) return blank.discard();
    const claim = this.claims.shift();
    if (claim) claim(blank);
    else this.ready.push(blank);
  }

  /** A ready blank, or null: then one more is ordered, and the caller tries again after the next arrival. */
  takeBlank(): Blank | null {
    for (let blank = this.ready.shift(); blank; blank = this.ready.shift()) {
      if (native.idValid(blank.slot) === 0) return blank;
      // Killed on the host while it waited.
      freeSlot(blank.slot);
    }
    this.wanted++;
    return null;
  }

  /** Hands over a blank, now or later. */
  claimBlank(claim: (blank: Blank) => void): void {
    const blank = this.takeBlank();
    if (blank) return claim(blank);
    this.claims.push(claim);
    this.refill();
  }

  isMissing(): boolean {
    if (!this.waits || this.ended || ((this.refused || slotsLeft() === 0) && this.wanted === 0)) return false;
    return this.ready.length + this.coming.size <= this.stock.few + this.wanted;
  }

  /** Orders what is missing, if it waits for orders. */
  refill(): void {
    if (!this.isMissing()) return;
    const { slot } = this;
    const stock = (this.refused ? 0 : this.stock.ready) + this.wanted;
    const count = Math.min(BATCH, stock - this.ready.length - this.coming.size);
    this.wanted = 0;
    clearOrders(slot);
    // Blanks start where their hello costs least; who executes a program in one lets it go (kernel/placement.ts).
    this.heldOn = native.hold(native.expected[slot], this.heldOn);
    this.batch = [];
    while (this.batch.length < count && this.orderBlank());
    if (this.batch.length === 0) {
      this.refused = true;
      return;
    }
    this.send();
  }

  private orderBlank(): boolean {
    const slot = allocateSlot();
    if (slot < 0) return false;
    const fd = FD_BLANK_SLOTS + this.batch.length;
    if (native.addfd(this.slot, slotDescriptor(slot), fd, false) < 0) {
      freeSlot(slot);
      return false;
    }
    const blank = new Blank(slot, this, this.heldOn);
    this.batch.push(blank);
    this.coming.add(blank);
    setOwner(slot, blank, 0);
    u32[((slot * SLOT_SIZE) >>> 2) + H_HELLO] = 1;
    order(this.slot, ORDER_FORK, slot, 0, 0, 0, fd);
    return true;
  }

  private send(): void {
    this.waits = false;
    writeAnswer(this.slot, this.act, 0, 0, false);
    sendAnswer(this.slot);
    flushAnswers();
  }

  /** Nobody executes programs here any more: it ends, and its blanks with it. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    for (const blank of this.ready.splice(0)) blank.discard();
    if (this.waits) this.leave();
  }

  private leave(): void {
    clearOrders(this.slot);
    order(this.slot, ORDER_EXIT_GROUP);
    this.send();
  }

  /** Its process is gone. What it was told to make and was not heard of is refused when it rings after all. */
  gone(): void {
    this.ended = true;
    for (const blank of [...this.coming]) this.forget(blank);
    for (const blank of this.ready.splice(0)) blank.discard();
    zygotes.splice(zygotes.indexOf(this), 1);
    freeSlot(this.slot);
  }
}

const zygotes: Zygote[] = [];
/** In a container a program is seldom long in coming; and there may be many containers. */
const CONTAINERS_STOCK = { ready: 2, few: 0 };

/** That of the sandbox, which the launcher made. */
export const firstZygote = new Zygote(ZYGOTE_SLOT, { ready: 4, few: 1 }, 0);

export function blanksMissing(): boolean {
  for (const zygote of zygotes) if (zygote.isMissing()) return true;
  return false;
}

export function refillBlanks(): void {
  for (const zygote of zygotes) zygote.refill();
}
