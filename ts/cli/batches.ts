// Batches of a dataset as tensors, in an order that the seed fixes.

import * as tf from '@tensorflow/tfjs-core';
import { Random } from '../pattern/random.js';
import type { Split } from './idx.js';

/** The order of samples in one epoch depends on seed and epoch alone: a resumed run needs nothing else to go on. */
export function epochOrder(count: number, seed: number, epoch: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  new Random(seed * 65_537 + epoch).shuffle(order);
  return order;
}

/** Images scaled to [0, 1] `[n, ...shape]`, and labels one-hot `[n, classes]`. */
export function batchOf(split: Split, samples: Uint32Array, shape: readonly number[], classes: number): { x: tf.Tensor; y: tf.Tensor2D } {
  const features = tf.util.sizeFromShape([...shape]);
  const x = new Float32Array(samples.length * features);
  const y = new Float32Array(samples.length * classes);
  samples.forEach((sample, i) => {
    const image = split.images.subarray(sample * features, (sample + 1) * features);
    for (let f = 0; f < features; f++) x[i * features + f] = image[f] / 255;
    y[i * classes + split.labels[sample]] = 1;
  });
  return { x: tf.tensor(x, [samples.length, ...shape]), y: tf.tensor2d(y, [samples.length, classes]) };
}
