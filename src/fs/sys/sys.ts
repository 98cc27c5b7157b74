// sysfs(5): what programs look there for: CPUs and how they lie together, the memory node, network interfaces, a few
// facts of the kernel. The sandbox has no devices of its own but loop devices, so the rest is empty directories.

import { SYSFS_MAGIC } from '../../abi/stat.ts';
import { kernel } from '../../kernel/kernel.ts';
import { allCpus } from '../../kernel/scheduling.ts';
import { hostProcLines } from '../../platform/host-proc.ts';
import type { Inode } from '../../vfs/inode.ts';
import { cpuWords, listOf, maskOf } from '../proc/cpus.ts';
import { cpuField, text } from '../proc/system.ts';
import { descend, FixedDirectory, grow, type Tree } from '../virtual/directory.ts';
import { ROOT_INO, VirtualSuperblock } from '../virtual/superblock.ts';
import { addLoopDevices } from './block.ts';
import { classEntry, deviceEntry, InterfaceDirectory } from './net.ts';

const KERNEL_MAX_CPU = 8191;
const HUGE_PAGE = 2 << 20;

export class SysSuperblock extends VirtualSuperblock {
  readonly typeName = 'sysfs';
  readonly root: Inode;

  constructor() {
    super();
    this.source = 'sysfs';
    this.magic = SYSFS_MAGIC;
    const root = new FixedDirectory(this, ROOT_INO);
    grow(root, sysTree());
    this.addInterfaces(root, classEntry, 'class');
    this.addInterfaces(root, deviceEntry, 'devices', 'virtual');
    const block = descend(root, 'block');
    const byNumber = descend(root, 'dev', 'block');
    if (block instanceof FixedDirectory && byNumber instanceof FixedDirectory) addLoopDevices(block, byNumber);
    this.root = root;
  }

  /** The directory `net` at a path. */
  private addInterfaces(root: Inode, entry: typeof classEntry, ...path: string[]): void {
    const parent = descend(root, ...path);
    if (parent instanceof FixedDirectory) parent.add('net', new InterfaceDirectory(this, entry));
  }
}

/** A file of one line. */
function line(value: () => string | number): Tree[string] {
  return text(() => `${value()}\n`);
}

function sysTree(): Tree {
  return {
    block: {},
    bus: { cpu: { devices: cpuLinks('../../../devices/system/cpu/') }, node: { devices: { node0: NODE_LINK } } },
    class: { block: {}, mem: {}, misc: {}, tty: {} },
    dev: { block: {}, char: {} },
    devices: { system: { cpu: cpuTree(), node: nodeTree() }, virtual: {} },
    firmware: {},
    fs: { cgroup: {} },
    kernel: KERNEL,
    module: {},
    power: {},
  };
}

const NODE_LINK = '../../../devices/system/node/node0';

function cpuNames(): string[] {
  return Array.from({ length: kernel.cpuCount }, (_, cpu) => `cpu${cpu}`);
}

function cpuLinks(prefix: string): Tree {
  return Object.fromEntries(cpuNames().map((name) => [name, prefix + name]));
}

// ---- CPUs ----

function cpuTree(): Tree {
  const all = line(() => listOf(allCpus()));
  const tree: Record<string, Tree[string]> = {
    isolated: line(() => ''),
    kernel_max: line(() => KERNEL_MAX_CPU),
    offline: line(() => ''),
    online: all,
    possible: all,
    present: all,
  };
  cpuNames().forEach((name, cpu) => {
    tree[name] = { topology: topology(cpu), node0: '../../node/node0' };
  });
  return tree;
}

/** The CPUs that have the same number as `cpu` in all of the given fields of cpuinfo. */
function companions(cpu: number, ...fields: [name: string, otherwise: (cpu: number) => number][]): number[] {
  const value = (of: number): string => fields.map(([name, otherwise]) => cpuField(of, name, otherwise(of))).join();
  const own = value(cpu);
  return cpuWords(cpuNames().flatMap((_, other) => (value(other) === own ? [other] : [])));
}

function topology(cpu: number): Tree {
  const packageId: [string, (cpu: number) => number] = ['physical id', () => 0];
  const coreId: [string, (cpu: number) => number] = ['core id', (of) => of];
  const mates = (): number[] => companions(cpu, packageId, coreId);
  const inPackage = (): number[] => companions(cpu, packageId);
  const mask = (set: () => number[]) => line(() => maskOf(set()));
  const list = (set: () => number[]) => line(() => listOf(set()));
  return {
    core_cpus: mask(mates),
    core_cpus_list: list(mates),
    core_id: line(() => cpuField(cpu, 'core id', cpu)),
    core_siblings: mask(inPackage),
    core_siblings_list: list(inPackage),
    die_cpus: mask(inPackage),
    die_cpus_list: list(inPackage),
    die_id: line(() => 0),
    package_cpus: mask(inPackage),
    package_cpus_list: list(inPackage),
    physical_package_id: line(() => cpuField(cpu, 'physical id', 0)),
    thread_siblings: mask(mates),
    thread_siblings_list: list(mates),
  };
}

// ---- memory ----

/** /proc/meminfo's lines as a node shows them. */
function nodeMemory(): string {
  const lines = hostProcLines('meminfo');
  const value = (name: string): number => Number(/\d+/.exec(lines.find((l) => l.startsWith(`${name}:`)) ?? '0')?.[0]);
  const used = value('MemTotal') - value('MemFree');
  const rows: [string, number][] = [
    ['MemTotal', value('MemTotal')],
    ['MemFree', value('MemFree')],
    ['MemUsed', used],
    ['Active', value('Active')],
    ['Inactive', value('Inactive')],
    ['Dirty', value('Dirty')],
    ['Writeback', value('Writeback')],
    ['FilePages', value('Cached')],
    ['Mapped', value('Mapped')],
    ['AnonPages', value('AnonPages')],
    ['Shmem', value('Shmem')],
  ];
  return rows.map(([name, size]) => `Node 0 ${`${name}:`.padEnd(15)} ${String(size).padStart(8)} kB\n`).join('');
}

function nodeTree(): Tree {
  const only = line(() => '0');
  return {
    has_cpu: only,
    has_memory: only,
    has_normal_memory: only,
    node0: {
      ...cpuLinks('../../cpu/'),
      cpulist: line(() => listOf(allCpus())),
      cpumap: line(() => maskOf(allCpus())),
      distance: line(() => 10),
      meminfo: text(nodeMemory),
    },
    online: only,
    possible: only,
  };
}

// ---- the kernel ----

const KERNEL: Tree = {
  address_bits: line(() => 64),
  cpu_byteorder: line(() => 'little'),
  debug: {},
  fscaps: line(() => 1),
  mm: {
    transparent_hugepage: {
      defrag: line(() => 'always defer defer+madvise [madvise] never'),
      enabled: line(() => 'always [madvise] never'),
      hpage_pmd_size: line(() => HUGE_PAGE),
      shmem_enabled: line(() => 'always within_size advise [never] deny force'),
      use_zero_page: line(() => 1),
    },
  },
  profiling: line(() => 0),
  security: {},
  tracing: {},
  uevent_seqnum: line(() => 0),
};
