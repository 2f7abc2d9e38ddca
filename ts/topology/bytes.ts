// Bytes that layers hold, counted from their arrays.

import type { layers } from '@tensorflow/tfjs-layers';
import type { CsrPattern } from '../pattern/csr.js';
import { featuresOf, type KernelShape, unitsAreRows, unitsOf } from '../pattern/kernel_shape.js';
import { isSparse } from './sparse_layer.js';

/** tfjs keeps float32, int32 and bool weights alike. */
const WORD = 4;

/**
 * What a built layer holds between two steps: its weights and, of a sparse layer, the pattern in JavaScript and in wasm memory (there from the first
 * product on), Top-KAST's vector and the record of explored positions. Not gradients, nor what an optimizer keeps.
 */
export function layerBytes(layer: layers.Layer): number {
  const weights = layer.weights.reduce((sum, { shape }) => sum + WORD * sizeOf(shape), 0);
  if (!isSparse(layer)) return weights;
  const { pattern, backwardDensity, kernelShape } = layer;
  // Saved as weights of 32 bits, held otherwise.
  const saved = pattern.rows + 1 + pattern.nnz + (backwardDensity === undefined ? 0 : pattern.rows);
  return weights - WORD * saved + patternBytes(pattern) + listBytes(pattern, kernelShape);
}

/** The lists of a convolution for one width of images: 16 bits an entry and direction, and where the segments of each tap begin. */
function listBytes({ nnz, forwardNnz }: CsrPattern, kernelShape: KernelShape): number {
  if (unitsAreRows(kernelShape)) return 0;
  const taps = sizeOf(kernelShape.slice(0, -2));
  return 2 * (forwardNnz + nnz) + WORD * (taps * (unitsOf(kernelShape) + featuresOf(kernelShape)) + 2);
}

/** Of a shape without open dimensions. */
export function sizeOf(shape: readonly (number | null)[]): number {
  return shape.reduce((size: number, dim) => size * (dim ?? 1), 1);
}

function patternBytes(pattern: CsrPattern): number {
  const { rowOffsets, rowSplits, colIndices } = pattern;
  return rowOffsets.byteLength + rowSplits.byteLength + colIndices.byteLength + patternBytesInWasm(pattern);
}

/** Row and column order of the entries, 16 bits where they fit, each with offsets and splits, and the way from one to the other. Not
 * what products of wide layers make at first use, at most 5 bytes per entry: see `pattern.rs`. */
export function patternBytesInWasm({ rows, cols, nnz }: CsrPattern): number {
  const width = (bound: number) => (bound <= 1 << 16 ? 2 : 4);
  return nnz * (width(cols) + width(rows) + 4) + 4 * (2 * rows + 1 + 2 * cols + 1);
}
