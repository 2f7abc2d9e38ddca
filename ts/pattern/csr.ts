// Where the entries of a sparse weight matrix are. Plain typed arrays: no tensors, no wasm.

import { PatternError } from '../errors.js';

/** Indices in the narrowest type that holds them: 16 bits up to 65 536 columns. */
export type Indices = Uint16Array | Uint32Array;

export interface CsrArrays {
  readonly cols: number;
  /** `[rows + 1]`: row `r` holds entries `rowOffsets[r]` to `rowOffsets[r + 1]`. */
  readonly rowOffsets: Uint32Array;
  /** `[rows]`: where the forward set A ends in each row. Left out: everything is in A. */
  readonly rowSplits?: Uint32Array;
  /** `[nnz]`: the column of each entry; ascending within A, then ascending within B∖A, in each row. */
  readonly colIndices: Indices;
}

/**
 * Where the entries of W `[rows, cols]` = `[out, in]` are, in CSR form: tfjs's dense kernel `[in, out]` transposed.
 *
 * Each row is two runs of column indices: the forward set A, then the rest of the backward set B (Top-KAST). Values are kept apart, as one
 * array `[nnz]` in the order of `colIndices`. Immutable: an edit makes a new pattern. It takes over the arrays; do not write to them.
 *
 * ```
 * W = ┌ a . b ┐   rowOffsets  0 2 3     colIndices  0 2 | 1     values  a b | c
 *     └ . c . ┘   rowSplits   2 3
 * ```
 *
 * Throws a {@link PatternError} unless indices are in bounds, ascending in each run and unique in each row.
 */
export class CsrPattern {
  readonly rows: number;
  readonly cols: number;
  readonly rowOffsets: Uint32Array;
  readonly rowSplits: Uint32Array;
  readonly colIndices: Indices;

  constructor({ cols, rowOffsets, rowSplits = rowOffsets.slice(1), colIndices }: CsrArrays) {
    this.rows = rowOffsets.length - 1;
    this.cols = cols;
    this.rowOffsets = rowOffsets;
    this.rowSplits = rowSplits;
    this.colIndices = cols <= 1 << 16 && colIndices instanceof Uint32Array ? narrow(colIndices) : colIndices;
    check(this);
  }

  /** A pattern from arrays that were checked where they come from: the crate's own. */
  static checked(arrays: Required<CsrArrays>): CsrPattern {
    return Object.assign(Object.create(CsrPattern.prototype), { rows: arrays.rowOffsets.length - 1, ...arrays }) as CsrPattern;
  }

  /** The pattern of flat indices row·cols + col, ascending. Throws a {@link PatternError} when they do not ascend or lie outside. */
  static fromFlat(rows: number, cols: number, flat: Uint32Array): CsrPattern {
    refuseLarge(rows, cols);
    const rowOffsets = new Uint32Array(rows + 1);
    const colIndices = indicesFor(cols, flat.length);
    let row = 0;
    for (let i = 0; i < flat.length; i++) {
      if (flat[i] >= rows * cols || (i > 0 && flat[i] <= flat[i - 1])) {
        throw new PatternError(`pattern flat index ${i}: expected ascending ones below ${rows}·${cols}, received ${flat[i]}`);
      }
      while (flat[i] >= (row + 1) * cols) rowOffsets[++row] = i;
      colIndices[i] = flat[i] - row * cols;
    }
    rowOffsets.fill(flat.length, row + 1);
    return new CsrPattern({ cols, rowOffsets, colIndices });
  }

  /** Stored entries, |B|. */
  get nnz(): number {
    return this.colIndices.length;
  }

  /** Entries that the forward pass uses, |A|. */
  get forwardNnz(): number {
    let total = 0;
    for (let row = 0; row < this.rows; row++) total += this.rowSplits[row] - this.rowOffsets[row];
    return total;
  }

  /** The flat indices row·cols + col of all entries, in the pattern's order. Throws a {@link PatternError} where they do not fit into 32 bits. */
  flat(): Uint32Array {
    refuseLarge(this.rows, this.cols);
    const flat = new Uint32Array(this.nnz);
    for (let row = 0, i = 0; row < this.rows; row++) {
      for (const end = this.rowOffsets[row + 1]; i < end; i++) flat[i] = row * this.cols + this.colIndices[i];
    }
    return flat;
  }

  /** Calls `visit(position, row, col, inA)` for each entry, in order. */
  forEach(visit: (position: number, row: number, col: number, inA: boolean) => void): void {
    for (let row = 0; row < this.rows; row++) {
      const split = this.rowSplits[row];
      const end = this.rowOffsets[row + 1];
      for (let i = this.rowOffsets[row]; i < end; i++) visit(i, row, this.colIndices[i], i < split);
    }
  }
}

function refuseLarge(rows: number, cols: number): void {
  if (rows * cols < 2 ** 32) return;
  throw new PatternError(`pattern flat indices: expected a matrix of fewer than 2^32 positions, received ${rows}·${cols}`);
}

/** An array for column indices below `cols`. */
export function indicesFor(cols: number, length: number): Indices {
  return cols <= 1 << 16 ? new Uint16Array(length) : new Uint32Array(length);
}

/** The number of entries kept of `size` at a density: at least one, rounded to the nearest. */
export function countFor(size: number, density: number): number {
  return Math.max(1, Math.round(size * density));
}

function narrow(indices: Uint32Array): Uint16Array {
  // A column beyond 16 bits must fail the check, not wrap around to a valid one.
  const bad = indices.findIndex((col) => col > 0xffff);
  if (bad >= 0) throw new PatternError(`pattern entry ${bad}: expected a column below 65536, received ${indices[bad]}`);
  return new Uint16Array(indices);
}

function check({ rows, cols, rowOffsets, rowSplits, colIndices }: CsrPattern): void {
  if (!Number.isSafeInteger(cols) || cols < 0) throw new PatternError(`pattern cols: expected a whole number >= 0, received ${cols}`);
  if (rows < 0 || rowOffsets[0] !== 0) throw new PatternError('pattern row offsets: expected a first offset of 0');
  if (rowOffsets[rows] !== colIndices.length) {
    throw new PatternError(`pattern last row offset: expected the number of entries, ${colIndices.length}, received ${rowOffsets[rows]}`);
  }
  if (rowSplits.length !== rows) throw new PatternError(`pattern row splits: expected ${rows}, received ${rowSplits.length}`);
  // The row in whose B∖A, or A, a column was seen last: a set of columns without clearing it for each row.
  const seen = new Int32Array(cols).fill(-1);
  for (let row = 0; row < rows; row++) {
    const start = rowOffsets[row];
    const split = rowSplits[row];
    const end = rowOffsets[row + 1];
    if (!(start <= split && split <= end && end <= colIndices.length)) {
      throw new PatternError(`pattern row ${row}: expected start <= split <= end, received ${start}, ${split}, ${end}`);
    }
    let last = -1;
    for (let i = start; i < end; i++) {
      const col = colIndices[i];
      if (col >= cols) throw new PatternError(`pattern row ${row}: expected columns below ${cols}, received ${col}`);
      if ((col <= last && i !== split) || seen[col] === row) {
        throw new PatternError(`pattern row ${row}: expected ascending columns, each once, received ${last} before ${col}`);
      }
      seen[col] = row;
      last = col;
    }
  }
}
