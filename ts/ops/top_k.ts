// Exact selection by magnitude, of values and of gradients that are never formed.

import type * as tf from '@tensorflow/tfjs-core';
import { checkCount, checkNumber, OptionError, ShapeError } from '../errors.js';
import type { CsrPattern } from '../pattern/csr.js';
import * as kernels from '../wasm/kernels.js';
import { abroad, defineKernel, runKernel } from './kernel.js';
import { refusingNaN } from './refusing_nan.js';

/**
 * The k entries of `x [n]` with the largest magnitude, in the order of their indices (`tf.topk` sorts by value instead). Exact, without a
 * sort; equal magnitudes: the lower index wins. `values [k]` float32, `indices [k]` int32. No gradient. Throws an {@link OptionError} on NaN.
 */
export function topK(x: tf.Tensor1D, k: number): { values: tf.Tensor1D; indices: tf.Tensor1D } {
  if (x.rank !== 1) throw new ShapeError('topK x', ['n'], x.shape);
  if (checkCount('topK k', k, 0) > x.size) throw new OptionError('topK k', `at most the ${x.size} values there are`, k);
  const [values, indices] = refusingNaN('topK x', () => runKernel<tf.Tensor1D[]>('topK', { x }, { k }));
  return { values, indices };
}

defineKernel<{ k: number }>(
  'topK',
  ({ x }, { k }, room) => {
    const all = abroad(x);
    const indices = kernels.topK(all, k);
    const values = room as Float32Array;
    for (let i = 0; i < k; i++) values[i] = all[indices[i]];
    return [
      { shape: [k], values },
      { shape: [k], values: indices },
    ];
  },
  (_, { k }) => [k],
);

/** What a layer’s whole gradient dyᵀ·x is made of, and where not to look. */
export interface GradientArgs {
  /** Activations that came in, `[batch, in]`, float32. */
  x: tf.Tensor2D;
  /** Gradients of what went out, `[batch, out]`, float32. */
  dy: tf.Tensor2D;
  /** The positions to leave out. */
  pattern: CsrPattern;
}

function checkGradientArgs(op: string, { x, dy, pattern }: GradientArgs): void {
  if (x.rank !== 2 || x.shape[1] !== pattern.cols) throw new ShapeError(`${op} x`, ['batch', pattern.cols], x.shape);
  if (dy.rank !== 2 || dy.shape[1] !== pattern.rows || dy.shape[0] !== x.shape[0]) {
    throw new ShapeError(`${op} dy`, [x.shape[0], pattern.rows], dy.shape);
  }
  const size = pattern.rows * pattern.cols;
  if (size >= 2 ** 32) throw new OptionError(`${op} pattern`, 'one of fewer than 2^32 positions', size);
}

/**
 * The k positions outside `pattern` where the gradient dyᵀ·x of a dense W `[out, in]` would be largest in magnitude (RigL's candidates for
 * growth), by row, then column; fewer if fewer exist. The dense gradient is never formed: O(k) memory beside a copy of dy. Equal magnitudes: the
 * lower row, then the lower column wins. All `[k]`, rows and columns int32. Costs one dense product. Throws an {@link OptionError} on NaN.
 */
export function gradientTopK(args: GradientArgs & { k: number }): { rows: tf.Tensor1D; cols: tf.Tensor1D; gradients: tf.Tensor1D } {
  const { x, dy, pattern, k } = args;
  checkGradientArgs('gradientTopK', args);
  checkCount('gradientTopK k', k, 0);
  const [rows, cols, gradients] = refusingNaN('gradientTopK dyᵀ·x', () =>
    runKernel<tf.Tensor1D[]>('gradientTopK', { x, dy }, { pattern, k }),
  );
  return { rows, cols, gradients };
}

defineKernel<{ pattern: CsrPattern; k: number }>('gradientTopK', ({ x, dy }, { pattern, k }) => {
  const { rows, cols, gradients } = kernels.gradientTopK(pattern, x.shape[0], abroad(x), abroad(dy), k);
  return [rows, cols, gradients].map((values) => ({ shape: [values.length], values }));
});

/** Sum, maximum and L2 norm of |dyᵀ·x| outside `pattern`, and how many of them exceed `threshold` (default 0). Scalars, float32. */
export function gradientReduce(args: GradientArgs & { threshold?: number }): Record<'sum' | 'max' | 'norm' | 'count', tf.Scalar> {
  const { x, dy, pattern, threshold = 0 } = args;
  checkGradientArgs('gradientReduce', args);
  checkNumber('gradientReduce threshold', threshold, 0, Infinity);
  const [sum, max, norm, count] = runKernel<tf.Scalar[]>('gradientReduce', { x, dy }, { pattern, threshold });
  return { sum, max, norm, count };
}

defineKernel<{ pattern: CsrPattern; threshold: number }>('gradientReduce', ({ x, dy }, { pattern, threshold }) =>
  Array.from(kernels.gradientReduce(pattern, x.shape[0], abroad(x), abroad(dy), threshold), (value) => ({
    shape: [],
    values: Float32Array.of(value),
    owned: true,
  })),
);
