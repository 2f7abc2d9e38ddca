// SET: sparse evolutionary training (Mocanu et al. 2018, https://arxiv.org/abs/1707.04780).

import { OptionError } from '../errors.js';
import { lowestOfEachSign } from '../ops/whole_layer.js';
import { eachLayer, type Rule } from '../topology/choose.js';
import { DropGrow, type DropGrowArgs, withDefaults } from '../topology/drop_grow.js';
import { constant } from '../topology/schedule.js';

export interface SetArgs extends DropGrowArgs {
  /**
   * 'sign-split', the authors': of the positive weights the smallest ⌈fraction·count⌉ are dropped, and as many in proportion of the negative ones next to
   * zero. 'magnitude', as most libraries: the smallest |θ|. Default 'sign-split'.
   */
  dropRule?: 'sign-split' | 'magnitude' | undefined;
}

const grow = eachLayer((layer, k) => layer.randomFree(k));

const signSplit: Rule = { name: 'set', drop: ({ weights }, fraction) => lowestOfEachSign(weights, fraction), grow };

const magnitude: Rule = { name: 'set', grow };

/**
 * Drops weights next to zero and grows as many at random. Defaults as published: 30 % each time, not less towards the end, new weights drawn by the
 * initializer, just-dropped positions free again from the next edit on. The authors edit once per epoch, and not after the last: set `every` to the
 * number of steps in yours. With `dropRule: 'magnitude'`, grown weights start at 0 by default, as in ITOP and jaxpruner.
 */
export function set({ dropRule = 'sign-split', ...args }: SetArgs = {}): DropGrow {
  if (dropRule !== 'sign-split' && dropRule !== 'magnitude') throw new OptionError('set dropRule', "'sign-split' or 'magnitude'", dropRule);
  const published = dropRule === 'sign-split' ? { anneal: constant, growInit: 'initializer' as const } : {};
  return new DropGrow(dropRule === 'sign-split' ? signSplit : magnitude, withDefaults<DropGrowArgs>(published, args), { dropRule });
}
