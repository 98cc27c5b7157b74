// What `cloister do --stats` says of the turns of the sentry's loop.

import assert from 'node:assert/strict';

/** Those that took more than so many milliseconds of the CPU. */
export function longTurns(statistics: string, most: number): string[] {
  const turns = /longest turns of the sentry's loop, ms: (.*)/.exec(statistics)?.[1]?.split(', ') ?? [];
  assert.ok(turns.length > 5, statistics);
  return turns.filter((turn) => Number(/ ([\d.]+) of /.exec(turn)?.[1]) > most);
}
