// CPU sets in the two forms that /proc and /sys show: hexadecimal words and ranges.

import { kernel } from '../../kernel/kernel.ts';
import { allCpus } from '../../kernel/scheduling.ts';
import type { Task } from '../../kernel/task.ts';

/** A set of CPU numbers as words of 32 bits. */
export function cpuWords(cpus: Iterable<number>): number[] {
  const words: number[] = new Array(Math.ceil(kernel.cpuCount / 32)).fill(0);
  for (const cpu of cpus) words[cpu >> 5] |= 1 << (cpu & 31);
  return words;
}

function wordsOf(task: Task | null): readonly number[] {
  return task?.scheduling.affinity ?? allCpus();
}

/** The CPUs a task may use (null: all of the sandbox), as `3` or `ff,ffffffff`. */
export function cpuMask(task: Task | null): string {
  return maskOf(wordsOf(task));
}

/** Words of a CPU set as hexadecimal, the highest first. */
export function maskOf(set: readonly number[]): string {
  const words = [...set].slice(0, Math.max(1, Math.ceil(kernel.cpuCount / 32))).reverse();
  const digits = Math.ceil((((kernel.cpuCount - 1) % 32) + 1) / 4);
  return words.map((word, i) => (word >>> 0).toString(16).padStart(i === 0 ? digits : 8, '0')).join(',');
}

/** The same as ranges: `0-3,8`. */
export function cpuList(task: Task | null): string {
  return listOf(wordsOf(task));
}

/** Words of a CPU set as ranges. */
export function listOf(words: readonly number[]): string {
  const ranges: string[] = [];
  for (let cpu = 0; cpu < kernel.cpuCount; cpu++) {
    const has = (n: number): boolean => n < kernel.cpuCount && ((words[n >> 5] >>> (n & 31)) & 1) === 1;
    if (!has(cpu)) continue;
    const first = cpu;
    while (has(cpu + 1)) cpu++;
    ranges.push(first === cpu ? `${first}` : `${first}-${cpu}`);
  }
  return ranges.join(',');
}
