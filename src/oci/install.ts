// Making Cloister known to those who start containers: docker's daemon.json is edited; for others, whose files are no
// JSON or are the administrator's, what is to be put into them is printed.

import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { LaunchError } from './launch-error.ts';

export interface Installation {
  /** What the runtime is called there. */
  readonly name: string;
  /** Absolute path of the program. */
  readonly program: string;
  /** Options before the verb. */
  readonly args: readonly string[];
}

type Json = Record<string, unknown>;

/** Enters the runtime into a daemon.json. True when that changed it. Throws a LaunchError when it is not one. */
export function addToDocker(path: string, { name, program, args }: Installation): boolean {
  const document = readDocument(path);
  const runtimes = runtimesOf(document, path);
  const entry = { path: program, ...(args.length > 0 && { runtimeArgs: args }) };
  if (JSON.stringify(runtimes[name]) === JSON.stringify(entry)) return false;
  write(path, { ...document, runtimes: { ...runtimes, [name]: entry } });
  return true;
}

/** Takes it out again. True when it was there. */
export function removeFromDocker(path: string, name: string): boolean {
  const document = readDocument(path);
  const { [name]: entry, ...others } = runtimesOf(document, path);
  if (entry === undefined) return false;
  const { runtimes: _, ...rest } = document;
  write(path, Object.keys(others).length > 0 ? { ...rest, runtimes: others } : rest);
  return true;
}

function readDocument(path: string): Json {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
  try {
    const document = JSON.parse(text.trim() === '' ? '{}' : text) as unknown;
    if (isObject(document)) return document;
  } catch (error) {
    throw new LaunchError(`${path}: not JSON, and left as it is: ${(error as SyntaxError).message}`);
  }
  throw new LaunchError(`${path}: not a JSON object, and left as it is`);
}

function runtimesOf(document: Json, path: string): Json {
  const { runtimes = {} } = document;
  if (!isObject(runtimes)) throw new LaunchError(`${path}: runtimes: not an object, and left as it is`);
  return runtimes;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** In one step: a daemon that starts meanwhile finds a whole file. */
function write(path: string, document: Json): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}`;
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0o644;
  const fd = openSync(temporary, 'w', mode & 0o777);
  writeSync(fd, `${JSON.stringify(document, null, 2)}\n`);
  fsyncSync(fd);
  closeSync(fd);
  renameSync(temporary, path);
}

/** What to put into the files of others, by who they are. */
export const SNIPPETS: Readonly<Record<string, (installation: Installation) => string>> = {
  containerd: ({ name, program }) =>
    `# /etc/containerd/config.toml; then: systemctl restart containerd\n` +
    `[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.${name}]\n` +
    `  runtime_type = "io.containerd.runc.v2"\n` +
    `  pod_annotations = ["dev.cloister.*"]\n` +
    `  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.${name}.options]\n` +
    `    BinaryName = ${JSON.stringify(program)}\n` +
    `    SystemdCgroup = false\n`,
  crio: ({ name, program }) =>
    `# /etc/crio/crio.conf.d/50-${name}.conf; then: systemctl restart crio\n` +
    `[crio.runtime]\n` +
    `cgroup_manager = "cgroupfs"\n` +
    `conmon_cgroup = "pod"\n\n` +
    `[crio.runtime.runtimes.${name}]\n` +
    `runtime_path = ${JSON.stringify(program)}\n` +
    `runtime_type = "oci"\n` +
    `allowed_annotations = ["dev.cloister.egress"]\n`,
  kubernetes: ({ name }) =>
    `# kubectl apply -f; pods then say: runtimeClassName: ${name}\n` +
    `apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata:\n  name: ${name}\nhandler: ${name}\n` +
    `overhead:\n  podFixed:\n    memory: 64Mi\n`,
  podman: ({ name, program }) =>
    `# /etc/containers/containers.conf, or ~/.config/containers/containers.conf; then: podman --runtime ${name} run ...\n` +
    `[engine.runtimes]\n${name} = [${JSON.stringify(program)}]\n`,
};
