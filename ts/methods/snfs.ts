// Sparse networks from scratch (Dettmers and Zettlemoyer 2019, https://arxiv.org/abs/1907.04840), without its dense momentum.

import { checkNumber } from '../errors.js';
import type { Rule } from '../topology/choose.js';
import { DropGrow, withDefaults } from '../topology/drop_grow.js';
import { type GradientGrowthArgs, mixed } from './rigl.js';

/**
 * Layers share what was dropped in proportion to the mean |gradient| of their weights, and grow it where |gradient| is largest. The paper ranks by
 * the momentum of every position, which is as large as the dense layer; here the gradients of the last `accumulate` steps stand for it. Drops half of
 * each layer at first, as published.
 */
export function snfs({ randomShare = 0, ...args }: GradientGrowthArgs = {}): DropGrow {
  checkNumber('snfs randomShare', randomShare, 0, 1);
  const grow: Rule['grow'] = (layers, counts) => {
    const total = counts.reduce((a, b) => a + b, 0);
    const importance = layers.map(({ nnz, gradients }) => (nnz === 0 ? 0 : gradients.reduce((sum, g) => sum + Math.abs(g), 0) / nnz));
    const shares = shared(
      total,
      importance,
      layers.map((layer) => layer.free),
    );
    return layers.map((layer, i) => mixed(layer, layer.steepest(shares[i]), shares[i], randomShare));
  };
  return new DropGrow({ name: 'snfs', grow, usesGradients: true }, withDefaults({ dropFraction: 0.5 }, args), { randomShare });
}

/** `total` in proportion to `weights`, none above its `room`; what one cannot take goes to the others. Largest remainders first, then lower index. */
export function shared(total: number, weights: readonly number[], room: readonly number[]): number[] {
  const shares = weights.map(() => 0);
  for (let left = total; left > 0; ) {
    const open = weights.map((w, i) => (shares[i] < room[i] ? w || Number.MIN_VALUE : 0));
    const sum = open.reduce((a, b) => a + b, 0);
    if (sum === 0) return shares;
    const ideal = open.map((w) => (w / sum) * left);
    const given = ideal.map((x, i) => Math.min(Math.floor(x), room[i] - shares[i]));
    let rest = left - given.reduce((a, b) => a + b, 0);
    const order = [...ideal.keys()].sort((a, b) => ideal[b] - Math.floor(ideal[b]) - (ideal[a] - Math.floor(ideal[a])) || a - b);
    for (const i of order) {
      if (rest > 0 && shares[i] + given[i] < room[i] && open[i] > 0) {
        given[i]++;
        rest--;
      }
    }
    given.forEach((count, i) => {
      shares[i] += count;
    });
    left = rest;
  }
  return shares;
}
