// A model of how a call is handed over (native/stub/doorbell.c, native/addon/doorbell.c and spin.c), small enough that
// all its interleavings can be tried: one guest thread and the sentry, each with a store buffer, because on amd64 a
// store may become visible after a later load. Kernel calls empty the caller's buffer, as their locks do, and so do the
// sentry's sequentially consistent stores.

/** What can be taken out of the protocol, to see that the check would notice. */
export type Defect =
  | 'none'
  | 'late ring is not answered' // a ring for a call that was answered in memory meanwhile
  | 'withheld ring is forgotten' // a ring for a call that was taken in memory and is not answered yet
  | 'watched once, never rung' // the stub believes that the sentry watches it for good
  | 'answer before result' // H_DONE is stored before the result
  | 'served twice' // the sentry does not note what it took in memory
  | 'looks too soon' // the sentry looks whether the guest sleeps before it has said that it need not
  | 'sleeps unseen' // the guest parks without saying so
  | 'parked for good'; // the sentry wants a ring, and does not say so to who is parked

/**
 * What the guest asks for: answered at once, only after a wait, with a descriptor that it expects (FLAG_RINGS), or with
 * one that it does not (want() of the addon).
 */
export type CallKind = 'plain' | 'waits' | 'rings' | 'wants';

const SEQ = 0;
const FLAGS = 1;
const SPIN = 2;
const DONE = 3;
const RESULT = 4;
const PARK = 5;
const ASLEEP = 6;
const WORDS = 7;

interface Buffered {
  readonly word: number;
  readonly value: number;
}

interface State {
  readonly memory: readonly number[];
  readonly guest: {
    readonly at: 'post' | 'look' | 'last look' | 'park' | 'parking' | 'parked' | 'ring' | 'asleep' | 'over';
    /** Index of the current call; its sequence number is one more. */
    readonly call: number;
    readonly stores: readonly Buffered[];
    /** Whether a signal may still come while it is parked: one is enough to try, and must not be needed. */
    readonly signal: boolean;
  };
  readonly sentry: {
    readonly at:
      | 'idle'
      | 'serving'
      | 'withholding'
      | 'answering'
      | 'unparking'
      | 'unparking only'
      | 'waking'
      | 'wanting';
    readonly stores: readonly Buffered[];
    readonly served: number;
    readonly done: number;
    readonly spun: boolean;
    /** The stub was told to park; and it is still to be looked whether it sleeps. */
    readonly parked: boolean;
    readonly watching: boolean;
    /** The notification it has received and not answered. */
    readonly pending: boolean;
  };
  /** A notification waits to be received. */
  readonly rung: boolean;
  /** How often each call was served. */
  readonly counts: readonly number[];
}

type Guest = State['guest'];
type Sentry = State['sentry'];

const resultOf = (sequence: number): number => 100 + sequence;

function load(memory: readonly number[], stores: readonly Buffered[], word: number): number {
  for (let i = stores.length - 1; i >= 0; i--) if (stores[i].word === word) return stores[i].value;
  return memory[word];
}

function drain(memory: readonly number[], stores: readonly Buffered[]): number[] {
  const after = [...memory];
  for (const { word, value } of stores) after[word] = value;
  return after;
}

export class Model {
  readonly calls: readonly CallKind[];
  readonly defect: Defect;

  constructor(calls: readonly CallKind[], defect: Defect = 'none') {
    this.calls = calls;
    this.defect = defect;
  }

  start(): State {
    return {
      memory: new Array(WORDS).fill(0),
      guest: { at: 'post', call: 0, stores: [], signal: true },
      sentry: {
        at: 'idle',
        stores: [],
        served: 0,
        done: 0,
        spun: false,
        parked: false,
        watching: false,
        pending: false,
      },
      rung: false,
      counts: this.calls.map(() => 0),
    };
  }

  /** What is wrong with a state in which nothing can happen any more, or null. */
  judgeEnd({ guest, counts }: State): string | null {
    if (guest.at !== 'over') return `the guest waits for ever in call ${guest.call}, ${guest.at}`;
    return counts.every((count) => count === 1) ? null : `calls were served ${counts} times`;
  }

  /** All states that can follow. Throws when the guest goes on with a wrong result. */
  next(state: State): State[] {
    return [...this.guestSteps(state), ...this.sentrySteps(state)];
  }

