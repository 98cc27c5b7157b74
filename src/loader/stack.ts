// The initial stack of a program (the psABI's process initialization): strings, random bytes, auxiliary vector,
// environment, arguments, argc. Built as bytes that are then copied to the top of the fresh stack.

import {
  AT_BASE,
  AT_CLKTCK,
  AT_EGID,
  AT_ENTRY,
  AT_EUID,
  AT_EXECFN,
  AT_FLAGS,
  AT_GID,
  AT_HWCAP,
  AT_HWCAP2,
  AT_MINSIGSTKSZ,
  AT_NULL,
  AT_PAGESZ,
  AT_PHDR,
  AT_PHENT,
  AT_PHNUM,
  AT_PLATFORM,
  AT_RANDOM,
  AT_SECURE,
  AT_SYSINFO_EHDR,
  AT_UID,
} from '../abi/auxv.ts';
import { PHDR_SIZE } from '../abi/elf.ts';
import { E2BIG } from '../abi/errno.ts';
import type { Credentials } from '../base/credentials.ts';
import { shownId } from '../base/user-namespace.ts';
import { PAGE_SIZE } from './elf.ts';

const CLOCK_TICKS = 100;
const RANDOM_SIZE = 16;
/** MAX_ARG_STRLEN, and the least that all strings together may take whatever the stack limit. */
const MAX_STRING = 131072;
const LEAST_TOTAL = 131072;
const MOST_TOTAL = 6 << 20;

export interface StackInput {
  args: readonly string[];
  environment: readonly string[];
  name: string;
  random: Uint8Array;
  credentials: Credentials;
  secure: boolean;
  entry: number;
  base: number;
  headers: number;
  headerCount: number;
  vdso: number;
  hwcap: number;
  hwcap2: number;
  minSigStackSize: number;
}

export interface StackImage {
  bytes: Buffer;
  stackPointer: number;
  argStart: number;
  argEnd: number;
  envStart: number;
  envEnd: number;
  auxv: Uint8Array;
}

/** -E2BIG when strings and pointers would take more than a quarter of the stack limit, or one string is too long. */
export function checkArgumentSize(args: readonly string[], environment: readonly string[], stackLimit: number): number {
  const most = Math.max(LEAST_TOTAL, Math.min(MOST_TOTAL, Math.floor(stackLimit / 4)));
  let total = 0;
  for (const list of [args, environment]) {
    for (const text of list) {
      if (text.length >= MAX_STRING) return -E2BIG;
      total += text.length + 1 + 8;
    }
  }
  return total > most ? -E2BIG : 0;
}

/** Lays out the stack below `top` (page-aligned). */
export function buildStack(top: number, input: StackInput): StackImage {
  const strings = [...input.args, ...input.environment, input.name];
  const stringBytes = strings.reduce((sum, text) => sum + text.length + 1, 0);
  // The kernel leaves eight zero bytes at the very top.
  const stringsAt = top - 8 - stringBytes;
  const platformAt = stringsAt - 16 - (stringsAt % 16);
  const randomAt = platformAt - RANDOM_SIZE;
  const auxiliary = auxiliaryVector(input, { platformAt, randomAt, nameAt: top - 8 - input.name.length - 1 });
  const words = 1 + input.args.length + 1 + input.environment.length + 1 + auxiliary.length;
  const lowest = randomAt - words * 8;
  const stackPointer = lowest - (lowest % 16);
  const bytes = Buffer.alloc(top - stackPointer);
  const put = (address: number, text: string) => bytes.write(text, address - stackPointer, 'latin1');

  let string = stringsAt;
  const addresses = strings.map((text) => {
    const at = string;
    put(at, text);
    string += text.length + 1;
    return at;
  });
  put(platformAt, 'x86_64');
  bytes.set(input.random, randomAt - stackPointer);

  let word = 0;
  const push = (value: number) => writeWord(bytes, 8 * word++, value);
  push(input.args.length);
  for (let i = 0; i < input.args.length; i++) push(addresses[i]);
  push(0);
  for (let i = 0; i < input.environment.length; i++) push(addresses[input.args.length + i]);
  push(0);
  const auxvAt = 8 * word;
  for (const value of auxiliary) push(value);
  const envStart = addresses[input.args.length] ?? top;
  return {
    bytes,
    stackPointer,
    argStart: stringsAt,
    argEnd: envStart,
    envStart,
    envEnd: addresses[strings.length - 1],
    auxv: Uint8Array.from(bytes.subarray(auxvAt, 8 * word)),
  };
}

function auxiliaryVector(
  input: StackInput,
  at: { platformAt: number; randomAt: number; nameAt: number },
): readonly number[] {
  const { credentials } = input;
  const { user } = credentials;
  const pairs: (readonly [number, number])[] = [
    [AT_SYSINFO_EHDR, input.vdso],
    [AT_MINSIGSTKSZ, input.minSigStackSize],
    [AT_HWCAP, input.hwcap],
    [AT_PAGESZ, PAGE_SIZE],
    [AT_CLKTCK, CLOCK_TICKS],
    [AT_PHDR, input.headers],
    [AT_PHENT, PHDR_SIZE],
    [AT_PHNUM, input.headerCount],
    [AT_BASE, input.base],
    [AT_FLAGS, 0],
    [AT_ENTRY, input.entry],
    [AT_UID, shownId(user.uidMap, credentials.uid)],
    [AT_EUID, shownId(user.uidMap, credentials.euid)],
    [AT_GID, shownId(user.gidMap, credentials.gid)],
    [AT_EGID, shownId(user.gidMap, credentials.egid)],
    [AT_SECURE, input.secure ? 1 : 0],
    [AT_RANDOM, at.randomAt],
    [AT_HWCAP2, input.hwcap2],
    [AT_EXECFN, at.nameAt],
    [AT_PLATFORM, at.platformAt],
    [AT_NULL, 0],
  ];
  return pairs.filter(([type, value]) => type !== AT_SYSINFO_EHDR || value !== 0).flat();
}

function writeWord(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32LE(value % 4294967296, at);
  bytes.writeUInt32LE(Math.floor(value / 4294967296), at + 4);
}
