// y = act(x·Wᵀ + b) with a sparse W, and its gradients: the op of the sparse layer.

import * as tf from '@tensorflow/tfjs-core';
import { ShapeError } from '../errors.js';
import type { CsrPattern } from '../pattern/csr.js';
import * as kernels from '../wasm/kernels.js';
import { defineKernel, type Operand, type Result, runKernel } from './kernel.js';
import type { Probe } from './probe.js';

export type { Decay } from '../wasm/kernels.js';

/** Activations that run inside the product. Apply others to its linear output. */
export type FusedActivation = 'linear' | 'relu';

export interface SparseDenseArgs {
  /** `[batch, in]`, float32. */
  x: tf.Tensor2D;
  /** `[nnz]`, float32, in the pattern's order. */
  values: tf.Tensor1D;
  /** `[out]`, float32. Default: none. */
  bias?: tf.Tensor1D | undefined;
  /** Where the values sit in W `[out, in]`. */
  pattern: CsrPattern;
  /** Default: 'linear'. */
  activation?: FusedActivation;
  /** Adds `decay·values` to the gradient of the values, one factor for the forward set and one for the rest. Default: nothing. */
  decay?: kernels.Decay;
  /** Keeps x and dy of the backward pass, for methods that ask about the dense gradient. Default: none. */
  probe?: Probe | undefined;
}

interface Attrs {
  pattern: CsrPattern;
  activation: FusedActivation;
  decay: kernels.Decay;
  probe: Probe | undefined;
}

const NO_DECAY: kernels.Decay = { forward: 0, rest: 0 };

/**
 * `act(x·Wᵀ + bias)`, `[batch, out]`, where W `[out, in]` has `values` at the places of `pattern`. Only the forward set takes part; the
 * gradient of `values` covers the whole pattern. Costs 2·nnz·batch operations forward and twice that backward, in one pass (once without the
 * gradient of x, which the first layer of a network does not need).
 *
 * Throws a {@link ShapeError} when shapes and pattern disagree.
 *
 * ```js
 * const pattern = randomPattern(300, 784, 23_520, 1); // out, in, nnz, seed
 * const values = tf.variable(tf.randomNormal([pattern.nnz]));
 * const y = sparseDense({ x, values, pattern, activation: 'relu' });
 * ```
 */
export function sparseDense({ x, values, bias, pattern, activation = 'linear', decay = NO_DECAY, probe }: SparseDenseArgs): tf.Tensor2D {
  if (x.rank !== 2 || x.shape[1] !== pattern.cols) throw new ShapeError('sparseDense x', ['batch', pattern.cols], x.shape);
  if (values.rank !== 1 || values.size !== pattern.nnz) throw new ShapeError('sparseDense values', [pattern.nnz], values.shape);
  if (bias && (bias.rank !== 1 || bias.size !== pattern.rows)) throw new ShapeError('sparseDense bias', [pattern.rows], bias.shape);
  const attrs: Attrs = { pattern, activation, decay, probe };
  // Under the tape a key whose value is undefined fails inside tfjs: leave it out.
  return runKernel('sparseDense', bias ? { x, values, bias } : { x, values }, attrs);
}

defineKernel<Attrs>('sparseDense', ({ x, values, bias }, { pattern, activation }) => {
  const batch = x.shape[0];
  return {
    shape: [batch, pattern.rows],
    values: kernels.forward(pattern, batch, x.values, values.values, bias?.values, activation === 'relu'),
  };
});

type Wanted = 'x' | 'values' | 'bias';

interface GradientAttrs extends Attrs {
  wanted: Wanted;
  /** Gradients computed by an earlier thunk of the same backward call. */
  done: Partial<Record<Wanted, Result>>;
}

/**
 * One fused pass computes all gradients when the first is asked for; the others wait in `done`. tfjs asks for `x` first, and does not ask where
 * x is data: then dX is not computed.
 */
defineKernel<GradientAttrs>('sparseDenseGradient', (operands, { pattern, decay, probe, wanted, done }) => {
  const waiting = done[wanted];
  if (waiting) return waiting;
  const { x, values, dy, y } = operands as { x: Operand; values: Operand; dy: Operand; y?: Operand };
  const arrays = { x: x.values, values: values.values, dy: dy.values, y: y?.values };
  probe?.record(x.shape[0], x.values, dy.values, y?.values);
  const { dx, dValues, dBias } = kernels.backward(pattern, x.shape[0], arrays, wanted === 'x', decay);
  if (wanted !== 'values') done.values = { shape: [pattern.nnz], values: dValues.slice(), owned: true };
  if (wanted !== 'bias') done.bias = { shape: [pattern.rows], values: dBias.slice(), owned: true };
  if (dx) return { shape: x.shape, values: dx };
  return wanted === 'values' ? { shape: [pattern.nnz], values: dValues } : { shape: [pattern.rows], values: dBias };
});

if (!tf.getGradient('sparseDense')) {
  tf.registerGradient({
    kernelName: 'sparseDense',
    inputsToSave: ['x', 'values'],
    outputsToSave: [true],
    gradFunc: (dy, saved, attrs) => {
      const [x, values, y] = saved;
      const { activation } = attrs as unknown as Attrs;
      const inputs = { x, values, dy: dy as tf.Tensor, ...(activation === 'relu' ? { y } : {}) };
      const done = {};
      const gradient = (wanted: Wanted) => () => runKernel<tf.Tensor>('sparseDenseGradient', inputs, { ...attrs, wanted, done });
      return { x: gradient('x'), values: gradient('values'), bias: gradient('bias') };
    },
  });
}

export { releasePattern } from '../wasm/kernels.js';
