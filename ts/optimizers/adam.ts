// Adam (arXiv 1412.6980), counting the steps of each weight.

import * as tf from '@tensorflow/tfjs-core';
import { checkNumber } from '../errors.js';
import { defineKernel, numbers, runKernel } from '../ops/kernel.js';
import * as kernels from '../wasm/kernels.js';
import { type Moments, SlotOptimizer, type Slots } from './optimizer.js';

/**
 * `m = β₁m + (1 − β₁)g`, `v = β₂v + (1 − β₂)g²`, `w −= learningRate·m̂/(√v̂ + ε)`.
 *
 * The bias corrections m̂ = m/(1 − β₁ᵗ) and v̂ = v/(1 − β₂ᵗ) use each weight's own t. A weight that an edit has just grown starts with t = 1, like
 * any other; with `tf.train.adam`'s common count its first step would be up to 3.16 learning rates long.
 */
export class SparseAdam extends SlotOptimizer {
  static readonly className = 'SparseAdam';
  protected readonly slotNames = ['m', 'v', 'steps'];
  protected override readonly counters = ['steps'];

  constructor(
    learningRate = 0.001,
    readonly beta1 = 0.9,
    readonly beta2 = 0.999,
    readonly epsilon = tf.backend().epsilon(),
    moments?: Moments,
  ) {
    super(checkNumber('optimizers.adam learningRate', learningRate, 0, Infinity), moments);
    // At 1 nothing would ever be learned, and the corrections divide by zero.
    checkNumber('optimizers.adam beta1', beta1, 0, 1 - 2 ** -24);
    checkNumber('optimizers.adam beta2', beta2, 0, 1 - 2 ** -24);
    checkNumber('optimizers.adam epsilon', epsilon, 0, Infinity);
  }

  protected update(value: tf.Tensor, gradient: tf.Tensor, slots: Slots): tf.Tensor {
    const { learningRate, beta1, beta2, epsilon } = this;
    return runKernel('adam', { value, gradient }, { slots, constants: { learningRate, beta1, beta2, epsilon } });
  }

  getConfig(): tf.serialization.ConfigDict {
    const { learningRate, beta1, beta2, epsilon, moments } = this;
    return { learningRate, beta1, beta2, epsilon, moments };
  }

  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    config: tf.serialization.ConfigDict,
  ): T {
    return new cls(config.learningRate, config.beta1, config.beta2, config.epsilon, config.moments);
  }
}

type AdamSlots = Parameters<typeof kernels.adam>[2];

defineKernel<{ slots: AdamSlots; constants: kernels.AdamConstants }>('adam', ({ value, gradient }, { slots, constants }) => ({
  shape: value.shape,
  values: kernels.adam(numbers(value), numbers(gradient), slots, constants),
}));

tf.serialization.registerClass(SparseAdam, 'tfjs-sparse');

/** As `tf.train.adam`: learningRate 0.001, beta1 0.9, beta2 0.999, epsilon that of the backend (1e-7). For `moments` see {@link Moments}. */
export function adam(learningRate?: number, beta1?: number, beta2?: number, epsilon?: number, moments?: Moments): SparseAdam {
  return new SparseAdam(learningRate, beta1, beta2, epsilon, moments);
}
