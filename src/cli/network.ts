// The options that say what a sandbox has of the network. `create` and `run` also take them before the verb, where the
// clients of a runtime give what is meant for all of its containers.

import { type Command, InvalidArgumentError, Option } from 'commander';
import type { EgressSpec, NetworkSpec } from '../base/spec.ts';
import { appendTo } from './options.ts';

export interface NetworkOptions {
  readonly network?: NetworkChoice;
  readonly egress?: readonly string[];
}

/** A kind of network, or (an absolute path) the network namespace that is the sandbox's outside. */
export interface NetworkChoice {
  readonly outside: NetworkSpec['outside'];
  readonly path: string | null;
}

export function addNetworkOptions(command: Command, isDefault: string): Command {
  command.option(
    '--egress <policy>',
    'what may be reached outside: rules as allow=tcp://*.example.com:443,deny=metadata,default=deny, or @FILE with ' +
      'JSON (repeatable; the first rule that matches decides; names are watched in DNS)',
    appendTo((text) => text),
  );
  return command.addOption(
    new Option(
      '--network <none|sandbox|host|path>',
      'what lies beyond the loopback: nothing, the network namespace of the container (or that of a path) with the ' +
        `sandbox's own loopback in front of it, or this machine's network, loopback included (default: ${isDefault})`,
    ).argParser(parseNetwork),
  );
}

function parseNetwork(text: string): NetworkChoice {
  if (text === 'none' || text === 'sandbox' || text === 'host') return { outside: text, path: null };
  if (text.startsWith('/')) return { outside: 'sandbox', path: text };
  throw new InvalidArgumentError('Expected none, sandbox, host, or an absolute path.');
}

/** The policy that was given, if any. Loads what reads it only then. Throws a LaunchError. */
export async function readEgress({ egress }: NetworkOptions): Promise<EgressSpec[]> {
  if (egress === undefined) return [];
  const { parseEgress } = await import('../oci/egress.ts');
  return parseEgress(egress);
}
