// Stochastic gradient descent.

import * as tf from '@tensorflow/tfjs-core';
import { checkNumber } from '../errors.js';
import { defineKernel, numbers, runKernel } from '../ops/kernel.js';
import * as kernels from '../wasm/kernels.js';
import { SlotOptimizer } from './optimizer.js';

/** `w −= learningRate·g`. */
export class SparseSgd extends SlotOptimizer {
  static readonly className = 'SparseSgd';
  protected readonly slotNames = [];

  constructor(learningRate: number) {
    super(checkNumber('optimizers.sgd learningRate', learningRate, 0, Infinity));
  }

  protected update(value: tf.Tensor, gradient: tf.Tensor): tf.Tensor {
    return runKernel('sgd', { value, gradient }, { learningRate: this.learningRate });
  }

  getConfig(): tf.serialization.ConfigDict {
    return { learningRate: this.learningRate };
  }

  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    config: tf.serialization.ConfigDict,
  ): T {
    return new cls(config.learningRate);
  }
}

defineKernel<{ learningRate: number }>('sgd', ({ value, gradient }, { learningRate }) => ({
  shape: value.shape,
  values: kernels.sgd(numbers(value), numbers(gradient), learningRate),
}));

tf.serialization.registerClass(SparseSgd, 'tfjs-sparse');

/** As `tf.train.sgd(learningRate)`. */
export function sgd(learningRate: number): SparseSgd {
  return new SparseSgd(learningRate);
}
