// What is asked over a container's control socket: one line of JSON each. The outside (oci) and native/boot write them,
// the sentry reads them. Byte strings as in spec.ts.

import type { LimitsSpec, ProcessSpec, SandboxSpec } from './spec.ts';

export type ControlRequest =
  /** Execute the container's program. `container`: here and below, one that joined the sandbox. */
  | { readonly verb: 'start'; readonly container?: string | undefined }
  /** A signal to the first process, or to all. On the connection of an exec: to that program. */
  | {
      readonly verb: 'signal';
      readonly signal: number;
      readonly all?: boolean;
      readonly container?: string | undefined;
    }
  /** Its limits have changed; those that are named. */
  | { readonly verb: 'limit'; readonly limits: Partial<LimitsSpec>; readonly container?: string | undefined }
  /** List the processes. */
  | { readonly verb: 'ps'; readonly container?: string | undefined }
  /**
   * Execute one more program. With its first byte come the standard streams and a descriptor for each number in
   * `passed`. Answered by lines of text: "started" and "exit STATUS", or "error STATUS TEXT". Also before the
   * container's own program.
   */
  | {
      readonly verb: 'exec';
      readonly process: ProcessSpec;
      readonly passed: readonly number[];
      readonly container?: string | undefined;
    }
  /** Answered when a program has said that it is ready. */
  | { readonly verb: 'notify' }
  /**
   * Another container of a pod, in this sandbox. As with exec; between the standard streams and what is passed on come
   * its root file system and a descriptor for each of `binds`. If it is `placed`, it has a cgroup of the host's for itself:
   * the answer is "place PID" then, with the number that the sentry knows the process by that is to be put there, from which
   * all of the container's will descend, and goes on when it is `placed`. "started" means that the container is there,
   * waiting for its start.
   */
  | {
      readonly verb: 'container';
      readonly id: string;
      readonly spec: SandboxSpec;
      readonly binds: readonly { readonly name: string; readonly isDirectory: boolean }[];
      readonly passed: readonly number[];
      readonly placed: boolean;
      /** Whose it has: null for new ones, '' for the sandbox's, else those of the container with this id. */
      readonly namespaces: Readonly<Record<'pid' | 'ipc' | 'uts' | 'network', string | null>>;
    }
  /** On the connection of such a container: it is in its cgroup. */
  | { readonly verb: 'placed' };

/** Except to exec, the answer is one line of JSON. */
export type ControlAnswer =
  | { readonly ok: true; readonly processes?: readonly ProcessEntry[]; readonly ready?: string }
  | { readonly error: string };

export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  /** In the pid namespace of the sentry. */
  readonly hostPid: number;
  readonly uid: number;
  readonly name: string;
}
