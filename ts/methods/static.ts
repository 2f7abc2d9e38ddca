// The baseline: a random pattern that never moves.

import { DropGrow } from '../topology/drop_grow.js';
import type { TrainingArgs } from '../topology/training.js';

/** Leaves every pattern as it is. For what it adds to `history`, and to say so in code. (`static` is a reserved word.) */
export function staticPattern(args: TrainingArgs = {}): DropGrow {
  return new DropGrow(
    { name: 'static', dropCount: () => 0, grow: (layers) => layers.map(() => new Uint32Array(0)) },
    { ...args, endStep: 0 },
    {},
  );
}
