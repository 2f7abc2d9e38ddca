// The one way in which a layer's pattern changes: values and the optimizer's slots go where their weights go.

import type { CsrPattern } from '../pattern/csr.js';
import { releasePattern, sources } from '../wasm/kernels.js';
import type { Carry } from './carry.js';
import type { SparseLayer } from './sparse_layer.js';

/** What an edit did. A weight that was dropped and grown again at once counts in none of these. */
export interface Moved {
  dropped: number;
  grown: number;
  /** Of the grown, those whose position had a weight at an earlier time; 0 where that is not tracked. */
  regrown: number;
}

/**
 * Gives `layer` the pattern `next` with `values(source)`, in its order: `source[i]` is where entry `i` was before, −1 if it was not. Carries the slots of
 * its variable. `track` keeps the layer's record of explored positions. A pattern that is the same as before changes nothing, and `values` is not asked.
 */
export function edit(
  layer: SparseLayer,
  next: CsrPattern,
  values: (source: Int32Array) => Float32Array,
  carry: Carry,
  track = true,
): Moved {
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
  const entries = newEntries(source);
  const grown = entries.length;
  return { dropped: dropped + grown, grown, regrown: track ? explore(layer.explored(), next, entries) : 0 };
}

/** Marks the new entries' positions in `seen`, one bit each; returns how many were marked before. */
function explore(seen: Uint32Array, { cols, rowOffsets, colIndices }: CsrPattern, entries: Uint32Array): number {
  let row = 0;
  let regrown = 0;
  for (let n = 0; n < entries.length; n++) {
    const i = entries[n];
    while (rowOffsets[row + 1] <= i) row++;
    const flat = row * cols + colIndices[i];
    const [word, bit] = [flat >>> 5, flat & 31];
    regrown += (seen[word] >>> bit) & 1;
    seen[word] |= 1 << bit;
  }
  return regrown;
}

/** The entries that were not there before, ascending. */
export function newEntries(source: Int32Array): Uint32Array {
  const entries = new Uint32Array(source.length);
  let count = 0;
  // Every entry is written and the new ones move the end: no branch that a predictor could not learn.
  for (let i = 0; i < source.length; i++) {
    entries[count] = i;
    count += source[i] >>> 31;
  }
  return entries.subarray(0, count);
}

/** The values of survivors in their new order, 0 for the others. */
export function carried(values: Float32Array, source: Int32Array): Float32Array {
  const next = new Float32Array(source.length);
  for (let i = 0; i < next.length; i++) if (source[i] >= 0) next[i] = values[source[i]];
  return next;
}
