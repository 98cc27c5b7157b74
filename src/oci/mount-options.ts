// Options of mounts in config.json: what mount(8) would make of them. Later ones override earlier ones, unknown ones are
// refused. A mount of a sandbox is one mount, whatever is below its source on the host, so the recursive forms mean what
// the plain ones mean; but `ro` of a recursive bind means its top alone (submounts.ts).

import { LaunchError } from './launch-error.ts';

/** What options say of a mount. */
export interface MountOptions {
  /** For the sentry: flags by name, and the file system's own options. */
  readonly options: readonly string[];
  readonly readonly: boolean;
  /** So is what is mounted below it. */
  readonly allReadonly: boolean;
  /** The directory's contents are to be copied into the new tmpfs. */
  readonly copyUp: boolean;
  /** `private`, …; null if it is not said. */
  readonly propagation: string | null;
  /** Its files have other ids inside; `all`: also on mounts below it. */
  readonly idMap: 'top' | 'all' | null;
  /** What the kernel takes with a bind and passes over. */
  readonly ignored: readonly string[];
}

/** Flag, and the name that takes it away. */
const FLAGS: readonly (readonly [name: string, opposite: string])[] = [
  ['ro', 'rw'],
  ['nosuid', 'suid'],
  ['nodev', 'dev'],
  ['noexec', 'exec'],
  ['sync', 'async'],
  ['nosymfollow', 'symfollow'],
  ['nodiratime', 'diratime'],
];
/** The three kinds of time of access exclude each other. */
const TIMES: Readonly<Record<string, string | null>> = {
  noatime: 'noatime',
  atime: null,
  relatime: null,
  norelatime: null,
  strictatime: 'strictatime',
  nostrictatime: null,
};
/** What a file system of the sandbox's own has no use for. */
const WITHOUT_EFFECT = new Set(
  'defaults dirsync iversion noiversion lazytime nolazytime mand nomand silent loud acl noacl remount'.split(' '),
);
const PROPAGATIONS = new Set(['private', 'shared', 'slave', 'unbindable']);

/** What the features document names, the recursive forms included. */
export const MOUNT_OPTIONS: readonly string[] = [
  ...FLAGS.flat().flatMap((name) => [name, `r${name}`]),
  ...Object.keys(TIMES).flatMap((name) => [name, `r${name}`]),
  ...[...PROPAGATIONS].flatMap((name) => [name, `r${name}`]),
  ...['bind', 'rbind', 'idmap', 'ridmap', 'tmpcopyup'],
].sort();

const NUMBER = /^\d+$/;
const SIZE = /^\d+[kmg%]?$/i;
const OCTAL = /^[0-7]+$/;

/** Options of file systems by type: what may stand behind the equals sign; null: nothing. */
const DATA: Readonly<Record<string, Readonly<Record<string, RegExp | null>>>> = {
  tmpfs: { size: SIZE, nr_blocks: SIZE, nr_inodes: SIZE, mode: OCTAL, uid: NUMBER, gid: NUMBER, huge: /./, swap: null },
  mqueue: { mode: OCTAL, uid: NUMBER, gid: NUMBER },
  devpts: { mode: OCTAL, ptmxmode: OCTAL, uid: NUMBER, gid: NUMBER, max: NUMBER, newinstance: null },
  proc: {},
  sysfs: {},
  cgroup: { nsdelegate: null, memory_recursiveprot: null, memory_localevents: null, favordynmods: null },
};

/** Reads the options of a mount of the type (a key of DATA). Throws a LaunchError that names the option's field. */
export function parseMountOptions(type: string, list: readonly string[], field: string): MountOptions {
  const set = new Set<string>();
  const data: string[] = [];
  const ignored: string[] = [];
  let time: string | null = null;
  let copyUp = false;
  let allReadonly = false;
  let propagation: string | null = null;
  let idMap: MountOptions['idMap'] = null;
  for (const [index, option] of list.entries()) {
    const name = option.replace(
      /^r(?=(ro|rw|no|suid|dev|exec|sym|diratime|relatime|atime|strict|private|shared|slave|unb))/,
      '',
    );
    const flag = FLAGS.find((pair) => pair.includes(name));
    if (option === 'rro' || option === 'rrw') allReadonly = option === 'rro';
    if (flag !== undefined) {
      if (name === flag[0]) set.add(name);
      else set.delete(flag[0]);
    } else if (Object.hasOwn(TIMES, name)) time = TIMES[name] ?? null;
    else if (type === 'bind' && (option === 'bind' || option === 'rbind')) continue;
    else if (option === 'tmpcopyup' && type === 'tmpfs') copyUp = true;
    else if (PROPAGATIONS.has(name)) propagation = name;
    else if (isData(type, option)) data.push(option);
    else if (WITHOUT_EFFECT.has(name)) continue;
    else if (type === 'bind' && option === 'idmap') idMap = 'top';
    else if (type === 'bind' && option === 'ridmap') idMap = 'all';
    else if (type === 'bind') ignored.push(option);
    else refuse(`${field}.options[${index}]`, option, type);
  }
  const flags = [...set, ...(time === null ? [] : [time])];
  return { options: [...flags, ...data], readonly: set.has('ro'), allReadonly, copyUp, propagation, idMap, ignored };
}

function refuse(field: string, option: string, type: string): never {
  throw new LaunchError(`config.json: ${field}: ${JSON.stringify(option)} is no option of ${type}`);
}

function isData(type: string, option: string): boolean {
  const [name = '', value] = option.split('=', 2);
  const pattern = DATA[type]?.[name];
  if (pattern === undefined) return false;
  return pattern === null ? value === undefined : value !== undefined && pattern.test(value);
}
