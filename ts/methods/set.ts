// SET: sparse evolutionary training (Mocanu et al. 2018, https://arxiv.org/abs/1707.04780).

import { OptionError } from '../errors.js';
import { DropGrow, type DropGrowArgs, eachLayer, type Rule } from '../topology/drop_grow.js';
import type { LayerView } from '../topology/layer_view.js';
import { constant } from '../topology/schedule.js';

export interface SetArgs extends DropGrowArgs {
  /**
   * 'sign-split', the authors': of the positive weights the smallest ⌈fraction·count⌉ are dropped, and as many in proportion of the negative ones next to
   * zero. 'magnitude', as most libraries: the smallest |θ|. Default 'sign-split'.
   */
  dropRule?: 'sign-split' | 'magnitude';
}

const grow = eachLayer((layer, k) => layer.randomFree(k));

/** How many of each sign go: a weight of exactly 0 counts as positive, as the authors' sorting puts it. */
function shares({ weights }: LayerView, fraction: number): [positive: number, negative: number] {
  let negative = 0;
  for (const w of weights) if (w < 0) negative++;
  return [Math.ceil(fraction * (weights.length - negative)), Math.ceil(fraction * negative)];
}

const signSplit: Rule = {
  name: 'set',
  dropCount: (layer, fraction) => shares(layer, fraction)[0] + shares(layer, fraction)[1],
  dropScore: (layer, fraction) => {
    const { weights } = layer;
    const scores = new Float32Array(weights.length);
    shares(layer, fraction).forEach((k, sign) => {
      // Of equal weights the higher position goes first.
      const own = [...weights.keys()]
        .filter((i) => weights[i] < 0 === (sign === 1))
        .sort((a, b) => Math.abs(weights[a]) - Math.abs(weights[b]) || b - a);
      for (const i of own.slice(0, k)) scores[i] = -1;
    });
    return scores;
  },
  grow,
};

const magnitude: Rule = { name: 'set', grow };

/**
 * Drops weights next to zero and grows as many at random. Defaults as published: 30 % each time, not less towards the end, new weights drawn by the
 * initializer, just-dropped positions free again from the next edit on. The authors edit once per epoch, and not after the last: set `every` to the
 * number of steps in yours. With `dropRule: 'magnitude'`, grown weights start at 0 by default, as in ITOP and jaxpruner.
 */
export function set({ dropRule = 'sign-split', ...args }: SetArgs = {}): DropGrow {
  if (dropRule !== 'sign-split' && dropRule !== 'magnitude') throw new OptionError('set dropRule', "'sign-split' or 'magnitude'", dropRule);
  const published = dropRule === 'sign-split' ? { anneal: constant, growInit: 'initializer' as const } : {};
  return new DropGrow(dropRule === 'sign-split' ? signSplit : magnitude, { ...published, ...args }, { dropRule });
}
