// Patterns of the largest weights of a whole parameter vector (Top-KAST's A and B).

import { CsrPattern, indicesFor } from '../pattern/csr.js';
import { topK, topKOf } from '../wasm/kernels.js';
import type { WasmArray } from '../wasm/memory.js';

/**
 * The `nnz` largest |θ| of a whole layer θ `[rows·cols]` as backward set B, the `forwardNnz` largest of these as forward set A. Equal
 * magnitudes: the lower index wins. O(rows·cols) time, O(nnz) memory.
 */
export function largest(theta: WasmArray, rows: number, cols: number, forwardNnz: number, nnz: number): CsrPattern {
  const flat = topKOf(theta, nnz).slice();
  const all = theta.floats;
  const values = new Float32Array(nnz);
  for (let i = 0; i < nnz; i++) values[i] = all[flat[i]];
  const members = topK(values, forwardNnz).slice();
  const rowOffsets = new Uint32Array(rows + 1);
  const rowSplits = new Uint32Array(rows);
  const colIndices = indicesFor(cols, nnz);
  // Both lists ascend, so each row is a stretch of `flat`: its members of A go first, then the others.
  let next = 0;
  let member = 0;
  for (let row = 0, out = 0; row < rows; row++) {
    const first = row * cols;
    const start = next;
    const firstMember = member;
    while (next < nnz && flat[next] < first + cols) {
      if (members[member] === next) {
        colIndices[out++] = flat[next] - first;
        member++;
      }
      next++;
    }
    rowSplits[row] = out;
    for (let i = start, m = firstMember; i < next; i++) {
      if (members[m] === i) m++;
      else colIndices[out++] = flat[i] - first;
    }
    rowOffsets[row + 1] = out;
  }
  return new CsrPattern({ cols, rowOffsets, rowSplits, colIndices });
}

/** The values of a pattern's entries in a whole layer θ `[rows·cols]`. */
export function gather(theta: Float32Array, { rows, cols, nnz, rowOffsets, colIndices }: CsrPattern): Float32Array {
  const values = new Float32Array(nnz);
  for (let row = 0; row < rows; row++) {
    for (let i = rowOffsets[row], end = rowOffsets[row + 1]; i < end; i++) values[i] = theta[row * cols + colIndices[i]];
  }
  return values;
}

/** Writes a pattern's values to their places in a whole layer θ `[rows·cols]`. */
export function scatter(values: Float32Array, { rows, cols, rowOffsets, colIndices }: CsrPattern, theta: Float32Array): void {
  for (let row = 0; row < rows; row++) {
    for (let i = rowOffsets[row], end = rowOffsets[row + 1]; i < end; i++) theta[row * cols + colIndices[i]] = values[i];
  }
}
