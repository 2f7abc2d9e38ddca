// SGD with momentum, plain or Nesterov's.

import * as tf from '@tensorflow/tfjs-core';
import { checkFlag, checkNumber } from '../errors.js';
import { defineKernel, numbers, runKernel } from '../ops/kernel.js';
import * as kernels from '../wasm/kernels.js';
import { type Moments, SlotOptimizer, type Slots } from './optimizer.js';

/** `m = momentum·m + g`, then `w −= learningRate·m`, or with Nesterov `w −= learningRate·(g + momentum·m)`. */
export class SparseMomentum extends SlotOptimizer {
  static readonly className = 'SparseMomentum';
  protected readonly slotNames = ['momentum'];

  constructor(
    learningRate: number,
    readonly momentum: number,
    readonly useNesterov = false,
    moments?: Moments,
  ) {
    super(checkNumber('optimizers.momentum learningRate', learningRate, 0, Infinity), moments);
    checkNumber('optimizers.momentum momentum', momentum, 0, 1);
    checkFlag('optimizers.momentum useNesterov', useNesterov);
  }

  protected update(value: tf.Tensor, gradient: tf.Tensor, slots: Slots): tf.Tensor {
    const { learningRate, momentum, useNesterov: nesterov } = this;
    return runKernel('momentum', { value, gradient }, { slots, constants: { learningRate, momentum, nesterov } });
  }

  getConfig(): tf.serialization.ConfigDict {
    const { learningRate, momentum, useNesterov, moments } = this;
    return { learningRate, momentum, useNesterov, moments };
  }

  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    config: tf.serialization.ConfigDict,
  ): T {
    return new cls(config.learningRate, config.momentum, config.useNesterov, config.moments);
  }
}

type Constants = Parameters<typeof kernels.momentum>[3];

defineKernel<{ slots: Slots; constants: Constants }>('momentum', ({ value, gradient }, { slots, constants }) => ({
  shape: value.shape,
  values: kernels.momentum(numbers(value), numbers(gradient), slots.momentum, constants),
}));

tf.serialization.registerClass(SparseMomentum, 'tfjs-sparse');

/** As `tf.train.momentum(learningRate, momentum, useNesterov)`; useNesterov defaults to false. For `moments` see {@link Moments}. */
export function momentum(learningRate: number, momentum: number, useNesterov = false, moments?: Moments): SparseMomentum {
  return new SparseMomentum(learningRate, momentum, useNesterov, moments);
}
