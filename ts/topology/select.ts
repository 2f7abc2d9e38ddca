// Which weights of several layers stay when some must go: per layer, over all layers by magnitude, or by LAMP's scores.

import { checkCount, checkNumber, OptionError } from '../errors.js';
import type { Candidates } from '../ops/probe.js';
import { largestMagnitudes, replace } from '../ops/whole_layer.js';
import { type Edit, withZeros } from './edit.js';
import type { SparseLayer } from './sparse_layer.js';

/** How layers share what is kept. 'layer': the same density in each. 'global': the largest |θ| of all. 'lamp': the highest LAMP scores of all. */
export type Scope = 'layer' | 'global' | 'lamp';

export function checkScope(what: string, scope: unknown): Scope {
  if (scope !== 'layer' && scope !== 'global' && scope !== 'lamp') throw new OptionError(what, "'layer', 'global' or 'lamp'", scope);
  return scope;
}

/**
 * LAMP's scores (Lee et al. 2021, https://arxiv.org/abs/2010.07611): w² over the sum of all squares of the layer that are at least as large. The largest
 * weight of a layer scores 1, so that no layer is ever emptied. Of equal weights the lower index ranks above.
 */
export function lampScores(weights: Float32Array): Float32Array {
  const order = new Uint32Array(weights.length);
  for (let i = 0; i < order.length; i++) order[i] = i;
  order.sort((a, b) => Math.abs(weights[b]) - Math.abs(weights[a]) || a - b);
  const scores = new Float32Array(weights.length);
  let sum = 0;
  for (const i of order) {
    const square = weights[i] * weights[i];
    sum += square;
    scores[i] = sum === 0 ? 0 : square / sum;
  }
  return scores;
}

/** Positions of the `count` largest magnitudes over all layers, ascending in each. Equal ones: the lower layer, then the lower position. Throws on NaN. */
export function globallyLargest(scores: readonly Float32Array[], count: number): Uint32Array[] {
  const all = new Float32Array(scores.reduce((sum, own) => sum + own.length, 0));
  let start = 0;
  const starts = scores.map((own) => {
    all.set(own, start);
    start += own.length;
    return start - own.length;
  });
  const kept = largestMagnitudes(all, count).slice();
  return scores.map((own, i) => {
    const [first, end] = [lowerBound(kept, starts[i]), lowerBound(kept, starts[i] + own.length)];
    return kept.subarray(first, end).map((position) => position - starts[i]);
  });
}

/** Of candidates of several layers the `k` with the highest scores, all if there are fewer; of equal scores the lower layer, then the lower position. */
export function bestOfAll(offers: readonly Candidates[], k: number): Candidates[] {
  checkCount('bestOfAll k', k, 0);
  const most = offers.reduce((sum, { scores }) => sum + scores.length, 0);
  const kept = globallyLargest(
    offers.map(({ scores }) => scores),
    Math.min(k, most),
  );
  return offers.map((offer, i) => pick(offer, kept[i]));
}

/** The candidates at some places of their list. */
export function pick({ positions, scores }: Candidates, at: Uint32Array): Candidates {
  const picked = { positions: new Uint32Array(at.length), scores: new Float32Array(at.length) };
  for (let i = 0; i < at.length; i++) {
    picked.positions[i] = positions[at[i]];
    picked.scores[i] = scores[at[i]];
  }
  return picked;
}

function lowerBound(ascending: Uint32Array, value: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Densities that LAMP would give layers with these whole weights: the share of each among the round(Σ sizes·density) highest scores. For use as a
 * distribution of a sparse model from a trained dense one.
 */
export function lamp(layers: readonly Float32Array[], density: number): number[] {
  checkNumber('lamp density', density, 0, 1, true);
  const size = layers.reduce((sum, own) => sum + own.length, 0);
  if (layers.some((own) => own.length === 0))
    throw new OptionError(
      'lamp layers',
      'weights in each',
      layers.map((own) => own.length),
    );
  const named = layers.map((weights, i) => ({ name: `layer ${i}`, weights }));
  const kept = keptOf('lamp', named, [size * density], 'lamp');
  return kept.map((own, i) => own.length / layers[i].length);
}

/**
 * Positions of the weights that stay in each layer, when layer i may keep `targets[i]` (for scopes other than 'layer': when all may keep their sum), rounded,
 * at least 1. Fewer where there are fewer.
 */
export function keptOf(method: string, layers: readonly Named[], targets: readonly number[], scope: Scope): Uint32Array[] {
  for (const { name, weights } of layers) {
    const at = weights.findIndex(Number.isNaN);
    if (at >= 0) throw new OptionError(`${method} weights of ${name}`, 'numbers (has the training diverged?)', `NaN at index ${at}`);
  }
  const count = (target: number, most: number) => Math.min(most, Math.max(1, Math.round(target)));
  const total = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0);
  const all = layers.map(({ weights }) => weights);
  if (scope === 'layer') return all.map((own, i) => globallyLargest([own], count(targets[i], own.length))[0]);
  const most = total(all.map((own) => own.length));
  return globallyLargest(scope === 'lamp' ? all.map(lampScores) : all, count(total(targets), most));
}

/** A layer's weights, by its name. */
export interface Named {
  name: string;
  weights: Float32Array;
}

/** The edits that leave each layer the entries at positions `kept`. */
export function pruneTo(layers: readonly SparseLayer[], kept: readonly Uint32Array[]): Edit[] {
  const fewer = layers.map((layer, i) => ({ layer, kept: kept[i] })).filter((each) => each.kept.length < each.layer.pattern.nnz);
  return fewer.map(({ layer, kept }) => ({
    layer,
    next: () => replace(layer.pattern, others(kept, layer.pattern.nnz), new Uint32Array(0)),
    values: (source) => withZeros(layer, source),
  }));
}

/** All positions but the `kept`, both ascending. */
export function others(kept: Uint32Array, nnz: number): Uint32Array {
  const rest = new Uint32Array(nnz - kept.length);
  for (let i = 0, k = 0, r = 0; i < nnz; i++) {
    if (kept[k] === i) k++;
    else rest[r++] = i;
  }
  return rest;
}
