// The sentry's main: binds the native parts, builds the guest's world from the spec, starts its first process, and
// enters the event loop. The launcher has made the namespaces and the empty root around it (native/boot).

import { closeSync, readFileSync, readSync, writeSync } from 'node:fs';
import { setFlagsFromString, startupSnapshot } from 'node:v8';
import { LOCK_NETWORK, LOCK_TRACING } from '../../syscall-tables/sentry.ts';
import type { HostFd } from '../base/brands.ts';
import { monotonicNow } from '../base/clock.ts';
import { parseSandboxSpec, type SandboxSpec } from '../base/spec.ts';
import { enableCoreDumps } from '../fs/core/dump.ts';
import { hostUsageReader } from '../fs/proc/host-usage.ts';
import { presetSysctl } from '../fs/proc/sysctl.ts';
import { loadAddon } from '../host/addon.ts';
import { host } from '../host/calls.ts';
import { rootCgroup } from '../kernel/cgroups.ts';
import { patching, setExecFailureHook } from '../kernel/exec.ts';
import { kernel } from '../kernel/kernel.ts';
import { initialNamespaces } from '../kernel/namespaces.ts';
import { traceAll } from '../kernel/own-answers.ts';
import { installTimerHooks } from '../kernel/process-timers.ts';
import { setHostUsageReader } from '../kernel/usage.ts';
import { showOutsideMaps } from '../kernel/user-namespaces.ts';
import { bindArena } from '../platform/arena.ts';
import { setHostProc } from '../platform/host-proc.ts';
import { countCpus } from '../platform/machine.ts';
import { setMemoryDirectories } from '../platform/memory-file.ts';
import { native } from '../platform/native.ts';
import { bindHandlers, setDispatchLog, setTracer } from '../syscalls/dispatch.ts';
import { Unimplemented } from '../trace/unimplemented.ts';
import { parseSentryArguments, receiveLate, type SentryArguments } from './arguments.ts';
import { tellReady, watchControl } from './console.ts';
import { awaitStart, serveControl } from './control.ts';
import { prepareEnd } from './end.ts';
import { execFailed } from './exec.ts';
import { execute, prepareFirstProcess } from './first-process.ts';
import { startLoop } from './loop.ts';
import { mountRoot } from './mounts.ts';
import { openOutside } from './network.ts';
import { CANNOT_START, StartError } from './start-error.ts';
import { Strace } from './strace.ts';

const ADDON = '/cloister.node';

type Log = (line: string) => void;

