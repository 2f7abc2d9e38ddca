// The sparse twin of tf.layers.dense.

import * as tf from '@tensorflow/tfjs-core';
import { layers, type Shape } from '@tensorflow/tfjs-layers';
import { checkCount, ShapeError } from '../errors.js';
import { sparseDense } from '../ops/sparse_dense.js';
import { featuresOf, type KernelShape } from '../pattern/kernel_shape.js';
import { type Operands, oneShape, type SparseArgs, SparseBase } from './sparse_base.js';

/** Everything that `tf.layers.dense` takes, and how sparse the layer is. */
export type SparseDenseLayerArgs = Parameters<typeof layers.dense>[0] & SparseArgs;

/**
 * A dense layer of which only some weights exist. `y = activation(x·Wᵀ + bias)` with W `[units, in]`: tfjs's kernel `[in, units]` transposed, since
 * a row then holds the connections of one unit. Time and memory go with the weights that exist.
 */
export class SparseDense extends SparseBase {
  static readonly className = 'SparseDense';

  readonly units: number;
  protected readonly axes = ['units', 'in'] as const;

  constructor(args: SparseDenseLayerArgs) {
    checkCount('layers.dense units', args.units, 1);
    const { inputDim, batchSize } = args;
    super(
      'layers.dense',
      inputDim != null && !args.inputShape && !args.batchInputShape ? { ...args, batchInputShape: [batchSize ?? null, inputDim] } : args,
      (name) => layers.dense({ ...args, name }),
    );
    this.units = args.units;
    this.supportsMasking = true;
    this.inputSpec = [{ minNDim: 2 }];
  }

  protected override kernelShapeFor(inputShape: Shape): number[] {
    const features = inputShape[inputShape.length - 1];
    if (features == null) throw new ShapeError(`${this.name} input`, ['…', 'features'], inputShape);
    return [features, this.units];
  }

  protected override inputSpecFor(kernelShape: KernelShape): layers.Layer['inputSpec'] {
    return [{ minNDim: 2, axes: { [-1]: featuresOf(kernelShape) } }];
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape {
    return [...oneShape(inputShape).slice(0, -1), this.units];
  }

  protected override product(x: tf.Tensor, operands: Operands): tf.Tensor {
    // A reshape that changes nothing would still copy.
    if (x.rank === 2) return sparseDense({ x: x as tf.Tensor2D, ...operands });
    const y = sparseDense({ x: tf.reshape(x, [-1, featuresOf(this.kernelShape)]), ...operands });
    return tf.reshape(y, [...x.shape.slice(0, -1), this.units]);
  }
}

tf.serialization.registerClass(SparseDense, 'tfjs-sparse');

/**
 * A sparse twin of `tf.layers.dense`.
 *
 * ```js
 * const model = tf.sequential({ layers: [
 *   layers.dense({ inputShape: [784], units: 300, activation: 'relu', density: 0.1 }),
 *   tf.layers.dense({ units: 10, activation: 'softmax' }),
 * ] });
 * ```
 */
export function dense(args: SparseDenseLayerArgs): SparseDense {
  return new SparseDense(args);
}
