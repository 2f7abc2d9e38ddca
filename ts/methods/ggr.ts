// GGR: global gradient-based redistribution (https://arxiv.org/abs/2210.14012).
//
// Of the method only the abstract and one summary are established: magnitude drops, shares of the layers by the global top-k of gradients, growth inside a
// layer partly by gradient and partly at random. What they leave open is our reading, said at each option: drop fraction and its decay, drops per
// layer, the random share, the minimum, new values.

import { checkCount, checkNumber, OptionError } from '../errors.js';
import { DropGrow, type Rule } from '../topology/drop_grow.js';
import type { LayerView } from '../topology/layer_view.js';
import { type GradientGrowthArgs, mixed } from './rigl.js';

export interface GgrArgs extends GradientGrowthArgs {
  /** Weights that an edit leaves to each layer, but no more than it had. Our choice; default: as many as it has units, so that each may have one. */
  minNnz?: number;
  /** 'l2' divides the gradients of a layer by their norm before layers are compared, as jaxpruner does with its scores. Default 'none'. */
  normalize?: 'none' | 'l2';
}

interface Candidate {
  layer: number;
  position: number;
  /** |gradient|, as the layers are compared. */
  score: number;
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
  const grow: Rule['grow'] = (layers, counts) => {
    const chosen = globalTopK(layers, counts, (layer) => minNnz ?? layer.rows, normalize);
    return layers.map((layer, i) => mixed(layer, chosen[i], chosen[i].positions.length, randomShare));
  };
  return new DropGrow({ name: 'ggr', grow, usesGradients: true }, args, { randomShare, minNnz: minNnz ?? null, normalize });
}

/** For each layer, its members of the K = Σ counts best; first come those that a layer needs to keep its minimum. */
function globalTopK(layers: readonly LayerView[], counts: readonly number[], minimum: (layer: LayerView) => number, normalize: string) {
  const total = counts.reduce((a, b) => a + b, 0);
  const needs = layers.map((layer, i) => Math.max(0, Math.min(minimum(layer), layer.nnz) - (layer.nnz - counts[i])));
  const open = total - needs.reduce((a, b) => a + b, 0);
  const served: Candidate[] = [];
  let pool: Candidate[] = [];
  layers.forEach((layer, i) => {
    const scale = normalize === 'l2' ? layer.gradientNorm || 1 : 1;
    // A full pool keeps out what could not enter. A layer in need is asked for all it has.
    const floor = needs[i] === 0 && pool.length === open && open > 0 ? pool[open - 1].score * scale * (1 - 1e-6) : 0;
    const { positions, scores } = layer.steepest(Math.min(total, layer.free), floor);
    const own: Candidate[] = [];
    for (let c = 0; c < positions.length; c++) own.push({ layer: i, position: positions[c], score: scores[c] / scale });
    // Stable: of equal scores the lower position stays first, and behind those of lower layers.
    own.sort((a, b) => b.score - a.score);
    served.push(...own.slice(0, needs[i]));
    pool = [...pool, ...own.slice(needs[i])].sort((a, b) => b.score - a.score).slice(0, open);
  });
  const all = [...served, ...pool];
  return layers.map((_, i) => {
    const own = all.filter((candidate) => candidate.layer === i).sort((a, b) => a.position - b.position);
    return { positions: Uint32Array.from(own, (c) => c.position), scores: Float32Array.from(own, (c) => c.score) };
  });
}
