// process.oomScoreAdj on the host: the sandbox's processes inherit it from us. The sentry has the value itself, the
// guests' processes have 500 more (native/boot/zygote.c), so that they still go before it.

import { readFileSync, writeFileSync } from 'node:fs';

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
