// The namespaces of a task (namespaces(7)) other than its mounts' (they follow from its root directory) and its user's
// (part of its credentials). The set is shared by all tasks that have the same ones, and never changes: a task that
// enters another namespace gets another set.

import { Namespace } from '../base/namespace.ts';
import { initialUser } from '../base/user-namespace.ts';

/** network_namespaces(7): what belongs to it is made by src/net when the first socket wants it. */
export class NetworkNamespace extends Namespace {
  /** src/net's Network, null until it is asked for. */
  network: object | null = null;
}

export interface Namespaces {
  readonly net: NetworkNamespace;
}

/** What the sandbox starts with. */
export const initialNamespaces: Namespaces = {
  net: new NetworkNamespace('net', initialUser),
};
