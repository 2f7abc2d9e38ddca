// Convolutions as tfjs's cpu backend computes them, whatever the backend at hand: that of wasm has no gradient for kernels.

import type { SparseConv1D, SparseConv2D } from '../../ts/layers/index.js';
import { thetaOf } from '../../ts/ops/powerprop.js';
import type { Pair } from '../../ts/pattern/window.js';
import { tf } from './tf.js';

export interface Truth {
  y: Float32Array;
  shape: number[];
  dx: Float32Array;
  /** Of every position, flat as tfjs's kernel. */
  dKernel: Float32Array;
  dBias: Float32Array;
}

export interface Question {
  window: { kernelSize: Pair; strides: Pair; padding: 'same' | 'valid'; dilationRate: Pair };
  /** Flat, [batch, height, width, channels] and [kernelHeight, kernelWidth, channels, filters]. */
  x: ArrayLike<number>;
  shape: [batch: number, height: number, width: number, channels: number];
  kernel: ArrayLike<number>;
  filters: number;
  bias?: ArrayLike<number> | undefined;
  activation?: 'linear' | 'relu' | 'tanh';
  /** What a number of y counts in the loss Σ weight·y; by its index. */
  weight: (i: number) => number;
}

/** The kernel with zeros between its taps, since tfjs refuses a dilation beside a stride. */
function spread(kernel: tf.Tensor4D, [down, across]: Pair): tf.Tensor4D {
  const [h, w, c, o] = kernel.shape;
  const apart = tf.pad(tf.reshape(kernel, [h, 1, w, 1, c, o]), [
    [0, 0],
    [0, down - 1],
    [0, 0],
    [0, across - 1],
    [0, 0],
    [0, 0],
  ]);
  const whole = tf.reshape(apart, [h * down, w * across, c, o]);
  return tf.slice4d(whole as tf.Tensor4D, [0, 0, 0, 0], [(h - 1) * down + 1, (w - 1) * across + 1, c, o]);
}

export async function convolved({ window, x, shape, kernel, filters, bias, activation = 'linear', weight }: Question): Promise<Truth> {
  const backend = tf.getBackend();
  await tf.setBackend('cpu');
  const { kernelSize, strides, padding, dilationRate } = window;
  const truth = tf.tidy(() => {
    const image = tf.tensor4d(Float32Array.from(x), shape);
    const whole = tf.tensor4d(Float32Array.from(kernel), [...kernelSize, shape[3], filters]);
    const biases = tf.tensor1d(Float32Array.from(bias ?? new Float32Array(filters)));
    const f = (image: tf.Tensor, whole: tf.Tensor, biases: tf.Tensor): tf.Tensor => {
      const sums = tf.add(tf.conv2d(image as tf.Tensor4D, spread(whole as tf.Tensor4D, dilationRate), [...strides], padding), biases);
      return activation === 'relu' ? tf.relu(sums) : activation === 'tanh' ? tf.tanh(sums) : sums;
    };
    const y = f(image, whole, biases);
    const weights = tf.tensor(
      Float32Array.from({ length: y.size }, (_, i) => weight(i)),
      y.shape,
    );
    const grads = tf.grads((...all: tf.Tensor[]) => tf.sum(tf.mul(f(all[0], all[1], all[2]), weights)));
    const [dx, dKernel, dBias] = grads([image, whole, biases]).map((g) => g.dataSync() as Float32Array);
    return { y: y.dataSync() as Float32Array, shape: y.shape, dx, dKernel, dBias };
  });
  await tf.setBackend(backend);
  return truth;
}

/** The same of a layer as it stands: the weights of its forward set in a kernel of zeros. */
export function truthOf(
  layer: SparseConv2D | SparseConv1D,
  x: tf.Tensor,
  activation: 'linear' | 'relu' | 'tanh',
  weight: (i: number) => number,
): Promise<Truth> {
  const { pattern, window, filters, alpha } = layer;
  const kernel = new Float32Array(pattern.rows * pattern.cols);
  const weights = thetaOf(layer.values.dataSync() as Float32Array, alpha);
  pattern.forEach((i, row, col, inA) => {
    if (inA) kernel[row * pattern.cols + col] = weights[i];
  });
  const [batch, ...rest] = x.shape;
  const shape = [batch, ...(rest.length === 2 ? [1] : []), ...rest] as Question['shape'];
  return convolved({ window, x: x.dataSync(), shape, kernel, filters, bias: layer.bias?.dataSync(), activation, weight });
}

/** y and the gradients of Σ weight·y of a layer, those of values by entry. */
export function measured(layer: SparseConv2D | SparseConv1D, x: tf.Tensor, weight: (i: number) => number) {
  return tf.tidy(() => {
    const image = tf.variable(x);
    const y = layer.apply(image) as tf.Tensor;
    const weights = tf.tensor(
      Float32Array.from({ length: y.size }, (_, i) => weight(i)),
      y.shape,
    );
    const trained = [image, layer.values, ...(layer.bias ? [layer.bias] : [])];
    const { grads, value } = tf.variableGrads(() => tf.sum(tf.mul(layer.apply(image) as tf.Tensor, weights)) as tf.Scalar, trained);
    const [dx, dValues, dBias] = trained.map((variable) => grads[variable.name].dataSync().slice());
    const found = { y: y.dataSync().slice(), shape: y.shape, dx, dValues, dBias };
    tf.dispose([value, grads, image]);
    return found;
  });
}

/** What a whole gradient says of the stored φ of a layer, in the pattern's order. */
export function gathered({ pattern, values, alpha }: SparseConv2D | SparseConv1D, dKernel: ArrayLike<number>): Float32Array {
  const phi = values.dataSync();
  return Float32Array.from(pattern.flat(), (at, i) => dKernel[at] * alpha * Math.abs(phi[i]) ** (alpha - 1));
}