function main(): void {
  const args = parseSentryArguments(process.argv.slice(2));
  let logFd = args.log;
  const log: Log = (line) => writeSync(logFd, `cloister: ${line}\n`);
  // The way out: Node's own takes calls that the sentry's filter does not know.
  let leave = process.exit;
  const fail = (error: unknown): never => {
    if (error instanceof StartError) {
      log(error.message);
      return leave(error.status);
    }
    log(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return leave(CANNOT_START);
  };
  try {
    if (args.sync >= 0) logFd = args.sync;
    bindNative(args);
    receiveLate(args);
    if (args.sync < 0) logFd = args.log;
    const spec = parseSandboxSpec(readFileSync(args.spec, 'utf8'));
    closeSync(args.spec);
    prepareKernel(spec, log);
    openOutside(spec.network, args.ports, log);
    const mounts = mountRoot(args, spec);
    handshake(args);
    lockDown(spec, logFd);
    leave = host.exit;
    process.setUncaughtExceptionCaptureCallback(fail);
    prepareEnd(args, spec);
    const task = prepareFirstProcess(args, spec, mounts);
    const start = () => execute(task, spec.process);
    kernel.initUnkillable = args.listen >= 0;
    if (args.listen >= 0) serveControl(args.listen, mounts);
    if (args.sync >= 0) {
      tellReady(args.control);
      announce(args.sync);
      logFd = args.log;
      awaitStart(start);
    } else {
      start();
    }
    watchControl(args.control, args.sync >= 0);
    compileSooner();
    startLoop();
  } catch (error) {
    fail(error);
  }
}

function bindNative(args: SentryArguments): void {
  loadAddon(ADDON);
  bindArena(native.arenaCreate());
  const r = native.attach(args.slot0, args.zygotePid, args.traced);
  if (r < 0) throw new Error(`the guest's seed did not come up (errno ${-r}): the kernel must be Linux 5.19 or newer`);
  setHostProc(args.proc, args.machine);
  setMemoryDirectories(args.memory, args.sparse);
  setHostUsageReader(hostUsageReader);
}

function prepareKernel(spec: SandboxSpec, log: Log): void {
  initialNamespaces.uts.hostname = spec.hostname;
  initialNamespaces.uts.domainname = spec.domainname;
  rootCgroup.limits = spec.limits;
  kernel.bootTime = monotonicNow();
  Object.assign(initialNamespaces.time, spec.timeOffsets);
  showOutsideMaps(spec.idMappings);
  kernel.cpuCount = countCpus();
  patching.enabled = spec.patch;
  const { cpuQuota, cpuPeriod } = spec.limits;
  native.setSpin(spec.spin, cpuQuota === null ? 0 : cpuQuota / cpuPeriod);
  for (const [name, value] of Object.entries(spec.sysctl)) {
    if (!presetSysctl(name, value)) log(`warning: there is no setting ${name}; it is not set`);
  }
  bindHandlers();
  installTimerHooks();
  enableCoreDumps();
  const { strace } = spec;
  const unimplemented = new Unimplemented(strace ? (line) => writeSync(strace.fd, `cloister: ${line}\n`) : log);
  // What programs ask for in vain is news for those who debug, and noise among a program's own output.
  if (spec.debug || strace) setDispatchLog(log, (name) => unimplemented.note(name));
  else setDispatchLog(log, () => {});
  setExecFailureHook(execFailed);
  if (strace) traceAll();
  if (strace) setTracer(new Strace((line) => writeSync(strace.fd, line)));
}

/** The container is there, its program still to come. Whoever makes it must say that this is known. */
function announce(sync: HostFd): void {
  writeSync(sync, 'created\n');
  if (readSync(sync, Buffer.alloc(8)) <= 0) throw new Error('whoever made the container is gone');
  closeSync(sync);
}

/** Everything is loaded: init takes the root away from under us, and from then on holds no privilege either. */
function handshake(args: SentryArguments): void {
  writeSync(args.init, 'ready\n');
  const answer = Buffer.alloc(8);
  if (readSync(args.init, answer) <= 0) throw new Error("the sandbox's init is gone");
  closeSync(args.init);
}

/** The sentry's own filter: nothing of what a guest asks for has been looked at before. */
function lockDown(spec: SandboxSpec, logFd: number): void {
  const network = spec.network.outside === 'none' ? 0 : LOCK_NETWORK;
  const groups = network | (spec.platform === 'ptrace' ? LOCK_TRACING : 0);
  const r = native.lockDown(groups, spec.debug ? logFd : -1);
  if (r < 0) throw new Error(`the sentry's filter could not be installed (errno ${-r})`);
}

// What ships is a start-up snapshot of the loaded program; thawed, it goes on with main.
/**
 * V8 waits for 400 calls of a function, and 500 after it has learnt something about its types, before it compiles it well. Our
 * functions do not change their types, and most sandboxes are short. Not on Node's command line: V8 would then take its
 * built-in snapshot for another version's, 8 ms of the start.
 */
function compileSooner(): void {
  setFlagsFromString('--invocation-count-for-maglev=100');
  setFlagsFromString('--minimum-invocations-after-ic-update=100');
}

if (startupSnapshot.isBuildingSnapshot()) startupSnapshot.setDeserializeMainFunction(main);
else main();
