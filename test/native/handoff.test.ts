// The hand-over of calls, watched or rung for, loses no wake-up in any interleaving (handoff-model.ts); and the model is
// worth something, because each defect that is put into it is found.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CallKind, type Defect, explore, Model } from './handoff-model.ts';

const KINDS: readonly CallKind[] = ['plain', 'waits', 'rings', 'wants'];

/** All sequences of this many calls. */
function sequences(length: number): CallKind[][] {
  if (length === 0) return [[]];
  return sequences(length - 1).flatMap((rest) => KINDS.map((kind) => [...rest, kind]));
}

test('every call is served once and answered, whatever the order of events', () => {
  let states = 0;
  for (const calls of sequences(3)) {
    const result = explore(new Model(calls));
    assert.equal(typeof result, 'number', `${calls}: ${result}`);
    states += result as number;
  }
  assert.ok(states > 10_000, `${states} states`);
});

const DEFECTS: readonly Defect[] = [
  'late ring is not answered',
  'withheld ring is forgotten',
  'watched once, never rung',
  'answer before result',
  'served twice',
  'looks too soon',
  'sleeps unseen',
  'parked for good',
];

for (const defect of DEFECTS) {
  test(`the model notices: ${defect}`, () => {
    const results = sequences(2).map((calls) => explore(new Model(calls, defect)));
    assert.ok(
      results.some((result) => typeof result === 'string'),
      'nothing was found',
    );
  });
}
