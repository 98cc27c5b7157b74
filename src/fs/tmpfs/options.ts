// Mount options of tmpfs(5): size, nr_inodes, nr_blocks, mode, uid, gid.

export interface TmpfsOptions {
  /** Most bytes of file data, Infinity for no limit. */
  size: number;
  /** Most inodes, Infinity for no limit. */
  inodes: number;
  /** Permission bits and owner of the root directory. */
  mode: number;
  uid: number;
  gid: number;
}

const SUFFIXES: Readonly<Record<string, number>> = {
  '': 1,
  k: 1024,
  m: 1 << 20,
  g: 2 ** 30,
  t: 2 ** 40,
  p: 2 ** 50,
  e: 2 ** 60,
};

/**
 * Reads `size=64m` and the like; `total` is the machine's memory in bytes, which the defaults and percentages go by,
 * `base` what holds for options that are not there.
 */
export function parseTmpfsOptions(
  options: readonly string[],
  total: number,
  base: TmpfsOptions = { size: Math.floor(total / 2), inodes: Infinity, mode: 0o1777, uid: 0, gid: 0 },
): TmpfsOptions {
  const parsed = { ...base };
  for (const option of options) {
    const [name, value = ''] = option.split('=', 2);
    if (name === 'size') parsed.size = unlimited(Math.ceil(amount(value, total) / 4096) * 4096);
    else if (name === 'nr_blocks') parsed.size = unlimited(amount(value, total) * 4096);
    else if (name === 'nr_inodes') parsed.inodes = unlimited(amount(value, total));
    else if (name === 'mode') parsed.mode = Number.parseInt(value, 8) & 0o7777;
    else if (name === 'uid') parsed.uid = Number(value);
    else if (name === 'gid') parsed.gid = Number(value);
  }
  return parsed;
}

const PATTERNS: Readonly<Record<string, RegExp>> = {
  size: /^\d+[kmgtpe%]?$/i,
  nr_blocks: /^\d+[kmgtpe]?$/i,
  nr_inodes: /^\d+[kmgtpe]?$/i,
  mode: /^[0-7]+$/,
  uid: /^\d+$/,
  gid: /^\d+$/,
};

/** Whether mount(2) may take the options as they are. */
export function validTmpfsOptions(options: readonly string[]): boolean {
  return options.every((option) => {
    const [name, value = ''] = option.split('=', 2);
    return PATTERNS[name]?.test(value) ?? false;
  });
}

function amount(text: string, total: number): number {
  const [, digits, suffix] = /^(\d+)([kmgtpe%]?)$/i.exec(text) ?? [];
  if (digits === undefined || suffix === undefined) return 0;
  if (suffix === '%') return Math.floor((total * Number(digits)) / 100);
  return Number(digits) * SUFFIXES[suffix.toLowerCase()];
}

/** Zero means no limit. */
function unlimited(value: number): number {
  return value === 0 ? Infinity : value;
}
