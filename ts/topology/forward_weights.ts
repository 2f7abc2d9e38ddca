// A sparse layer as its forward pass sees it.

import { thetaOf } from '../ops/powerprop.js';
import { CsrPattern } from '../pattern/csr.js';
import type { SparseLayer } from './sparse_layer.js';

/** The forward set A alone (everything, but in a Top-KAST layer), with the stored φ of its entries and the weights θ `[nnz]` they stand for; copies. */
export function forwardWeights({ pattern, values, alpha }: SparseLayer): { pattern: CsrPattern; phi: Float32Array; weights: Float32Array } {
  const stored = values.dataSync() as Float32Array;
  const { rows, cols, forwardNnz: nnz } = pattern;
  const rowOffsets = new Uint32Array(rows + 1);
  const colIndices = new Uint32Array(nnz);
  const phi = new Float32Array(nnz);
  let count = 0;
  pattern.forEach((i, row, col, inA) => {
    if (!inA) return;
    colIndices[count] = col;
    phi[count] = stored[i];
    count++;
    rowOffsets[row + 1] = count;
  });
  // Rows without a weight end where the one before does.
  for (let row = 1; row <= rows; row++) rowOffsets[row] = Math.max(rowOffsets[row], rowOffsets[row - 1]);
  return { pattern: new CsrPattern({ cols, rowOffsets, colIndices }), phi, weights: thetaOf(phi, alpha) };
}
