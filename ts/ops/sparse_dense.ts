// y = act(x·Wᵀ + b) with a sparse W, and its gradients: the op of the sparse layer.

import type * as tf from '@tensorflow/tfjs-core';
import { OptionError, ShapeError } from '../errors.js';
import type { CsrPattern } from '../pattern/csr.js';
import * as kernels from '../wasm/kernels.js';
import type { Panels } from '../wasm/panels.js';
import { defineGradient, defineKernel, numbers, panels, runKernel } from './kernel.js';
import { defineOnePass } from './one_pass.js';
import type { Probe } from './probe.js';

export { type Decay, NO_DECAY } from '../wasm/kernels.js';

/** Activations that run inside the product. Apply others to its linear output. */
export type FusedActivation = 'linear' | 'relu';

/** Refuses any other: JavaScript would get the linear output. */
export function checkFused(op: string, activation: FusedActivation): void {
  if (activation !== 'linear' && activation !== 'relu') {
    throw new OptionError(`${op} activation`, "'linear' or 'relu' (apply others to its output)", activation);
  }
}

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
  biased: boolean;
  gradient: tf.GradFunc;
}

/**
 * `act(x·Wᵀ + bias)`, `[batch, out]`, where W `[out, in]` has `values` at the places of `pattern`. Only the forward set takes part; the
 * gradient of `values` covers the whole pattern. Costs 2·nnz·batch operations forward and twice that backward, in one pass (once without the
 * gradient of x, which the first layer of a network does not need).
 *
 * Throws a {@link ShapeError} when shapes and pattern disagree, and an {@link OptionError} for another activation.
 *
 * ```js
 * const pattern = randomPattern(300, 784, 23_520, 1); // out, in, nnz, seed
 * const values = tf.variable(tf.randomNormal([pattern.nnz]));
 * const y = sparseDense({ x, values, pattern, activation: 'relu' });
 * ```
 */
export function sparseDense({
  x,
  values,
  bias,
  pattern,
  activation = 'linear',
  decay = kernels.NO_DECAY,
  probe,
}: SparseDenseArgs): tf.Tensor2D {
  checkFused('sparseDense', activation);
  if (x.rank !== 2 || x.shape[1] !== pattern.cols) throw new ShapeError('sparseDense x', ['batch', pattern.cols], x.shape);
  if (values.rank !== 1 || values.size !== pattern.nnz) throw new ShapeError('sparseDense values', [pattern.nnz], values.shape);
  if (bias && (bias.rank !== 1 || bias.size !== pattern.rows)) throw new ShapeError('sparseDense bias', [pattern.rows], bias.shape);
  const attrs: Attrs = { pattern, activation, decay, probe, biased: bias !== undefined, gradient };
  // Under the tape a key whose value is undefined fails inside tfjs: leave it out.
  const [y, ticket] = runKernel<[tf.Tensor2D, tf.Tensor]>('sparseDense', bias ? { x, values, bias } : { x, values }, attrs);
  // The tape, if there is one, has its own by now.
  ticket.dispose();
  return y;
}

/** Returns also a ticket for x in panels, so that the backward pass finds them packed. */
defineKernel<Attrs>('sparseDense', ({ x, values, bias }, { pattern, activation }) => {
  const packed = panels(x);
  const y = kernels.forward(pattern, packed, numbers(values), bias && numbers(bias), activation === 'relu');
  return [
    { shape: [packed.batch, pattern.rows], values: y },
    { shape: [0], values: packed, ticket: true },
  ];
});

const gradientOf = defineOnePass<Attrs>('sparseDense', (operands, { pattern, decay, probe }, wantDx) => {
  const x = operands.x.held as Panels;
  const [dy, y] = [panels(operands.dy), operands.y && panels(operands.y)];
  probe?.record(x, dy, y);
  const { dx, dValues, dBias } = kernels.backward(pattern, { x, values: numbers(operands.values), y, dy }, wantDx, decay);
  dy.free();
  y?.free();
  return { dx: dx && { shape: [x.batch, x.features], values: dx }, dValues, dBias };
});

const gradient = gradientOf(([values, y, x], { activation }) => ({ x, values, ...(activation === 'relu' ? { y } : {}) }));

defineGradient('sparseDense', { inputs: ['values'], outputs: [true, true] });

export { releasePattern } from '../wasm/kernels.js';
