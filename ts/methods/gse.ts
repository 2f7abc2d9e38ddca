// GSE: guided stochastic exploration (Heddes et al. 2024, https://arxiv.org/abs/2401.06898).

import { checkNumber, OptionError } from '../errors.js';
import type { Samples } from '../ops/probe.js';
import type { Random } from '../pattern/random.js';
import type { Window } from '../pattern/window.js';
import { eachLayer } from '../topology/choose.js';
import { DropGrow, type DropGrowArgs, withDefaults } from '../topology/drop_grow.js';
import { best, type LayerView } from '../topology/layer_view.js';

export interface GseArgs extends DropGrowArgs {
  /** Candidates drawn for each weight of a layer (γ). Default 1. */
  candidates?: number | undefined;
  /**
   * How they are drawn: every position alike; by the sums of |activation| of a feature and |gradient| of a unit, whose product bounds the gradient
   * between them ('grabo'); by such sums under random signs, which estimate it ('graest'). Default 'uniform', which the authors find enough.
   */
  sampling?: 'uniform' | 'grabo' | 'graest' | undefined;
}

/**
 * Draws some candidates, grows those with the largest |gradient| and drops as many of the smallest |θ|; only candidates' gradients are computed.
 * Defaults as published: 20 % at first along a cosine, every 1000 steps, ⌈γ·nnz⌉ candidates, what is dropped cannot return at once, new weights 0. Layers
 * of density 0.5 and more look at their whole gradient, as in the authors' code. Each layer keeps its size (their code shares it globally by default;
 * their paper's algorithm does not).
 */
export function gse({ candidates = 1, sampling = 'uniform', ...args }: GseArgs = {}): DropGrow {
  checkNumber('gse candidates', candidates, 0, Infinity, true);
  if (!['uniform', 'grabo', 'graest'].includes(sampling)) throw new OptionError('gse sampling', "'uniform', 'grabo' or 'graest'", sampling);
  const grow = eachLayer((layer, k) => {
    if (layer.density >= 0.5) return layer.steepest(k).positions;
    const positions = layer.onlyFree(sampled(layer, Math.ceil(candidates * layer.nnz), sampling));
    return best({ positions, scores: layer.gradientsAt(positions).map(Math.abs) }, k);
  });
  return new DropGrow(
    { name: 'gse', dropCount: (layer, fraction) => Math.ceil(layer.nnz * fraction), grow, usesGradients: true },
    withDefaults({ dropFraction: 0.2, every: 1000 }, args),
    { candidates, sampling },
  );
}

/** Different positions among `k` drawn with replacement: a row and a column, each by its own distribution. Ascending. */
function sampled(layer: LayerView, k: number, sampling: string): Uint32Array {
  const { rows, cols, random } = layer;
  const [byRow, byCol] =
    sampling === 'uniform'
      ? [new Float64Array(rows).fill(1), new Float64Array(cols).fill(1)]
      : weightsOf(layer, sampling === 'graest' ? random : undefined);
  const [row, col] = [sampler(byRow), sampler(byCol)];
  const drawn = new Uint32Array(k);
  for (let i = 0; i < k; i++) drawn[i] = row(random) * cols + col(random);
  drawn.sort();
  return drawn.filter((position, i) => i === 0 || position !== drawn[i - 1]);
}

/** Of rows and of columns, which are units and features, in a convolution features and filters. */
function weightsOf({ rows, cols, passes }: LayerView, signs: Random | undefined): [Float64Array, Float64Array] {
  if (passes[0].window) return unfolded(passes, rows, cols, signs);
  const [features, units] = distributions(passes[0], rows, cols, signs);
  return [units, features];
}

/**
 * Weights of the features and of the units: Σ|x| and Σ|dy| over the batch, or |Σ s·x| and |Σ s·dy| with one random sign s for each sample. With the same
 * signs on both sides, the product of the two sums is an unbiased estimate of the gradient.
 */
export function distributions(
  { batch, x, dy }: Samples,
  rows: number,
  cols: number,
  signs: Random | undefined,
): [Float64Array, Float64Array] {
  const features = new Float64Array(cols);
  const units = new Float64Array(rows);
  for (let b = 0; b < batch; b++) {
    const sign = signs && signs.next() < 0.5 ? -1 : 1;
    const weigh = (value: number) => (signs ? sign * value : Math.abs(value));
    for (let i = 0; i < cols; i++) features[i] += weigh(x[b * cols + i]);
    for (let j = 0; j < rows; j++) units[j] += weigh(dy[b * rows + j]);
  }
  return [features.map(Math.abs), units.map(Math.abs)];
}

/**
 * The same of a convolution, unfolded: each output position of each image is a sample, whose features are the `rows` taps of its window, 0 where they lie
 * outside of the image.
 */
export function unfolded(
  passes: readonly Samples[],
  rows: number,
  cols: number,
  signs: Random | undefined,
): [features: Float64Array, filters: Float64Array] {
  const features = new Float64Array(rows);
  const filters = new Float64Array(cols);
  for (const { batch, x, dy, window } of passes) {
    const w = window as Window;
    for (let b = 0, at = 0; b < batch; b++) {
      for (let oy = 0; oy < w.outHeight; oy++) {
        for (let ox = 0; ox < w.outWidth; ox++) {
          const sign = signs && signs.next() < 0.5 ? -1 : 1;
          const weigh = (value: number) => (signs ? sign * value : Math.abs(value));
          for (let o = 0; o < cols; o++) filters[o] += weigh(dy[at++]);
          for (let kh = 0; kh < w.kernelHeight; kh++) {
            const row = oy * w.strideHeight + kh * w.dilationHeight - w.top;
            if (row < 0 || row >= w.height) continue;
            for (let kw = 0; kw < w.kernelWidth; kw++) {
              const col = ox * w.strideWidth + kw * w.dilationWidth - w.left;
              if (col < 0 || col >= w.width) continue;
              const from = ((b * w.height + row) * w.width + col) * w.channels;
              const to = (kh * w.kernelWidth + kw) * w.channels;
              for (let c = 0; c < w.channels; c++) features[to + c] += weigh(x[from + c]);
            }
          }
        }
      }
    }
  }
  return [features.map(Math.abs), filters.map(Math.abs)];
}

/** Draws indices in proportion to their weights; alike, where all are 0. */
function sampler(weights: Float64Array): (random: Random) => number {
  const sums = new Float64Array(weights.length);
  let total = 0;
  for (let i = 0; i < weights.length; i++) sums[i] = total += weights[i];
  if (!(total > 0)) return (random) => random.below(weights.length);
  return (random) => {
    const at = random.next() * total;
    let [low, high] = [0, sums.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle] > at) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}
