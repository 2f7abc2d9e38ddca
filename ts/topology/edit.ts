// The one way in which a layer's pattern changes: values and the optimizer's slots go where their weights go.

import { OptionError } from '../errors.js';
import { carried } from '../pattern/carried.js';
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

/** What a layer is to become. */
export interface Edit {
  layer: SparseLayer;
  /** Makes its pattern; may throw. */
  next(): CsrPattern;
  /** The values of `next`, in its order: `source[i]` is where entry `i` was before, −1 if it was not. May throw. */
  values(source: Int32Array, next: CsrPattern): Float32Array;
}

/**
 * Edits layers, all or none: whatever can fail is done before the first change. The slots of their variables move along. A pattern that is the same
 * as before changes nothing, and its values are not asked. `track` keeps the layers' records of explored positions.
 */
export function editAll(edits: readonly Edit[], carry: Carry, track = true): Moved {
  const total = { dropped: 0, grown: 0, regrown: 0 };
  for (const { layer, next, source, values, move } of prepared(edits, carry)) {
    const fewer = layer.pattern.nnz - next.nnz;
    layer.edit(next, values);
    move(source);
    const entries = newEntries(source);
    total.grown += entries.length;
    total.dropped += entries.length + fewer;
    if (track) total.regrown += explore(layer.explored(), next, entries);
  }
  return total;
}

/** The edits that change something, with all that they need. If one cannot be, the patterns that were made for others are freed. */
function prepared(edits: readonly Edit[], carry: Carry) {
  const made: CsrPattern[] = [];
  try {
    return edits.flatMap(({ layer, next: make, values }) => {
      const next = make();
      made.push(next);
      const source = sources(layer.pattern, next);
      if (source) return [{ layer, next, source, values: values(source, next), move: carry(layer.values.name) }];
      releasePattern(next);
      return [];
    });
  } catch (error) {
    for (const next of made) releasePattern(next);
    throw error;
  }
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

/** The layer's values in the order of `next`; what has grown is drawn as its initializer does. Refuses 0s where they would stay for ever. */
export function withDraws(layer: SparseLayer, next: CsrPattern, source: Int32Array, key: number): Float32Array {
  const values = withZeros(layer, source);
  const grown = newEntries(source);
  const flat = next.flat();
  const positions = new Uint32Array(grown.length);
  for (let n = 0; n < grown.length; n++) positions[n] = flat[grown[n]];
  const drawn = layer.fresh(next, positions, key);
  if (layer.alpha > 1 && drawn.length > 0 && drawn.every((value) => value === 0)) {
    throw new OptionError(`kernelInitializer of ${layer.name}`, `one that draws other weights than 0, at alpha ${layer.alpha}`, 0);
  }
  for (let n = 0; n < grown.length; n++) values[grown[n]] = drawn[n];
  return values;
}

/** The same, with 0 for what has grown. */
export function withZeros({ values }: SparseLayer, source: Int32Array): Float32Array {
  return carried(values.dataSync() as Float32Array, source);
}