  private guestSteps(state: State): State[] {
    const { guest, memory } = state;
    const { stores } = guest;
    const sequence = guest.call + 1;
    const next: State[] = [];
    const go = (change: Partial<Guest>, more: Partial<State> = {}): void => {
      next.push({ ...state, ...more, guest: { ...guest, ...change } });
    };
    if (stores.length > 0) {
      const [first, ...rest] = stores;
      go({ stores: rest }, { memory: drain(memory, [first]) });
    }
    switch (guest.at) {
      case 'post': {
        const rings = this.calls[guest.call] === 'rings';
        const posted = [...stores, { word: FLAGS, value: rings ? 1 : 0 }, { word: SEQ, value: sequence }];
        go({ at: rings ? 'ring' : 'look', stores: posted });
        break;
      }
      case 'look':
        // Its patience may end in any round.
        go({ at: 'last look' });
        if (load(memory, stores, DONE) === sequence) next.push(this.finish(state));
        if (load(memory, stores, PARK) === sequence) go({ at: 'park' });
        break;
      case 'park': {
        const said = this.defect === 'sleeps unseen' ? [] : [{ word: ASLEEP, value: 1 }];
        go({ at: 'parking', stores: [...stores, ...said] });
        break;
      }
      case 'parking': {
        // FUTEX_WAIT: the host compares once more, and sleeps.
        const after = drain(memory, stores);
        if (after[PARK] === sequence) go({ at: 'parked', stores: [] }, { memory: after });
        else go({ at: 'last look', stores: [{ word: ASLEEP, value: 0 }] }, { memory: after });
        break;
      }
      case 'parked':
        if (guest.signal) go({ at: 'parking', signal: false });
        break;
      case 'last look':
        if (load(memory, stores, DONE) === sequence) next.push(this.finish(state));
        else if (load(memory, stores, PARK) === sequence) go({ at: 'park' });
        else if (this.defect === 'watched once, never rung' && guest.call > 0) go({ at: 'look' });
        else go({ at: 'ring' });
        break;
      case 'ring':
        go({ at: 'asleep', stores: [] }, { memory: drain(memory, stores), rung: true });
        break;
      case 'asleep':
        // A signal, while the sentry has not received it: rung again with the same number.
        if (state.rung) go({ at: 'ring' }, { rung: false });
        break;
      case 'over':
        break;
    }
    return next;
  }

  /** The guest has its answer. */
  private finish(state: State): State {
    const { guest, memory } = state;
    const result = load(memory, guest.stores, RESULT);
    if (result !== resultOf(guest.call + 1)) throw new Error(`call ${guest.call} went on with result ${result}`);
    const call = guest.call + 1;
    return { ...state, guest: { ...guest, at: call === this.calls.length ? 'over' : 'post', call } };
  }

  private sentrySteps(state: State): State[] {
    const { sentry, memory } = state;
    const { stores } = sentry;
    const next: State[] = [];
    const go = (change: Partial<Sentry>, more: Partial<State> = {}): void => {
      next.push({ ...state, ...more, sentry: { ...sentry, ...change } });
    };
    if (stores.length > 0) {
      const [first, ...rest] = stores;
      go({ stores: rest }, { memory: drain(memory, [first]) });
    }
    if (sentry.watching) go({ watching: false, stores: [...stores, { word: SPIN, value: 0 }] });
    switch (sentry.at) {
      case 'idle': {
        const sequence = load(memory, stores, SEQ);
        if (sentry.watching && sequence !== sentry.served && load(memory, stores, FLAGS) === 0) {
          const served = this.defect === 'served twice' ? sentry.served : sequence;
          next.push(this.serve({ ...state, sentry: { ...sentry, served, spun: true } }, sequence));
        }
        break;
      }
      case 'serving': {
        const kind = this.calls[load(memory, stores, SEQ) - 1];
        go({ at: kind === 'plain' || kind === 'rings' ? 'answering' : 'withholding' });
        break;
      }
      case 'withholding':
        if (sentry.spun && !sentry.parked) {
          go({ parked: true, stores: [...stores, { word: PARK, value: sentry.served }] });
        }
        // What it waits for happens some time.
        if (this.calls[sentry.served - 1] !== 'wants' || sentry.pending) go({ at: 'answering' });
        else next.push(this.want(state));
        break;
      case 'answering':
        next.push(...this.answer(state));
        break;
      case 'unparking':
      case 'unparking only': {
        const after = drain(memory, [...stores, { word: PARK, value: 0 }]);
        const wakes = sentry.at === 'unparking';
        if (wakes && this.defect === 'looks too soon' && load(memory, stores, ASLEEP) === 0)
          go({ at: 'unparking only' });
        else go({ at: wakes ? 'waking' : this.afterUnparking(sentry), parked: false, stores: [] }, { memory: after });
        break;
      }
      case 'waking': {
        const sleeps = load(memory, stores, ASLEEP) === 1 && state.guest.at === 'parked';
        const guest: Guest = sleeps ? { ...state.guest, at: 'parking' } : state.guest;
        next.push({ ...state, guest, sentry: { ...sentry, at: this.afterUnparking(sentry) } });
        break;
      }
      case 'wanting':
        if (sentry.pending) go({ at: 'answering' });
        break;
    }
    const hears = sentry.at === 'idle' || sentry.at === 'withholding' || sentry.at === 'wanting';
    if (state.rung && hears) next.push(this.receive(state));
    return next;
  }

