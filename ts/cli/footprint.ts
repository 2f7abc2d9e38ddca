// Bytes that training holds for its parameters: counted from the arrays themselves, and for the dense twin from its size.

import type * as tf from '@tensorflow/tfjs-core';
import type { LayersModel, SymbolicTensor } from '@tensorflow/tfjs-layers';
import { SparseDense } from '../layers/index.js';

/** Arrays of a parameter's size that an optimizer keeps. */
const SLOTS: Record<string, number> = { SparseSgd: 0, SparseMomentum: 1, SparseAdam: 3 };
const FLOAT = 4;

export interface LayerFootprint {
  name: string;
  density: number;
  nnz: number;
  /** Weights, gradient and moments, and for a sparse layer its pattern and Top-KAST's whole vector. */
  bytes: number;
  /** The same of a layer with every weight. */
  denseBytes: number;
}

/** What `layer` costs while it trains: the values and their gradient, which exist at the same time at the end of each step, and the slots. */
export function footprint(model: LayersModel, optimizer: tf.Optimizer): LayerFootprint[] {
  // Adam counts steps by weight; a dense Adam has two moments.
  const slots = SLOTS[optimizer.getClassName()] ?? 0;
  const denseSlots = Math.min(slots, 2);
  return model.layers.map((layer) => {
    const units = (layer.outputShape as number[]).at(-1) as number;
    const features = (layer.getInputAt(0) as SymbolicTensor).shape.at(-1) as number;
    const size = units * features;
    const denseBytes = FLOAT * (size + units) * (2 + denseSlots);
    if (!(layer instanceof SparseDense)) return { name: layer.name, density: 1, nnz: size, bytes: denseBytes, denseBytes };
    const { pattern, backwardDensity } = layer;
    const { rowOffsets, rowSplits, colIndices } = pattern;
    const here = rowOffsets.byteLength + rowSplits.byteLength + colIndices.byteLength;
    const values = FLOAT * (pattern.nnz + units) * (2 + slots);
    const whole = backwardDensity === undefined ? 0 : FLOAT * size;
    const bytes = values + here + patternBytesInWasm(pattern) + whole;
    return { name: layer.name, density: pattern.forwardNnz / size, nnz: pattern.forwardNnz, bytes, denseBytes };
  });
}

/** Row and column order of the entries, 16 bits where they fit, each with offsets and splits, and the way from one to the other. Not
 * the borders of blocks in layers wider than 4096, at most a byte per entry. */
export function patternBytesInWasm({ rows, cols, nnz }: SparseDense['pattern']): number {
  const width = (bound: number) => (bound <= 1 << 16 ? 2 : 4);
  return nnz * (width(cols) + width(rows) + 4) + 4 * (2 * rows + 1 + 2 * cols + 1);
}
