// The dense twin of a sparse layer with Powerpropagation.

import * as tf from '@tensorflow/tfjs-core';
import { layers } from '@tensorflow/tfjs-layers';
import { checkNumber } from '../errors.js';
import { alphas, phiOf, powerprop } from '../ops/powerprop.js';
import { ready } from './initial_values.js';

export type PowerDenseArgs = Parameters<typeof layers.dense>[0] & {
  /** Powerpropagation's exponent, at least 1. */
  alpha: number;
};

type Dense = ReturnType<typeof layers.dense>;
/** tfjs does not export the class of its dense layer. */
const DenseLayer = layers.dense({ units: 1, name: 'class_of_dense' }).constructor as (new (
  args: Parameters<typeof layers.dense>[0],
) => Dense) &
  Pick<typeof layers.Layer, 'fromConfig'>;

interface DenseInternals {
  kernel: { read(): tf.Tensor };
  kernelInitializer: { apply(shape: number[], dtype?: tf.DataType): tf.Tensor };
}

/**
 * `tf.layers.dense` whose kernel `[in, units]` is φ·|φ|^(alpha − 1) of what is stored and trained (Powerpropagation, arXiv 2110.00296). The initializer
 * means the weights, whatever alpha is. At alpha 1 it is `tf.layers.dense`, bit for bit. To be pruned with `sparsify`.
 */
export class PowerDense extends DenseLayer {
  static readonly className = 'PowerDense';
  readonly alpha: number;

  constructor(args: PowerDenseArgs) {
    super(args);
    this.alpha = checkNumber('layers.powerDense alpha', args.alpha, 1, Infinity);
  }

  override build(inputShape: Parameters<Dense['build']>[0]): void {
    const self = this as unknown as DenseInternals;
    const drawn = self.kernelInitializer;
    if (this.alpha !== 1) {
      self.kernelInitializer = {
        apply: (shape, dtype) => {
          const weights = drawn.apply(shape, dtype);
          const phi = ready(() => phiOf(weights.dataSync() as Float32Array, this.alpha)).apply(shape);
          weights.dispose();
          return phi;
        },
      };
    }
    try {
      super.build(inputShape);
    } finally {
      self.kernelInitializer = drawn;
    }
    if (this.alpha !== 1) alphas.set(self.kernel.read(), this.alpha);
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Parameters<Dense['call']>[1]): tf.Tensor | tf.Tensor[] {
    const self = this as unknown as DenseInternals;
    const stored = self.kernel;
    return tf.tidy(() => {
      // tfjs's own call, on θ in place of φ.
      self.kernel = { read: () => powerprop(stored.read(), this.alpha) };
      try {
        return super.call(inputs, kwargs);
      } finally {
        self.kernel = stored;
      }
    });
  }

  override getConfig(): tf.serialization.ConfigDict {
    return { ...super.getConfig(), alpha: this.alpha };
  }
}

tf.serialization.registerClass(PowerDense, 'tfjs-sparse');

/** See {@link PowerDense}. */
export function powerDense(args: PowerDenseArgs): PowerDense {
  return new PowerDense(args);
}