  private afterUnparking({ spun }: Sentry): Sentry['at'] {
    return spun ? 'wanting' : 'idle';
  }

  /** want() of the addon: the answer needs a ring. */
  private want(state: State): State {
    const { sentry } = state;
    const stores = [...sentry.stores, { word: SPIN, value: 0 }];
    const at = this.defect === 'parked for good' ? 'wanting' : 'unparking';
    return { ...state, sentry: { ...sentry, at, stores, watching: false } };
  }

  private serve(state: State, sequence: number): State {
    const counts = state.counts.map((count, call) => (call === sequence - 1 ? count + 1 : count));
    return { ...state, counts, sentry: { ...state.sentry, at: 'serving' } };
  }

  /** judge() of the addon. */
  private receive(state: State): State {
    const { sentry } = state;
    const memory = drain(state.memory, sentry.stores);
    const heard = { ...state, memory, rung: false, sentry: { ...sentry, stores: [] } };
    const sequence = memory[SEQ];
    if (sentry.done === sequence && !sentry.spun) {
      return this.defect === 'late ring is not answered' ? heard : this.finish(heard);
    }
    if (sentry.served !== sequence) {
      return this.serve({ ...heard, sentry: { ...heard.sentry, served: sequence, pending: true } }, sequence);
    }
    if (this.defect === 'withheld ring is forgotten') return heard;
    return { ...heard, sentry: { ...heard.sentry, pending: true, spun: false, parked: false } };
  }

  /** answer_at_once() of the addon: in memory, or by the kernel, with or without watching from now on. */
  private answer(state: State): State[] {
    const { sentry } = state;
    const result = { word: RESULT, value: resultOf(sentry.served) };
    if (sentry.spun && !sentry.pending) {
      const done = { word: DONE, value: sentry.served };
      const stores = this.defect === 'answer before result' ? [done, result] : [result, done];
      const after: Sentry = {
        ...sentry,
        at: sentry.parked ? 'unparking' : 'idle',
        spun: false,
        done: sentry.served,
        stores: [...sentry.stores, ...stores],
      };
      return [{ ...state, sentry: after }];
    }
    return [false, true].map((watch) => {
      const stores = watch ? [...sentry.stores, { word: SPIN, value: 1 }, result] : [...sentry.stores, result];
      const watching = watch || sentry.watching;
      const memory = drain(state.memory, stores);
      return this.finish({ ...state, memory, sentry: { ...sentry, at: 'idle', pending: false, watching, stores: [] } });
    });
  }
}

/**
 * Tries every interleaving. The number of states, or what went wrong: a state that is the end and should not be, or one
 * from which the end cannot be reached any more.
 */
export function explore(model: Model): number | string {
  const first = JSON.stringify(model.start());
  const sources = new Map<string, string[]>([[first, []]]);
  const ends: string[] = [];
  const open = [first];
  try {
    for (let key = open.pop(); key !== undefined; key = open.pop()) {
      const state = JSON.parse(key) as State;
      const next = model.next(state);
      const wrong = next.length === 0 ? model.judgeEnd(state) : null;
      if (wrong !== null) return wrong;
      if (next.length === 0) ends.push(key);
      for (const one of next) {
        const target = JSON.stringify(one);
        const known = sources.get(target);
        if (known) known.push(key);
        else open.push(target);
        if (!known) sources.set(target, [key]);
      }
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const good = new Set(ends);
  for (const key of good) for (const source of sources.get(key) ?? []) good.add(source);
  return good.size === sources.size ? good.size : `no end is reached from ${sources.size - good.size} states`;
}
