// The one way in which a layer's pattern changes: values and the optimizer's slots go where their weights go.

import type { CsrPattern } from '../pattern/csr.js';
import { releasePattern, sources } from '../wasm/kernels.js';
import type { Carry } from './carry.js';
import type { SparseLayer } from './sparse_layer.js';

/** What an edit did. A weight that was dropped and grown again at once counts in none of these. */
export interface Moved {
  dropped: number;
  grown: number;
  /** Of the grown, those whose position had a weight at an earlier time. */
  regrown: number;
}

/**
 * Gives `layer` the pattern `next` with `values(source)`, in its order: `source[i]` is where entry `i` was before, −1 if it was not. Carries the slots of
 * its variable. A pattern that is the same as before changes nothing, and `values` is not asked.
 */
export function edit(layer: SparseLayer, next: CsrPattern, values: (source: Int32Array) => Float32Array, carry: Carry): Moved {
  const before = layer.pattern;
  const source = sources(before, next);
  if (!source) {
    releasePattern(next);
    return { dropped: 0, grown: 0, regrown: 0 };
  }
  const taken = values(source);
  // What could fail has not failed: from here on pattern, values and slots change together.
  carry(layer.values.name, source);
  const dropped = before.nnz - next.nnz;
  layer.edit(next, taken);
  const { grown, regrown } = explore(layer.explored(), next, source);
  return { dropped: dropped + grown, grown, regrown };
}

/** Marks the new entries' positions in `seen`, one bit each. */
function explore(
  seen: Uint32Array,
  { rows, cols, rowOffsets, colIndices }: CsrPattern,
  source: Int32Array,
): { grown: number; regrown: number } {
  let grown = 0;
  let regrown = 0;
  for (let row = 0, i = 0; row < rows; row++) {
    for (const end = rowOffsets[row + 1]; i < end; i++) {
      if (source[i] >= 0) continue;
      const flat = row * cols + colIndices[i];
      const bit = 1 << (flat & 31);
      grown++;
      if (seen[flat >>> 5] & bit) regrown++;
      else seen[flat >>> 5] |= bit;
    }
  }
  return { grown, regrown };
}

/** The values of survivors in their new order, 0 for the others. */
export function carried(values: Float32Array, source: Int32Array): Float32Array {
  const next = new Float32Array(source.length);
  for (let i = 0; i < next.length; i++) if (source[i] >= 0) next[i] = values[source[i]];
  return next;
}
