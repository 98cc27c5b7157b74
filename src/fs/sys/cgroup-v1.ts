// Hierarchies of cgroups of version 1 (mount -t cgroup): trees of their own, each with controllers or just a name. They
// group, count and bound tasks as version 2's tree does; memory and CPU time are told of, and bounded at the root only,
// for the sandbox as a whole.

import { EBUSY, EINVAL, ENOMEM, EOPNOTSUPP, ESRCH } from '../../abi/errno.ts';
import { CGROUP_SUPER_MAGIC } from '../../abi/stat.ts';
import type { Pid } from '../../base/brands.ts';
import type { LimitsSpec } from '../../base/spec.ts';
import { membersOf, memoryOf } from '../../kernel/cgroup-memory.ts';
import {
  type Cgroup,
  type Hierarchy,
  hierarchies,
  makeHierarchy,
  moveProcess,
  rootCgroup,
} from '../../kernel/cgroups.ts';
import { kernel } from '../../kernel/kernel.ts';
import type { TextSource } from '../virtual/inode.ts';
import { CgroupSuperblock, moveHere, numbers, usageOf } from './cgroup.ts';
import { CONTROLLERS, fixed, memoryInAll, setMemoryLimit } from './cgroup-controllers.ts';
import { file } from './cgroup-file.ts';

/** What can be asked for, in the order in which /proc/cgroups has them. */
export const V1_CONTROLLERS = ['cpu', 'cpuacct', 'memory', 'pids'] as const;
const NAME = /^[\w.-]{1,63}$/;
const HIERARCHIES_MAX = 32;
const TICKS = 1e7; // ns
/** What Linux shows for no limit: the last page that a counter can count. */
const UNLIMITED = '9223372036854771712';

type Files = Readonly<Record<string, TextSource<Cgroup>>>;

/** `tasks`: a thread is moved with its process, and so only where it is all of it. */
function moveThread(cgroup: Cgroup, text: string): number {
  const word = text.trim();
  const caller = kernel.current;
  if (!caller || !/^\d{1,9}$/.test(word)) return -EINVAL;
  const task = word === '0' ? caller : caller.pidNamespace.tasks.get(Number(word) as Pid);
  if (!task) return -ESRCH;
  if (task.group.threads.size > 1) return -EOPNOTSUPP;
  moveProcess(cgroup, task.group, kernel.groups.values());
  return 0;
}

const COMMON: Files = {
  'cgroup.clone_children': fixed(() => '0'),
  'cgroup.procs': file((cgroup) => numbers(membersOf(cgroup)), moveHere),
  notify_on_release: fixed(() => '0'),
  tasks: file((cgroup) => numbers(membersOf(cgroup).flatMap(({ threads }) => [...threads])), moveThread),
};

/** Those of the reader's container. */
const limits = (): LimitsSpec => (kernel.current?.group.cgroup ?? rootCgroup).top.limits;
const bytesText = (bytes: number | null): string =>
  bytes === null || bytes === Number.POSITIVE_INFINITY ? UNLIMITED : String(bytes);
const memoryLimit = ({ parent, memory }: Cgroup): string => bytesText(parent ? memory.max : limits().memory);

/** memory.limit_in_bytes; -1 and what is beyond all memory are no limit. */
function limitBytes(cgroup: Cgroup, text: string): number {
  const word = text.trim();
  if (cgroup.parent === null) return word === memoryLimit(cgroup) ? 0 : -EOPNOTSUPP;
  return setMemoryLimit(cgroup, word === '-1' || word === UNLIMITED ? 'max' : word);
}

const FILES: Readonly<Record<(typeof V1_CONTROLLERS)[number], Files>> = {
  cpu: {
    'cpu.cfs_period_us': fixed(() => String(limits().cpuPeriod)),
    'cpu.cfs_quota_us': fixed(({ parent }) => String(parent ? -1 : (limits().cpuQuota ?? -1))),
    'cpu.shares': fixed(() => '1024'),
  },
  cpuacct: {
    'cpuacct.stat': file((cgroup) => {
      const { userTime, systemTime } = usageOf(cgroup);
      return `user ${Math.floor(userTime / TICKS)}\nsystem ${Math.floor(systemTime / TICKS)}\n`;
    }),
    'cpuacct.usage': file((cgroup) => `${usageOf(cgroup).userTime + usageOf(cgroup).systemTime}\n`),
    'cpuacct.usage_sys': file((cgroup) => `${usageOf(cgroup).systemTime}\n`),
    'cpuacct.usage_user': file((cgroup) => `${usageOf(cgroup).userTime}\n`),
  },
  memory: {
    'memory.limit_in_bytes': file((cgroup) => `${memoryLimit(cgroup)}\n`, limitBytes),
    'memory.stat': file((cgroup) => {
      const { anon, file: mapped, shmem } = memoryOf(cgroup);
      const sums = `total_cache ${mapped + shmem}\ntotal_rss ${anon}\ntotal_shmem ${shmem}\n`;
      return `cache ${mapped + shmem}\nrss ${anon}\nshmem ${shmem}\nhierarchical_memory_limit ${memoryLimit(cgroup)}\n${sums}`;
    }),
    'memory.usage_in_bytes': file((cgroup) => `${memoryInAll(cgroup)}\n`),
    'memory.use_hierarchy': fixed(() => '1'),
  },
  pids: CONTROLLERS.pids,
};

