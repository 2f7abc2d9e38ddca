// GGR: global gradient-based redistribution (https://arxiv.org/abs/2210.14012).
//
// Of the method only the abstract and one summary are established: magnitude drops, shares of the layers by the global top-k of gradients, growth inside a
// layer partly by gradient and partly at random. What they leave open is our reading, said at each option: drop fraction and its decay, drops per
// layer, the random share, the minimum, new values.

import { checkCount, checkNumber, OptionError } from '../errors.js';
import type { Candidates } from '../ops/probe.js';
import type { Rule } from '../topology/choose.js';
import { DropGrow } from '../topology/drop_grow.js';
import type { LayerView } from '../topology/layer_view.js';
import { bestOfAll, globallyLargest, others, pick } from '../topology/select.js';
import { type GradientGrowthArgs, mixed } from './rigl.js';

export interface GgrArgs extends GradientGrowthArgs {
  /** Weights that an edit leaves to each layer, but no more than it had. Our choice; default: as many as it has units or filters, so that each may have one. */
  minNnz?: number | undefined;
  /** 'l2' divides the gradients of a layer by their norm before layers are compared, as jaxpruner does with its scores. Default 'none'. */
  normalize?: 'none' | 'l2' | undefined;
}

/**
 * Each layer drops its smallest |θ|; the positions with the globally largest |gradient| decide how many each grows. Layers change size, their sum
 * does not. One selection of the K best runs over all layers, so that memory is O(K). Our readings: 30 % at first along RigL's cosine, no random
 * share, positions just dropped are not eligible (`regrow`), new weights 0.
 */
export function ggr({ randomShare = 0, minNnz, normalize = 'none', ...args }: GgrArgs = {}): DropGrow {
  checkNumber('ggr randomShare', randomShare, 0, 1);
  if (minNnz !== undefined) checkCount('ggr minNnz', minNnz, 0);
  if (normalize !== 'none' && normalize !== 'l2') throw new OptionError('ggr normalize', "'none' or 'l2'", normalize);
  const minimum = (layer: LayerView) => Math.min(minNnz ?? layer.units, layer.nnz);
  // No layer drops so much that it could not grow back to its minimum: a dense one has no free position but those it drops.
  const dropCount = (layer: LayerView, fraction: number) => {
    const most = args.regrow ? layer.nnz : Math.max(0, layer.nnz + layer.free - minimum(layer));
    return Math.min(Math.floor(layer.nnz * fraction), most);
  };
  const grow: Rule['grow'] = (layers, counts) => {
    const chosen = globalTopK(layers, counts, minimum, normalize);
    return layers.map((layer, i) => mixed(layer, chosen[i], chosen[i].positions.length, randomShare));
  };
  return new DropGrow({ name: 'ggr', dropCount, grow, usesGradients: true }, args, { randomShare, minNnz: minNnz ?? null, normalize });
}

/** For each layer, its members of the K = Σ counts best; first come those that a layer needs to keep its minimum. O(K) memory. */
function globalTopK(
  layers: readonly LayerView[],
  counts: readonly number[],
  minimum: (layer: LayerView) => number,
  normalize: string,
): Candidates[] {
  const total = counts.reduce((a, b) => a + b, 0);
  const needs = layers.map((layer, i) => Math.max(0, minimum(layer) - (layer.nnz - counts[i])));
  const open = total - needs.reduce((a, b) => a + b, 0);
  const served: Candidates[] = [];
  let pool = layers.map(() => NONE);
  let floor = 0;
  layers.forEach((layer, i) => {
    const scale = normalize === 'l2' ? layer.gradientNorm || 1 : 1;
    // A full pool keeps out what could not enter; a hair less, for the rounding of the division. A layer in need is asked for all it has.
    const own = layer.steepest(Math.min(total, layer.free), needs[i] === 0 ? floor * scale * (1 - 1e-6) : 0);
    const scaled = { positions: own.positions, scores: own.scores.map((score) => score / scale) };
    const first = split(scaled, needs[i]);
    served.push(first.best);
    pool[i] = first.rest;
    pool = bestOfAll(pool, open);
    floor = pool.reduce((sum, part) => sum + part.scores.length, 0) === open ? lowestScore(pool) : 0;
  });
  return layers.map((_, i) => joined(served[i], pool[i]));
}

const NONE: Candidates = { positions: new Uint32Array(0), scores: new Float32Array(0) };

function split(candidates: Candidates, k: number): { best: Candidates; rest: Candidates } {
  if (k === 0) return { best: NONE, rest: candidates };
  const [best] = globallyLargest([candidates.scores], Math.min(k, candidates.scores.length));
  return { best: pick(candidates, best), rest: pick(candidates, others(best, candidates.scores.length)) };
}

function lowestScore(layers: readonly Candidates[]): number {
  let lowest = Infinity;
  for (const { scores } of layers) for (const score of scores) if (score < lowest) lowest = score;
  return lowest === Infinity ? 0 : lowest;
}

/** Two lists of one layer as one, by position. */
function joined(a: Candidates, b: Candidates): Candidates {
  if (a.positions.length === 0) return b;
  const all = [...a.positions, ...b.positions];
  const scores = [...a.scores, ...b.scores];
  const order = [...all.keys()].sort((i, j) => all[i] - all[j]);
  return { positions: Uint32Array.from(order, (i) => all[i]), scores: Float32Array.from(order, (i) => scores[i]) };
}
