// Egress policies as they are given: by rules on the command line, by a JSON file, or by the annotation
// dev.cloister.egress, which holds either.
//
//   allow=tcp://example.com:443,allow=udp://10.0.0.0/8:1000-2000,deny=metadata,default=deny
//
// A rule is an action and a destination: a network, an address, a name (`*.example.com` for all below it), a preset or
// `*`, with a protocol before it and ports behind it if they matter. IPv6 stands in brackets when ports follow. The first
// rule that matches decides. Semicolons are as good as commas: podman would cut an annotation at these.

import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import * as z from 'zod';
import type { EgressRule, EgressSpec } from '../base/spec.ts';
import { addressBytes } from './addresses.ts';
import { pathOf } from './bytes.ts';
import { LaunchError } from './launch-error.ts';

/** What a policy is likely to name, by what it is. */
const PRESETS: ReadonlyMap<string, readonly string[]> = new Map([
  // Where clouds hand out credentials: AWS, GCP, Azure, OpenStack; ECS; Alibaba; AWS over IPv6.
  ['metadata', ['169.254.169.254/32', '169.254.170.2/32', '100.100.100.200/32', 'fd00:ec2::254/128']],
  // Matters where the host's network is shared: everything else has a loopback of its own.
  ['host-loopback', ['127.0.0.0/8', '0.0.0.0/8', '::1/128', '::/128']],
  ['link-local', ['169.254.0.0/16', 'fe80::/10']],
  ['private', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7']],
]);

const action = z.enum(['allow', 'deny']);
const port = z.union([z.number(), z.string()]);
const schema = z.strictObject({
  default: action.optional(),
  rules: z.array(
    z.strictObject({
      action,
      to: z.union([z.string(), z.array(z.string())]).optional(),
      protocol: z.enum(['tcp', 'udp']).optional(),
      ports: z.union([port, z.array(port)]).optional(),
    }),
  ),
});

/** One policy of several sources in their order; none of none. Throws a LaunchError. */
export function parseEgress(sources: readonly string[]): EgressSpec[] {
  if (sources.length === 0) return [];
  const rules: EgressRule[] = [];
  let otherwise: EgressSpec['otherwise'] = 'allow';
  for (const source of sources) {
    const policy = parseSource(source);
    rules.push(...policy.rules);
    otherwise = policy.otherwise ?? otherwise;
  }
  return [{ otherwise, rules }];
}

interface Part {
  readonly rules: readonly EgressRule[];
  readonly otherwise: EgressSpec['otherwise'] | undefined;
}

function parseSource(source: string): Part {
  if (source.startsWith('@')) return parseJson(readPolicy(source.slice(1)), source.slice(1));
  return source.trimStart().startsWith('{') ? parseJson(source, 'the egress policy') : parseText(source);
}

function readPolicy(path: string): string {
  try {
    return readFileSync(pathOf(path), 'utf8');
  } catch (error) {
    throw new LaunchError(`the egress policy ${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}

function parseJson(text: string, what: string): Part {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new LaunchError(`${what}: not JSON: ${(error as SyntaxError).message}`);
  }
  const result = schema.safeParse(value);
  if (!result.success) {
    throw new LaunchError(
      result.error.issues.map(({ path, message }) => `${what}: ${path.join('.')}: ${message}`).join('\n'),
    );
  }
  const rules = result.data.rules.map((rule): EgressRule => {
    const { to = '*', ports, protocol = null } = rule;
    const written = [rule.action, protocol, [to].flat().join(' '), ports].filter((part) => part !== undefined && part);
    const places = ports === undefined ? null : [ports].flat().map((one) => parsePorts(String(one)));
    return { action: rule.action, text: written.join(' '), protocol, ports: places, ...destinations([to].flat()) };
  });
  return { rules, otherwise: result.data.default };
}

function parseText(text: string): Part {
  const rules: EgressRule[] = [];
  let otherwise: Part['otherwise'];
  for (const part of text.split(/[,;]/).filter(Boolean)) {
    const [, word, target = ''] = /^(allow|deny|default)=(.+)$/.exec(part) ?? [];
    if (word === undefined) bad(part, 'expected allow=…, deny=… or default=…');
    if (word !== 'default') rules.push(parseRule(part, word as EgressRule['action'], target));
    else if (target === 'allow' || target === 'deny') otherwise = target;
    else bad(part, 'expected default=allow or default=deny');
  }
  return { rules, otherwise };
}

/** [PROTOCOL://]DESTINATION[:PORTS] */
function parseRule(text: string, action: EgressRule['action'], target: string): EgressRule {
  const [, protocol = null, rest = ''] = /^(?:(tcp|udp):\/\/)?(.+)$/.exec(target) ?? [];
  // An IPv6 network has colons of its own, unless it stands in brackets.
  const [, bracketed, length = '', simple = '', ports] =
    /^(?:\[([^\]]+)\](\/\d+)?|([^:]+))(?::([\d-]+))?$/.exec(rest) ??
    /^()()([0-9a-f:./]+)$/i.exec(rest) ??
    bad(text, 'bad destination');
  const destination = bracketed ? bracketed + length : simple;
  return {
    action,
    text,
    protocol: protocol as EgressRule['protocol'],
    ports: ports === undefined ? null : [parsePorts(ports)],
    ...destinations([destination]),
  };
}

function bad(what: string, why: string): never {
  throw new LaunchError(`egress policy: ${JSON.stringify(what)}: ${why}`);
}

function parsePorts(text: string): [number, number] {
  const [, first = '', last = first] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? bad(text, 'expected a port or two');
  const range: [number, number] = [Number(first), Number(last)];
  if (range[0] > range[1] || range[1] > 65535) bad(text, 'not a range of ports');
  return range;
}

function destinations(targets: readonly string[]): Pick<EgressRule, 'networks' | 'names'> {
  if (targets.includes('*')) return { networks: null, names: null };
  const networks: { address: string; bits: number }[] = [];
  const names: string[] = [];
  for (const target of targets) {
    const preset = PRESETS.get(target);
    if (preset) networks.push(...preset.map(parseNetwork));
    else if (isIP(target.replace(/\/\d+$/, '')) !== 0) networks.push(parseNetwork(target));
    else names.push(parseName(target));
  }
  return { networks, names };
}

function parseName(text: string): string {
  const name = text.toLowerCase().replace(/\.$/, '').replace(/^\*\./, '.');
  const isName = /^\.?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(name);
  // A number at the end is a bad address, or would be one day: no such name is ever resolved.
  if (!isName || name.length > 253 || /(^|\.)[\d]+$/.test(name)) bad(text, 'not a network, an address, or a name');
  return name;
}

function parseNetwork(text: string): { address: string; bits: number } {
  const [host = '', length] = text.split('/');
  const address = addressBytes(host);
  const all = address.length * 8;
  const bits = length === undefined ? all : Number(length);
  if (address === '' || bits > all) bad(text, 'not a network');
  return { address, bits };
}