interface Wanted {
  readonly name: string;
  readonly controllers: readonly string[];
}

function parse(options: readonly string[]): Wanted | number {
  let name = '';
  let none = false;
  const controllers = new Set<string>();
  for (const option of options) {
    if (option.startsWith('name=') && NAME.test(option.slice(5))) name = option.slice(5);
    else if (option === 'none') none = true;
    else if (option === 'all') for (const each of V1_CONTROLLERS) controllers.add(each);
    else if ((V1_CONTROLLERS as readonly string[]).includes(option)) controllers.add(option);
    else if (option !== 'xattr') return -EINVAL;
  }
  if (none && (controllers.size > 0 || name === '')) return -EINVAL;
  // Nothing asked for is all there is.
  if (!none && controllers.size === 0 && name === '') for (const each of V1_CONTROLLERS) controllers.add(each);
  return { name, controllers: V1_CONTROLLERS.filter((each) => controllers.has(each)) };
}

/** Whether an option may be given to a hierarchy at all. */
export function validV1Option(option: string): boolean {
  return option === 'none' || typeof parse([option]) !== 'number';
}

/** The hierarchy that is asked for, which may be there already: it is one, wherever it is mounted. */
function find({ name, controllers }: Wanted): Hierarchy | number {
  const same = (other: Hierarchy): boolean =>
    controllers.length === other.controllers.length && controllers.every((each) => other.controllers.includes(each));
  for (const known of hierarchies.values()) {
    if (name !== '' && known.name === name) return controllers.length === 0 || same(known) ? known : -EBUSY;
    if (name === '' && same(known)) return known;
  }
  const taken = (each: string): boolean =>
    (each === 'pids' && rootCgroup.enabled.has(each)) ||
    [...hierarchies.values()].some((other) => other.controllers.includes(each));
  if (controllers.some(taken)) return -EBUSY;
  return hierarchies.size >= HIERARCHIES_MAX ? -ENOMEM : makeHierarchy(name, controllers);
}

/** The filesystem of the hierarchy that the options describe, or -errno. */
export function cgroupV1(options: readonly string[]): CgroupSuperblock | number {
  const wanted = parse(options);
  if (typeof wanted === 'number') return wanted;
  const hierarchy = find(wanted);
  return typeof hierarchy === 'number' ? hierarchy : new CgroupV1Superblock(hierarchy);
}

/** Lines of /proc/PID/cgroup for the hierarchies, the youngest first. */
export function v1Lines(pathIn: (hierarchy: Hierarchy) => string): string {
  return [...hierarchies.values()]
    .sort((a, b) => b.id - a.id)
    .map((hierarchy) => `${hierarchy.id}:${labels(hierarchy).join(',')}:${pathIn(hierarchy)}\n`)
    .join('');
}

const labels = ({ name, controllers }: Hierarchy): string[] => [...controllers, ...(name ? [`name=${name}`] : [])];

/** /proc/cgroups */
export function controllersText(): string {
  const rows = V1_CONTROLLERS.map((name) => {
    const owner = [...hierarchies.values()].find(({ controllers }) => controllers.includes(name));
    return `${name}\t${owner?.id ?? 0}\t${1 + (owner?.root ?? rootCgroup).descendants}\t1\n`;
  });
  return `#subsys_name\thierarchy\tnum_cgroups\tenabled\n${rows.join('')}`;
}

class CgroupV1Superblock extends CgroupSuperblock {
  override readonly typeName = 'cgroup';
  private readonly hierarchy: Hierarchy;

  constructor(hierarchy: Hierarchy) {
    super(hierarchy.root);
    this.hierarchy = hierarchy;
    this.magic = CGROUP_SUPER_MAGIC;
    this.options = labels(hierarchy).join(',');
    views.set(hierarchy, (views.get(hierarchy) ?? 0) + 1);
  }

  override filesOf(cgroup: Cgroup): Files[] {
    const { controllers } = cgroup.hierarchy as Hierarchy;
    const own = controllers.filter((name) => cgroup.parent !== null || name !== 'pids');
    return [COMMON, ...own.map((name) => FILES[name as keyof typeof FILES])];
  }

  /** A hierarchy without cgroups is gone when nobody has it mounted. */
  override shutDown(): void {
    super.shutDown();
    const left = (views.get(this.hierarchy) ?? 1) - 1;
    views.set(this.hierarchy, left);
    if (left === 0 && this.hierarchy.root.children.size === 0) hierarchies.delete(this.hierarchy.id);
  }
}

/** How many filesystems show a hierarchy. */
const views = new WeakMap<Hierarchy, number>();
