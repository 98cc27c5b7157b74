// The sentry's command line: which inherited descriptor is what. Written by the launcher (native/boot) only.

import type { HostFd, HostPid } from '../base/brands.ts';

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
