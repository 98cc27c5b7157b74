// Calls the addon's methods with random arguments: addon.ts PATH. Left out is what would do harm to the machine when it
// works as it should: signals to processes and writes to their memory, the end of this one,
// waits.

import { fstatSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { below, pick, repeatedly, seed, word } from './random.ts';

const HARMFUL = new Set([
  'exit',
  'kill',
  'tgkill',
  'pidfd_send_signal',
  'lockDown',
  'next',
  'attach',
  'place',
  'close',
  'fcntl', // F_NOTIFY, F_SETLEASE: SIGIO
  'flock', // waits, as the next ones may
  'sendfile',
  'copy_file_range',
  'accept4',
  'recv',
  'dup3', // over a descriptor of Node's
]);
const OF_PROCESSES = /^(ptrace|wait|trace|vm)/;

// A number that is none must not be taken for descriptor 0. Once it was, and the machine's /dev/null was that.
for (const fd of [0, 1, 2])
  if (!fstatSync(fd).isFIFO() && !fstatSync(fd).isSocket()) throw new Error(`descriptor ${fd} has to be a pipe`);

const module: { exports: Record<string, unknown> } = { exports: {} };
process.dlopen(module, process.argv[2] as string);

type Method = (...args: unknown[]) => unknown;
const methods = new Map<string, Method>();
for (const [name, value] of [...Object.entries(module.exports), ...Object.entries(module.exports.host as object)])
  if (typeof value === 'function' && !HARMFUL.has(name) && !OF_PROCESSES.test(name)) methods.set(name, value as Method);

mkdirSync('below');
writeFileSync('file', 'x'.repeat(1000));
const descriptors = [openSync('below', 'r'), openSync('file', 'r+'), openSync('file', 'r'), -1, 1_000_000];
const NAMES = ['a', 'b', 'a/b', '', '.', 'x'.repeat(255), 'x'.repeat(5000), 'a\0b', 'user.a', '\u00ff', 'ÿĀ', '😀'];
const arena = (module.exports.arenaCreate as () => ArrayBuffer)();
methods.delete('arenaCreate');

function argument(position: number): unknown {
  // Not a descriptor of Node's: some of them would be waited for.
  if (position === 0) return below(4) > 0 ? pick(descriptors) : pick([Number.NaN, 2 ** 53, -5, null, 'a', {}]);
  switch (below(12)) {
    case 0:
      return pick([Number.NaN, Number.POSITIVE_INFINITY, -0, -1, 0.5, 2 ** 53, -(2 ** 63), 2 ** 64, 1e300]);
    case 1:
      return pick([undefined, null, {}, [], true, Symbol.iterator, 10n, () => 0, new Uint8Array(4)]);
    case 2:
      return arena.byteLength - below(70_000);
    case 3:
      return word();
    case 4:
    case 5:
    case 6:
      return pick(NAMES);
    case 7:
      return pick(descriptors);
    default:
      return below(pick([2, 64, 4096, 1 << 20, 1 << 29]));
  }
}

const attributes = (): string => {
  const { mode, uid, gid } = fstatSync(0);
  return [mode, uid, gid].join(' ');
};
const inherited = attributes();

let calls = 0;
repeatedly(5000, () => {
  const [name, method] = pick([...methods]);
  const args = Array.from({ length: below(9) }, (_, position) => argument(position));
  // Names are looked up below a directory of ours only, not in the working directory, which is -100.
  if (args.includes(-100)) return;
  calls++;
  try {
    const result = method(...args);
    if (typeof result === 'number' && Number.isNaN(result)) throw new Error(`${name} returned NaN`);
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError))
      throw new Error(`seed ${seed}: ${name}`, { cause: error });
  }
});
if (attributes() !== inherited) throw new Error(`seed ${seed}: descriptor 0 was ${inherited}, is ${attributes()}`);
process.stdout.write(`${calls} calls of ${methods.size} methods\n`);
process.exit(0);
