// What of config.json is refused, and what is warned about: where the container would be wrong or less contained without
// it, it is refused; where only a limit of the host's or a label is missing, it is warned about. Both name the field. Which
// field is which is listed in docs/config.md, and test/oci/config-table.test.ts holds that list against the schema.

import type { Resources } from './cgroup-resources.ts';
import type { OciConfig, OciLinux, OciProcess } from './config.ts';
import { LaunchError } from './launch-error.ts';

type Warn = (message: string) => void;

const OWN_ANNOTATIONS = 'dev.cloister.';
const KNOWN_ANNOTATIONS = ['dev.cloister.egress'];
/** Actions that give the program an errno, or a tracer a number. */
const WITH_ERRNO = new Set(['SCMP_ACT_ERRNO', 'SCMP_ACT_TRACE']);

function refuse(field: string, reason: string): never {
  throw new LaunchError(`config.json: ${field}: ${reason}`);
}

/** Throws a LaunchError for what cannot be had. */
export function refuseUnsupported({ linux = {} }: OciConfig): void {
  const seen = new Set<string>();
  for (const [index, { type }] of (linux.namespaces ?? []).entries()) {
    if (seen.has(type)) refuse(`linux.namespaces[${index}].type`, `${type} is named twice`);
    seen.add(type);
  }
  if (Object.keys(linux.netDevices ?? {}).length > 0) refuse('linux.netDevices', 'moving devices is not supported');
  if (linux.timeOffsets !== undefined && !seen.has('time')) refuse('linux.timeOffsets', 'needs a time namespace');
  if (linux.intelRdt !== undefined) refuse('linux.intelRdt', 'is not supported: a sandbox has no resctrl group');
  refuseDevices(linux);
  refuseSeccomp(linux);
  refuseResources(linux.resources ?? {});
}

function refuseDevices({ devices = [] }: OciLinux): void {
  for (const [index, { type, major, minor }] of devices.entries()) {
    if (type === 'p') continue;
    if (major === undefined) refuse(`linux.devices[${index}].major`, 'required for a device');
    if (minor === undefined) refuse(`linux.devices[${index}].minor`, 'required for a device');
  }
}

function refuseSeccomp({ seccomp }: OciLinux): void {
  if (seccomp === undefined) return;
  if (seccomp.listenerMetadata !== undefined && !seccomp.listenerPath) {
    refuse('linux.seccomp.listenerMetadata', 'is for a listener, and there is no listenerPath');
  }
  if (seccomp.defaultErrnoRet !== undefined && !WITH_ERRNO.has(seccomp.defaultAction)) {
    refuse('linux.seccomp.defaultErrnoRet', `${seccomp.defaultAction} has no errno`);
  }
  for (const [index, { action, errnoRet }] of (seccomp.syscalls ?? []).entries()) {
    if (errnoRet !== undefined && !WITH_ERRNO.has(action)) {
      refuse(`linux.seccomp.syscalls[${index}].errnoRet`, `${action} has no errno`);
    }
  }
}

function refuseResources({ blockIO, rdma }: Resources): void {
  for (const [index, { weight, leafWeight }] of (blockIO?.weightDevice ?? []).entries()) {
    if (weight !== undefined || leafWeight !== undefined) continue;
    refuse(`linux.resources.blockIO.weightDevice[${index}]`, 'needs weight or leafWeight');
  }
  for (const [device, { hcaHandles, hcaObjects }] of Object.entries(rdma ?? {})) {
    if (hcaHandles !== undefined || hcaObjects !== undefined) continue;
    refuse(`linux.resources.rdma.${device}`, 'needs hcaHandles or hcaObjects');
  }
}

/** Tells of what has no effect. */
export function warnUnsupported(
  { process = { cwd: '/' }, linux = {}, annotations = {} }: OciConfig,
  { warn, joins }: { readonly warn: Warn; readonly joins: boolean },
): void {
  const memory = linux.resources?.memory?.limit ?? 0;
  if (!joins && memory > 0 && memory < 64 << 20)
    warn('config.json: linux.resources.memory.limit: raised to 64 MiB on the host');
  const fields = [...withoutEffect(process, linux), ...otherAccess(linux), ...namelessAnnotations(annotations)];
  for (const field of fields) {
    warn(`config.json: ${field} has no effect`);
  }
  const named = new Set((linux.namespaces ?? []).map(({ type }) => type));
  for (const type of ['mount', 'pid', 'uts', 'ipc'] as const) {
    if (!named.has(type)) warn(`config.json: linux.namespaces: the host's ${type} namespace cannot be shared`);
  }
}

function withoutEffect(process: OciProcess, linux: OciLinux): string[] {
  const { memory } = linux.resources ?? {};
  const fields: readonly (readonly [name: string, isGiven: unknown])[] = [
    ['linux.memoryPolicy', linux.memoryPolicy],
    ['linux.mountLabel', linux.mountLabel],
    ['linux.rootfsPropagation', linux.rootfsPropagation && !linux.rootfsPropagation.endsWith('private')],
    // Linux took it away; it has never had another hierarchy than the whole one in version 2.
    ['linux.resources.memory.kernel', memory?.kernel],
    ['linux.resources.memory.useHierarchy', memory?.useHierarchy === false],
    // No rule can name a listener: those that do are refused.
    ['linux.seccomp.listenerPath', linux.seccomp?.listenerPath],
    ['process.apparmorProfile', process.apparmorProfile],
    ['process.selinuxLabel', process.selinuxLabel],
    ['process.execCPUAffinity.initial', process.execCPUAffinity?.initial],
    // Those of Windows.
    ['process.commandLine', process.commandLine],
    ['process.user.username', process.user?.username],
  ];
  return fields.filter(([, isGiven]) => Boolean(isGiven)).map(([name]) => name);
}

/** Letters that no rule about devices knows. */
function otherAccess({ resources }: OciLinux): string[] {
  return (resources?.devices ?? []).flatMap(({ access = '' }, index) => {
    const other = access.replaceAll(/[rwm]/g, '');
    return other === '' ? [] : [`linux.resources.devices[${index}].access: "${other}"`];
  });
}

/** A misspelt setting of ours. */
function namelessAnnotations(annotations: Readonly<Record<string, string>>): string[] {
  return Object.keys(annotations)
    .filter((name) => name.startsWith(OWN_ANNOTATIONS) && !KNOWN_ANNOTATIONS.includes(name))
    .map((name) => `annotations["${name}"]`);
}
