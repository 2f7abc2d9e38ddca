// RigL: growth where the gradient is steepest (Evci et al. 2020, https://arxiv.org/abs/1911.11134).

import { checkNumber } from '../errors.js';
import { eachLayer } from '../topology/choose.js';
import { DropGrow, type DropGrowArgs, withDefaults } from '../topology/drop_grow.js';
import { best, type LayerView, union } from '../topology/layer_view.js';

export interface GradientGrowthArgs extends DropGrowArgs {
  /** Share of a layer's new weights that is placed at random instead, in [0, 1]. Default 0. */
  randomShare?: number | undefined;
}

/**
 * Drops the smallest |θ| of each layer, grows where |gradient| is largest. Defaults as Google's code: 30 % at first, falling along a cosine, every 100 steps,
 * positions just dropped may return with value and moments, others start at 0. Unlike that code, edit steps update the weights as well (see
 * `Schedule`), and no noise breaks ties: the lower index wins.
 */
export function rigl({ randomShare = 0, ...args }: GradientGrowthArgs = {}): DropGrow {
  checkNumber('rigl randomShare', randomShare, 0, 1);
  const grow = eachLayer((layer, k) => mixed(layer, layer.steepest(k), k, randomShare));
  return new DropGrow({ name: 'rigl', grow, usesGradients: true }, withDefaults({ regrow: true }, args), { randomShare });
}

/** `k` positions: the best candidates, but for a share that is drawn from the other free positions. */
export function mixed(layer: LayerView, candidates: Parameters<typeof best>[0], k: number, randomShare: number): Uint32Array {
  const atRandom = Math.round(randomShare * k);
  const chosen = best(candidates, k - atRandom);
  if (atRandom === 0) return chosen;
  // Drawn among all free positions: enough that as many are left when the chosen ones are taken out.
  const drawn = layer.randomFree(atRandom + chosen.length);
  const taken = new Set(chosen);
  const others = drawn.filter((position) => !taken.has(position));
  return union(chosen, thinned(others, atRandom, layer));
}

/** `k` of an ascending list at random, still ascending. */
function thinned(list: Uint32Array, k: number, { random }: LayerView): Uint32Array {
  const order = new Uint32Array(list.length);
  for (let i = 0; i < order.length; i++) order[i] = i;
  random.shuffle(order);
  return order
    .subarray(0, k)
    .sort()
    .map((i) => list[i]);
}
