// Where the weights of a layer are and how they are distributed. Knows no files: pages show the same.

import type { layers } from '@tensorflow/tfjs-layers';
import { thetaOf } from '../ops/powerprop.js';
import { featuresOf, unitsAreRows } from '../pattern/kernel_shape.js';
import { forwardWeights } from '../topology/forward_weights.js';
import { isDense, isSparse } from '../topology/sparse_layer.js';

export interface Distribution {
  /** Of finite weights; the rest are in `notFinite`. */
  min: number;
  max: number;
  mean: number;
  deviation: number;
  /** How many are exactly 0. */
  zeros: number;
  notFinite: number;
  /** Counts in bins of equal width from `min` to `max`. */
  histogram: number[];
}

/** The weights θ that the forward pass of a sparse or dense layer or a convolution uses, biases not among them. Nothing for other layers. */
export function weightsOf(layer: layers.Layer): Float32Array | undefined {
  if (isSparse(layer)) return forwardWeights(layer).weights;
  if (!isDense(layer)) return undefined;
  const { alpha = 1 } = layer as { alpha?: number };
  return thetaOf(layer.getWeights()[0].dataSync() as Float32Array, alpha);
}

/** Weights in the forward pass of a sparse layer, counted for each input feature or channel. Nothing for other layers, where each has all. */
export function connectionsOf(layer: layers.Layer): number[] | undefined {
  if (!isSparse(layer)) return undefined;
  const byRow = !unitsAreRows(layer.kernelShape);
  const features = featuresOf(layer.kernelShape);
  const counts = new Array<number>(features).fill(0);
  layer.pattern.forEach((_, row, col, inA) => {
    if (inA) counts[byRow ? row % features : col]++;
  });
  return counts;
}

/** Nothing where no weight is finite. */
export function distributionOf(weights: Float32Array, bins: number): Distribution | undefined {
  const finite = weights.filter(Number.isFinite);
  if (finite.length === 0) return undefined;
  let [min, max, sum, squares, zeros] = [Infinity, -Infinity, 0, 0, 0];
  for (const weight of finite) {
    min = Math.min(min, weight);
    max = Math.max(max, weight);
    sum += weight;
    squares += weight * weight;
    if (weight === 0) zeros++;
  }
  const mean = sum / finite.length;
  const histogram = new Array<number>(bins).fill(0);
  // Weights that are all the same fall into the first bin.
  for (const weight of finite) histogram[Math.min(bins - 1, Math.floor((bins * (weight - min)) / (max - min || 1)))]++;
  const deviation = Math.sqrt(Math.max(0, squares / finite.length - mean * mean));
  return { min, max, mean, deviation, zeros, notFinite: weights.length - finite.length, histogram };
}

const BLOCKS = '▁▂▃▄▅▆▇█';

/** One character for each bin; a bin with any weight shows. */
export function bars(histogram: readonly number[]): string {
  const most = Math.max(...histogram);
  return histogram.map((count) => (count === 0 ? ' ' : BLOCKS[Math.ceil((count / most) * BLOCKS.length) - 1])).join('');
}
