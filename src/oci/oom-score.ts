// process.oomScoreAdj on the host: the sandbox's processes inherit it from us. The sentry has the value itself, the
// guests' processes have 500 more or so (native/boot/zygote.c), so that they still go before it.

import { readFileSync, writeFileSync } from 'node:fs';

/** To the kernel the sentry is as large as what it has mapped, Node's program among it, whoever else has that, too. */
const SENTRY_LOOKS = 96 << 20;
const USUAL_MORE = 500;

/**
 * How much more than the sentry's own score the guests' is. It counts in thousandths of what the container may have: where that
 * is little, it takes more of them for a small program to look worse than the sentry.
 */
export function guestsOomScore(memoryLimit: number | null): number {
  if (memoryLimit === null) return USUAL_MORE;
  return Math.max(USUAL_MORE, Math.min(1000, Math.ceil((1000 * SENTRY_LOOKS) / memoryLimit)));
}

const FILE = '/proc/self/oom_score_adj';

/** Sets our own. Returns the function that takes it back; an ordinary user who may not lower it is warned. */
export function setOomScore(value: number | undefined, warn: (message: string) => void): () => void {
  if (value === undefined) return () => {};
  const before = readFileSync(FILE, 'latin1');
  try {
    writeFileSync(FILE, String(value));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
    warn(`config.json: process.oomScoreAdj: ${value} is only seen inside: lowering it on the host is not permitted`);
  }
  return () => writeFileSync(FILE, before);
}
