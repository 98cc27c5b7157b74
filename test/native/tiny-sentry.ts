// A sentry without a kernel: boots the zygote, plays a scene with a guest process or two, and prints what it saw as one
// JSON line. Started inside the launcher's cage by boot.test.ts, which names the scene in the spec.

import { readdirSync, readFileSync, readSync, writeSync } from 'node:fs';
import type { HostFd, HostPid } from '../../src/base/brands.ts';
import { loadAddon } from '../../src/host/addon.ts';
import { host } from '../../src/host/calls.ts';
import {
  ACT_ASK_AGAIN,
  ACT_ORDER_RETURN,
  ACT_RESTART,
  ACT_SET_RETURN,
  CAPTURE_MAX,
  DOORBELL,
  H_ACT,
  H_ARGS,
  H_HELLO,
  H_IN,
  H_KIND,
  H_NIN,
  H_NORD,
  H_NOUT,
  H_NR,
  H_OUT,
  H_RET,
  H_RIP,
  H_SEQ,
  INTERRUPT_SIGNAL,
  KIND_INTERRUPT,
  MAX_SLOTS,
  ORDER_COPY,
  ORDER_EXIT_GROUP,
  ORDER_FORK,
  ORDER_FRAME,
  ORDER_JUMP,
  ORDER_SIGRETURN,
  ORDER_SYSCALL,
  ORDER_THREAD,
  SIGINFO_AREA,
  SLOT_ORDERS,
  SLOT_PAYLOAD,
  SLOT_SIZE,
  SLOTS_ADDR,
} from '../../src/platform/layout.ts';
import { INFO_PID, NEXT_EVENTS, native } from '../../src/platform/native.ts';

const SECOND = 1e9;
const SIGTSTP = 20;
const EPOLLIN = 1;
const SCRATCH = MAX_SLOTS * SLOT_SIZE;
/** Where scenes put their program, its data and its stack. */
const CODE = 0x10000000;
const DATA = CODE + 0x1000;
const STACK_TOP = CODE + 0x10000;

const SYS_WRITE = 1;
const SYS_MMAP = 9;
const SYS_MUNMAP = 11;
const SYS_WRITEV = 20;
const SYS_GETPID = 39;
const SYS_EXIT_GROUP = 231;
const SYS_OPENAT = 257;

const argument = (name: string): string =>
  process.argv.find((text) => text.startsWith(`--${name}=`))?.slice(name.length + 3) ?? '';
const descriptor = (name: string): HostFd => Number(argument(name)) as HostFd;

loadAddon('/cloister.node');
const arena = Buffer.from(native.arenaCreate());
const words = new Uint32Array(arena.buffer);

// ---- slots ----

const header = (slot: number): number => (slot * SLOT_SIZE) >>> 2;
const read32 = (slot: number, index: number): number => words[header(slot) + index];
const read64 = (slot: number, index: number): number => Number(arena.readBigInt64LE(slot * SLOT_SIZE + 4 * index));
const argumentOf = (slot: number, index: number): number => read64(slot, H_ARGS + 2 * index);

type Order = readonly number[];

/** Writes an answer; it goes out with the next wait. */
function answer(slot: number, act: number, result: number, orders: readonly Order[] = []): number {
  const at = slot * SLOT_SIZE;
  words[header(slot) + H_ACT] = act;
  words[header(slot) + H_NOUT] = 0;
  words[header(slot) + H_NORD] = orders.length;
  arena.writeBigInt64LE(BigInt(result), at + 4 * H_RET);
  for (const [index, order] of orders.entries()) {
    for (let i = 0; i < 8; i++) {
      arena.writeBigInt64LE(BigInt(order[i] ?? 0), at + SLOT_ORDERS + 64 * index + 8 * i);
    }
  }
  return slot;
}

/** Answers, and waits for the slot that rings next. */
function next(reply = -1): number {
  return native.next(reply, 5 * SECOND);
}

function captures(slot: number): string[] {
  return Array.from({ length: read32(slot, H_NIN) }, (_, i) => {
    const length = arena.readInt32LE(slot * SLOT_SIZE + 4 * (H_IN + 4 * i + 3));
    const at = slot * SLOT_SIZE + read32(slot, H_IN + 4 * i + 2);
    return length < 0 ? String(length) : arena.toString('latin1', at, at + Math.min(length, 40));
  });
}

