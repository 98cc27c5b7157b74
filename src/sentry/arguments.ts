// The sentry's command line: which inherited descriptor is what. Written by the launcher (native/boot) only. A sentry that
// has a head start (native/boot/front.c) is told the most of it later, in a message with the descriptors.

import { closeSync, readSync } from 'node:fs';
import { EAGAIN } from '../abi/errno.ts';
import type { HostFd, HostPid } from '../base/brands.ts';
import { host } from '../host/calls.ts';
import { allocateScratch, buffer, i32, markScratch, releaseScratch } from '../platform/arena.ts';

/** A bound host path: a detached tree, whose root is a directory or a single file. */
export interface BoundTree {
  fd: HostFd;
  isDirectory: boolean;
}

export interface SentryArguments {
  rootfs: HostFd;
  binds: Map<string, BoundTree>;
  /** procfs of the sandbox's pid namespace, or -1 when it could not be mounted. */
  proc: HostFd;
  /** A tmpfs for files in memory, or -1 when it could not be mounted. */
  memory: HostFd;
  /** Another, without large pages. */
  sparse: HostFd;
  /** Files of the host's procfs that tell of the machine, by name. */
  machine: Map<string, HostFd>;
  slot0: HostFd;
  /** Where the rest of all this is still to come from, or -1. */
  late: HostFd;
  /** Calls come by ptrace. */
  traced: boolean;
  zygotePid: HostPid;
  /** To the launcher's outer process: a byte per caught signal comes, a byte to stop it goes. */
  control: HostFd;
  /** Started in the background of its terminal. */
  background: boolean;
  /** The ready/go handshake with init. */
  init: HostFd;
  spec: HostFd;
  log: HostFd;
  /** Whoever makes the container waits here until it is there; -1 when nobody does. */
  sync: HostFd;
  /** The listening control socket of a container, or -1. */
  listen: HostFd;
  /** Where low ports of the host's network are asked for, or -1. */
  ports: HostFd;
  /** More descriptors for the program, by the number it has them under. */
  passed: Map<number, HostFd>;
  /** Non-blocking re-openings of the standard streams, -1 where the inherited one serves. */
  stdio: HostFd[];
}

export function parseSentryArguments(argv: readonly string[]): SentryArguments {
  const none = -1 as HostFd;
  const result: SentryArguments = {
    rootfs: none,
    binds: new Map(),
    proc: none,
    memory: none,
    sparse: none,
    machine: new Map(),
    slot0: none,
    late: none,
    traced: false,
    zygotePid: 0 as HostPid,
    control: none,
    background: false,
    init: none,
    spec: none,
    log: 2 as HostFd,
    sync: none,
    listen: none,
    ports: none,
    passed: new Map(),
    stdio: [none, none, none],
  };
  for (const argument of argv) parseArgument(result, argument);
  return result;
}

const LATE_SIZE = 1 << 16;
const DESCRIPTORS_SIZE = 254 * 4;

/** Waits for the rest of the arguments, if it is still to come. The arena must be there. */
export function receiveLate(result: SentryArguments): void {
  if (result.late < 0) return;
  // A byte that can be waited for, and the message. Who would send it cannot die without us.
  if (readSync(result.late, Buffer.alloc(1)) !== 1) throw new Error('the launcher is gone');
  const mark = markScratch();
  const at = allocateScratch(LATE_SIZE);
  const descriptorsAt = allocateScratch(DESCRIPTORS_SIZE);
  let length: number;
  do length = host.receive(result.late, at, LATE_SIZE, descriptorsAt);
  while (length === -EAGAIN);
  let next = (descriptorsAt >> 2) + 1;
  for (const text of buffer.latin1Slice(at, at + length - 1).split('\0')) {
    parseArgument(result, /[=:]$/.test(text) ? `${text}${i32[next++]}` : text);
  }
  releaseScratch(mark);
  closeSync(result.late);
}

function parseArgument(result: SentryArguments, argument: string): void {
  const equals = argument.indexOf('=');
  const value = argument.slice(equals + 1);
  const colon = value.lastIndexOf(':');
  const fd = Number(value.slice(colon + 1)) as HostFd;
  switch (argument.slice(0, equals)) {
    case '--rootfs-fd':
      result.rootfs = fd;
      break;
    case '--bind-fd':
    case '--bind-file-fd':
      result.binds.set(value.slice(0, colon), { fd, isDirectory: argument.startsWith('--bind-fd') });
      break;
    case '--proc-fd':
      result.proc = fd;
      break;
    case '--memory-fd':
      result.memory = fd;
      break;
    case '--sparse-fd':
      result.sparse = fd;
      break;
    case '--machine-fd':
      result.machine.set(value.slice(0, colon), fd);
      break;
    case '--ports-fd':
      result.ports = fd;
      break;
    case '--late-fd':
      result.late = fd;
      break;
    case '--traced':
      result.traced = true;
      break;
    case '--slot0-fd':
      result.slot0 = fd;
      break;
    case '--zygote-pid':
      result.zygotePid = Number(value) as HostPid;
      break;
    case '--control-fd':
      result.control = fd;
      break;
    case '--background':
      result.background = true;
      break;
    case '--init-fd':
      result.init = fd;
      break;
    case '--spec-fd':
      result.spec = fd;
      break;
    case '--log-fd':
      result.log = fd;
      break;
    case '--sync-fd':
      result.sync = fd;
      break;
    case '--listen-fd':
      result.listen = fd;
      break;
    case '--pass-fd':
      result.passed.set(Number(value.slice(0, colon)), fd);
      break;
    case '--stdio-fd':
      result.stdio[Number(value.slice(0, colon))] = fd;
      break;
    default:
      throw new Error(`unknown argument ${argument}: launcher and sentry are not of one build (npm run build)`);
  }
}
