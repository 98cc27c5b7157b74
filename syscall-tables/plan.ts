// The stub's copy plan: which arguments of a call point to memory that the handler will want to see, so that the stub
// copies it into the slot before it rings. Only data that goes in; the sentry fetches itself what the plan leaves out.

import { ENTRIES } from './table.ts';
import { type Argument, needsHandler, STRUCT_SIZES, type SyscallEntry } from './types.ts';

export const PLAN_STRING = 1; // NUL-terminated, at most `size` bytes
export const PLAN_CONSTANT = 2; // `size` bytes
export const PLAN_COUNTED = 3; // argument[lengthArgument] elements of `size` bytes
export const PLAN_IOVEC = 4; // argument[lengthArgument] struct iovec, and what they point to

export const PLAN_MESSAGE = 5; // a struct msghdr with its vector, and (maxItems above 0) what it points to

/** More arguments than this are left to the sentry (pselect6's fifth). */
export const PLAN_ITEMS = 4;

/** Longer vectors are left to the sentry. */
const IOVEC_MAX = 16;
const IOVEC_SIZE = 16;
const STRING_MAX = 4096;

export interface PlanItem {
  readonly kind: number;
  readonly argument: number;
  readonly lengthArgument: number;
  readonly maxItems: number;
  readonly size: number;
}

/** What the stub captures of a call, in the order of its arguments. */
export function planOf(entry: SyscallEntry): PlanItem[] {
  if (!needsHandler(entry)) return [];
  return entry.args.flatMap((argument, index) => planItem(argument, index)).slice(0, PLAN_ITEMS);
}

/** The plan of every call that captures anything. */
export function copyPlan(): { entry: SyscallEntry; items: PlanItem[] }[] {
  return ENTRIES.map((entry) => ({ entry, items: planOf(entry) })).filter(({ items }) => items.length > 0);
}

function planItem({ kind, struct, length }: Argument, argument: number): PlanItem[] {
  const size = struct === null ? 1 : STRUCT_SIZES[struct];
  switch (kind) {
    case 'path':
    case 'string':
      return [{ kind: PLAN_STRING, argument, lengthArgument: 0, maxItems: 0, size: STRING_MAX }];
    case 'in':
    case 'inout':
      // Of a message that is to be received only where it is to go is wanted.
      if (struct === 'msghdr') {
        const maxItems = kind === 'in' ? IOVEC_MAX : 0;
        return [{ kind: PLAN_MESSAGE, argument, lengthArgument: 0, maxItems, size }];
      }
      return [{ kind: PLAN_CONSTANT, argument, lengthArgument: 0, maxItems: 0, size }];
    case 'array-in':
    case 'array-inout':
      return [{ kind: PLAN_COUNTED, argument, lengthArgument: length, maxItems: 0, size }];
    case 'buf-in':
    case 'sockaddr-in':
    case 'sized-in':
      return [{ kind: PLAN_COUNTED, argument, lengthArgument: length, maxItems: 0, size: 1 }];
    case 'iovec-in':
      return [{ kind: PLAN_IOVEC, argument, lengthArgument: length, maxItems: IOVEC_MAX, size: IOVEC_SIZE }];
    case 'iovec-out':
      return [{ kind: PLAN_COUNTED, argument, lengthArgument: length, maxItems: 0, size: IOVEC_SIZE }];
    default:
      return [];
  }
}