// ---- programs ----

const le32 = (value: number): number[] => [value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >> 24) & 255];
const SYSCALL = [0x0f, 0x05];
const UD2 = [0x0f, 0x0b];
const SPIN = [0xeb, 0xfe];
const setEax = (value: number): number[] => [0xb8, ...le32(value)];
const setEdi = (value: number): number[] => [0xbf, ...le32(value)];
const setEsi = (value: number): number[] => [0xbe, ...le32(value)];
const setEdx = (value: number): number[] => [0xba, ...le32(value)];
const RAX_TO_RDI = [0x48, 0x89, 0xc7];
const exitWithRax = [...RAX_TO_RDI, ...setEax(SYS_EXIT_GROUP), ...SYSCALL];
const call = (nr: number, a = 0, b = 0, c = 0): number[] => [
  ...setEdi(a),
  ...setEsi(b),
  ...setEdx(c),
  ...setEax(nr),
  ...SYSCALL,
];

let lastSlot = 0;

/** A new thread rings before it does anything else. */
function askForHello(slot: number): void {
  words[header(slot) + H_HELLO] = 1;
}

/** Forks a blank off the zygote, which must be waiting for orders: the slot of the blank, which waits too. */
function forkBlank(): number {
  const slot = ++lastSlot;
  const fd = native.slotCreate(slot);
  native.addfd(0, fd, 20, false);
  askForHello(slot);
  const first = next(answer(0, 0, 0, [[ORDER_FORK, slot, 0, 0, 0, 20]]));
  const second = next();
  if (first + second !== slot || native.expected[slot] === 0) throw new Error(`rings: ${first} ${second}`);
  return slot;
}

/** Loads a program into a blank: the answer that starts it. */
function load(slot: number, code: readonly number[], data = ''): number {
  const payload = slot * SLOT_SIZE + SLOT_PAYLOAD;
  Buffer.from(code).copy(arena, payload);
  arena.write(data, payload + 0x1000, 'latin1');
  return answer(slot, 0, 0, [
    [ORDER_SYSCALL, SYS_MMAP, CODE, 0x10000, 7, 0x32, -1, 0],
    [ORDER_COPY, CODE, SLOT_PAYLOAD, code.length],
    [ORDER_COPY, DATA, SLOT_PAYLOAD + 0x1000, Math.max(1, data.length)],
    [ORDER_JUMP, CODE, STACK_TOP],
  ]);
}

const start = (code: readonly number[], data = ''): number => load(forkBlank(), code, data);

/** Ends a guest process that rang, and waits until the host says that it is gone. */
function end(slot: number): string {
  const pidfd = host.pidfd_open(native.expected[slot] as HostPid, 0) as HostFd;
  native.watch(pidfd, EPOLLIN, slot);
  return waitForEnd(pidfd, slot, answer(slot, 0, 0, [[ORDER_EXIT_GROUP]]));
}

function waitForEnd(pidfd: HostFd, slot: number, reply = -1): string {
  const woken = next(reply);
  const count = woken === NEXT_EVENTS ? native.events() : 0;
  native.unwatch(pidfd);
  host.close(pidfd);
  return count === 1 && native.readyTokens[0] === slot ? 'gone' : `next ${woken}, ${count} events`;
}

// ---- scenes ----

