// Random layers of small whole numbers, and the naive truth about them.

import { CsrPattern } from '../../ts/pattern/csr.js';
import { Random } from '../../ts/pattern/random.js';
import type { DenseProduct } from '../../ts/wasm/kernels.js';

/** None; on, just under and just over the 4-lane vector and the 16-wide panel; a second pair of panels. */
export const BATCHES = [0, 1, 3, 4, 5, 15, 16, 17, 33, 70];
export const SHAPES = [
  [1, 1],
  [1, 8],
  [8, 1],
  [5, 3],
  [20, 33],
  [64, 48],
] as const;
export const DENSITIES = [0, 0.03, 0.5, 1];

export interface Case {
  batch: number;
  pattern: CsrPattern;
  /** Dense 0/1/2: not stored, in A, in B∖A. */
  mask: Uint8Array;
  values: Float32Array;
  x: Float32Array;
  bias: Float32Array;
  dy: Float32Array;
}

export function wholeNumbers(random: Random, n: number): Float32Array {
  return Float32Array.from({ length: n }, () => random.below(11) - 5);
}

export function* cases(): Generator<Case> {
  const random = new Random(0x5eed);
  for (const [rows, cols] of SHAPES) {
    for (const density of DENSITIES) {
      for (const batch of BATCHES) {
        // Ordinary layers have nothing in B∖A, and kernels of their own.
        const rest = batch % 2 === 0 ? 0 : 1 / 3;
        const mask = Uint8Array.from({ length: rows * cols }, () => (random.next() < density ? 1 + Number(random.next() < rest) : 0));
        yield caseOf(random, batch, mask, cols);
      }
    }
  }
}

/** Whole numbers for the layer whose places are in `mask`. */
export function caseOf(random: Random, batch: number, mask: Uint8Array, cols: number): Case {
  const pattern = patternOf(mask, cols);
  const sizes = [pattern.nnz, batch * cols, pattern.rows, batch * pattern.rows];
  const [values, x, bias, dy] = sizes.map((n) => wholeNumbers(random, n));
  return { batch, pattern, mask, values, x, bias, dy };
}

export function patternOf(mask: ArrayLike<number>, cols: number): CsrPattern {
  const rowOffsets = [0];
  const rowSplits: number[] = [];
  const colIndices: number[] = [];
  for (let first = 0; first < mask.length; first += cols) {
    for (const set of [1, 2]) {
      for (let col = 0; col < cols; col++) if (mask[first + col] === set) colIndices.push(col);
      if (set === 1) rowSplits.push(colIndices.length);
    }
    rowOffsets.push(colIndices.length);
  }
  return new CsrPattern({
    cols,
    rowOffsets: Uint32Array.from(rowOffsets),
    rowSplits: Uint32Array.from(rowSplits),
    colIndices: Uint32Array.from(colIndices),
  });
}

/** The naive products, by the definition. */
export const reference = {
  forward({ batch, pattern, values, x, bias }: Case, relu: boolean): number[] {
    const y = Array.from({ length: batch }, () => [...bias]).flat();
    pattern.forEach((i, row, col, inA) => {
      for (let b = 0; b < batch && inA; b++) y[b * pattern.rows + row] += values[i] * x[b * pattern.cols + col];
    });
    return relu ? y.map((v) => Math.max(v, 0)) : y;
  },

  backward({ batch, pattern, values, x, dy }: Case): { dx: number[]; dValues: number[]; dBias: number[] } {
    const dx = new Array(batch * pattern.cols).fill(0);
    const dValues = new Array(pattern.nnz).fill(0);
    const dBias = new Array(pattern.rows).fill(0);
    pattern.forEach((i, row, col, inA) => {
      for (let b = 0; b < batch; b++) {
        const g = dy[b * pattern.rows + row];
        dValues[i] += g * x[b * pattern.cols + col];
        if (inA) dx[b * pattern.cols + col] += g * values[i];
      }
    });
    dy.forEach((g, i) => {
      dBias[i % pattern.rows] += g;
    });
    return { dx, dValues, dBias };
  },

  /** dyᵀ·x at every position outside the pattern, as [row, col, gradient]. */
  outside({ batch, pattern, mask, x, dy }: Case): [number, number, number][] {
    const all: [number, number, number][] = [];
    mask.forEach((set, i) => {
      if (set) return;
      const [row, col] = [Math.floor(i / pattern.cols), i % pattern.cols];
      let g = 0;
      for (let b = 0; b < batch; b++) g += dy[b * pattern.rows + row] * x[b * pattern.cols + col];
      all.push([row, col, g]);
    });
    return all;
  },

  /** op(a)·op(b) `[m, n]` with k terms. */
  dense({ m, n, k, transposeA, transposeB }: DenseProduct, a: ArrayLike<number>, b: ArrayLike<number>): number[] {
    const c = new Array(m * n).fill(0);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        for (let p = 0; p < k; p++) c[i * n + j] += a[transposeA ? p * m + i : i * k + p] * b[transposeB ? j * k + p : p * n + j];
      }
    }
    return c;
  },

  /** The k of largest magnitude by a full sort: equal magnitudes, the earlier first; in their order. */
  topK<T>(items: T[], k: number, magnitude: (item: T) => number): T[] {
    const order = items.map((item, i) => ({ item, i, size: Math.abs(magnitude(item)) }));
    order.sort((a, b) => b.size - a.size || a.i - b.i);
    return order
      .slice(0, k)
      .sort((a, b) => a.i - b.i)
      .map(({ item }) => item);
  },
};