const scenes: Record<string, () => unknown> = {
  fork() {
    const slot = forkBlank();
    const pid = native.expected[slot];
    const elf = native.vmRead(pid, 0x7e0000000000, SCRATCH, 4);
    const pidfd = host.pidfd_open(pid as HostPid, 0) as HostFd;
    native.watch(pidfd, EPOLLIN, slot);
    host.pidfd_send_signal(pidfd, 9);
    return {
      elf: [elf, arena.toString('latin1', SCRATCH + 1, SCRATCH + 4)],
      death: waitForEnd(pidfd, slot),
      reply: native.reply(slot, false),
      again: forkBlank(),
    };
  },

  call() {
    const slot = next(start([...call(SYS_GETPID), ...exitWithRax]));
    const first = [read32(slot, H_NR), read64(slot, H_RIP) - CODE];
    const second = next(answer(slot, ACT_SET_RETURN, 1234));
    return { first, second: [read32(second, H_NR), argumentOf(second, 0)], death: end(second) };
  },

  restart() {
    const slot = next(start([...call(SYS_GETPID), ...exitWithRax]));
    const again = next(answer(slot, ACT_RESTART, 0));
    const rip = read64(again, H_RIP) - CODE;
    return { nr: read32(again, H_NR), rip, death: end(again) };
  },

  capture() {
    const strings = `hello\0${'p'.repeat(5000)}`;
    const vector = Buffer.alloc(32);
    vector.writeUInt32LE(DATA, 0);
    vector.writeUInt32LE(3, 8);
    vector.writeUInt32LE(1, 16);
    vector.writeUInt32LE(4, 24);
    const code = [
      ...call(SYS_WRITE, 1, DATA, 5),
      ...call(SYS_WRITE, 1, 0x1000, 5),
      ...call(SYS_WRITE, 1, DATA, CAPTURE_MAX + 1),
      ...call(SYS_OPENAT, 0, DATA),
      ...call(SYS_OPENAT, 0, DATA + 6),
      ...call(SYS_OPENAT, 0, 0),
      ...call(SYS_WRITEV, 1, DATA + 6000, 2),
      ...call(SYS_WRITEV, 1, DATA + 6000, 17),
    ];
    let slot = next(start([...code, ...exitWithRax], strings.padEnd(6000, '\0') + vector.toString('latin1')));
    const seen: string[][] = [];
    for (let i = 0; i < 8; i++) {
      seen.push(captures(slot).map((text) => text.replaceAll('\0', '.').slice(0, 8)));
      slot = next(answer(slot, ACT_SET_RETURN, 0));
    }
    return { seen, death: end(slot) };
  },

  results() {
    const slot = next(start([...call(SYS_GETPID), ...call(SYS_WRITE, 1, DATA, 4), ...exitWithRax]));
    const out = (address: number): number => {
      const at = slot * SLOT_SIZE + 4 * H_OUT;
      answer(slot, ACT_SET_RETURN, 7);
      words[header(slot) + H_NOUT] = 1;
      arena.writeBigUInt64LE(BigInt(address), at);
      arena.writeUInt32LE(SLOT_PAYLOAD, at + 8);
      arena.writeUInt32LE(4, at + 12);
      arena.write('done', slot * SLOT_SIZE + SLOT_PAYLOAD, 'latin1');
      return slot;
    };
    const written = captures(next(out(DATA)));
    const faulted = argumentOf(next(out(0x1000)), 0);
    return { written, faulted, death: end(slot) };
  },

  orders() {
    const blank = forkBlank();
    const fails = (...orders: Order[]): number[] => {
      const slot = next(answer(blank, 0, 0, orders));
      return [read32(slot, H_KIND), argumentOf(slot, 0), argumentOf(slot, 1)];
    };
    const munmap: Order = [ORDER_SYSCALL, SYS_MUNMAP, CODE, 0x1000];
    return {
      error: fails(munmap, [ORDER_SYSCALL, SYS_MUNMAP, 1, 0x1000], munmap),
      copy: fails([ORDER_COPY, 0x1000, SLOT_PAYLOAD, 8]),
      unknown: fails([99]),
      refused: fails([ORDER_SYSCALL, SYS_GETPID])[0],
      death: end(blank),
    };
  },

  orderReturn() {
    const slot = next(start([...call(SYS_GETPID), ...call(SYS_WRITE, 1, DATA, 4), ...exitWithRax]));
    const second = next(
      answer(slot, ACT_ORDER_RETURN | ACT_ASK_AGAIN, 0, [
        [ORDER_SYSCALL, SYS_MUNMAP, 1, 0x1000],
        [ORDER_COPY, DATA, SLOT_PAYLOAD, 4],
      ]),
    );
    const kind = read32(second, H_KIND);
    const result = Number(arena.readBigInt64LE(second * SLOT_SIZE + SLOT_ORDERS));
    next(answer(second, 0, 0));
    return { kind, result, written: captures(slot).length, death: end(slot) };
  },

  fault() {
    const slot = next(start([...UD2]));
    const illegal = [read32(slot, H_KIND), read32(slot, H_NR), argumentOf(slot, 3) - CODE, argumentOf(slot, 4)];
    const death = end(slot);
    const second = next(start([0x8b, 0x04, 0x25, ...le32(0x1234)]));
    const memory = [read32(second, H_NR), argumentOf(second, 1), argumentOf(second, 4), read64(second, H_RIP) - CODE];
    return { illegal, death, memory, secondDeath: end(second) };
  },

  foreign() {
    const slot = next(start([...setEax(20), 0xcd, 0x80, ...setEax(0x40000001), ...SYSCALL]));
    const int80 = read32(slot, H_NR);
    const x32 = read32(next(answer(slot, ACT_SET_RETURN, -38)), H_NR);
    return { int80, x32, death: end(slot) };
  },

  interrupt() {
    const slot = start([...setEax(-4), ...SPIN]);
    native.reply(slot, false);
    const pid = native.expected[slot] as HostPid;
    const seen: number[][] = [];
    for (let i = 0; i < 200; i++) {
      host.tgkill(pid, pid, INTERRUPT_SIGNAL);
      const rang = next();
      seen.push([rang, read32(slot, H_KIND), read32(slot, H_NR), read64(slot, H_RIP) - CODE]);
      if (i === 199) break;
      answer(slot, 0, 0);
      native.reply(slot, false);
    }
    const odd = seen
      .slice(1)
      .filter(
        ([rang, kind, nr, rip]) =>
          rang !== slot || kind !== KIND_INTERRUPT || nr !== 0xffffffff || (rip !== 5 && rip !== 0),
      );
    return { odd, death: end(slot) };
  },

  signal() {
    // The handler loads r8, clears zmm-wide state and returns by its restorer; the program then exits with r9.
    const program = [
      ...[0x41, 0xb9, ...le32(77)], // mov $77, %r9d
      ...[0x66, 0x49, 0x0f, 0x6e, 0xc1], // movq %r9, %xmm0
      ...call(SYS_GETPID),
      ...[0x66, 0x48, 0x0f, 0x7e, 0xc0], // movq %xmm0, %rax
      ...exitWithRax,
    ];
    const handler = [...[0x41, 0xb9, ...le32(1)], ...[0x0f, 0x57, 0xc0], 0xc3]; // mov $1, %r9d; xorps; ret
    const restorer = [...setEax(15), ...SYSCALL];
    const code = [...program, ...handler, ...restorer];
    const slot = next(start(code));
    const handlerAt = CODE + program.length;
    const mask = 0x1234;
    const returned = next(
      answer(slot, ACT_SET_RETURN, 5, [
        [ORDER_FRAME, 10, handlerAt, handlerAt + handler.length, mask, 0, 0, SIGINFO_AREA],
      ]),
    );
    const sigreturn = [read32(returned, H_NR), argumentOf(returned, 0), argumentOf(returned, 3)];
    const last = next(answer(returned, 0, 0, [[ORDER_SIGRETURN]]));
    return { sigreturn, exit: [read32(last, H_NR), argumentOf(last, 0)], death: end(last) };
  },

  badFrame() {
    const slot = next(start([...call(SYS_GETPID)]));
    const failed = next(
      answer(slot, 0, 0, [[ORDER_FRAME, 10, CODE, CODE, 0, 0x1000, -(2 ** 63) + 0x2000, SIGINFO_AREA]]),
    );
    return { kind: read32(failed, H_KIND), death: end(failed) };
  },

  thread() {
    const slot = next(start([...call(SYS_GETPID), ...exitWithRax]));
    const other = ++lastSlot;
    native.addfd(slot, native.slotCreate(other), 13, false);
    askForHello(other);
    const order = [ORDER_THREAD, other, 1, STACK_TOP - 0x4000, 0, 0, 0x50f00, 13];
    const both = [next(answer(slot, ACT_ORDER_RETURN, 0, [order])), next()].sort((a, b) => a - b);
    const apart = native.expected[slot] !== native.expected[other];
    native.reply(answer(other, 0, 0), false);
    next();
    // The host's number for the thread in the one, 0 in the other.
    const results = [argumentOf(other, 0), argumentOf(slot, 0) > 0];
    return { rang: both[0] === slot && both[1] === other, apart, results, death: end(slot) };
  },

  forged() {
    // A guest rings in another's name, with a slot that does not exist, and with a wrong number: refused each time.
    const blank = forkBlank();
    const victim = forkBlank();
    const ring = (slot: number, sequence: number): unknown => {
      const refused = next(answer(blank, 0, 0, [[ORDER_SYSCALL, DOORBELL, slot, sequence]]));
      const who = native.info[INFO_PID] === native.expected[blank];
      return [refused, who, next() === blank, argumentOf(blank, 1)];
    };
    return {
      name: ring(victim, read32(victim, H_SEQ)),
      number: ring(blank, read32(blank, H_SEQ) + 5),
      none: ring(4000, 1),
      beyond: ring(2 ** 31, 1),
      victim: [native.idValid(victim), end(victim)],
      blank: end(blank),
    };
  },

  selfDestruction() {
    const blank = forkBlank();
    const slotAddress = SLOTS_ADDR + blank * SLOT_SIZE;
    const pidfd = host.pidfd_open(native.expected[blank] as HostPid, 0) as HostFd;
    native.watch(pidfd, EPOLLIN, blank);
    const death = waitForEnd(pidfd, blank, answer(blank, 0, 0, [[ORDER_SYSCALL, SYS_MUNMAP, slotAddress, SLOT_SIZE]]));
    return { death, next: forkBlank() > blank };
  },

  streams() {
    return {
      options: process.argv.filter((text) => text.startsWith('--stdio-fd=')).map((text) => text.split(':')[0]),
      binds: process.argv.filter((text) => text.startsWith('--bind')).map((text) => text.replace(/\d+$/, '')),
    };
  },

  /** What of the host can be reached by descriptors and by paths. */
  view() {
    const rootfs = descriptor('rootfs-fd');
    const open = (path: string): boolean => {
      const fd = host.openat2(rootfs, path, 0o10000000, 0, 0) as HostFd; // O_PATH
      if (fd >= 0) host.close(fd);
      return fd >= 0;
    };
    const read = (path: string): string => {
      const fd = host.openat2(descriptor('proc-fd'), path, 0, 0, 0) as HostFd;
      const length = host.pread64(fd, SCRATCH, 8192, 0);
      host.close(fd);
      return arena.toString('latin1', SCRATCH, SCRATCH + Math.max(0, length));
    };
    const rights = (pid: number | string): string[] =>
      read(`${pid}/status`).match(/^(Cap|NoNewPrivs|Seccomp:).*$/gm) ?? [];
    return {
      rootfs: [open('../../../etc/passwd'), open('marker'), host.mkdirat(rootfs, 'x', 0o700)],
      root: readdirSync('/'),
      init: rights(1),
      sentry: rights('self'),
      zygote: rights(native.expected[0]),
    };
  },

  wait() {
    writeSync(1, '{"waiting":true}\n');
    const control = descriptor('control-fd');
    native.watch(control, EPOLLIN, 1);
    const signals: number[] = [];
    while (signals.at(-1) !== 15) {
      next();
      native.events();
      host.read(control, SCRATCH, 1);
      signals.push(arena[SCRATCH]);
      if (arena[SCRATCH] !== SIGTSTP) continue;
      arena.write('S', SCRATCH, 'latin1');
      host.write(control, SCRATCH, 1);
    }
    return { signals };
  },

  crash() {
    process.kill(process.pid, 'SIGSEGV');
  },
};

const attached = native.attach(descriptor('slot0-fd'), descriptor('zygote-pid') as unknown as HostPid, false);
if (attached < 0) throw new Error(`attach: ${attached}`);
if (next() !== 0) throw new Error('the zygote did not ring');
writeSync(descriptor('init-fd'), 'ready\n');
readSync(descriptor('init-fd'), Buffer.alloc(8));
const scene = readFileSync(descriptor('spec-fd'), 'latin1').trim();
let result: unknown;
try {
  result = scenes[scene]();
} catch (error) {
  result = { error: String(error) };
}
writeSync(1, `${JSON.stringify(result)}\n`);
host.exit(7);
