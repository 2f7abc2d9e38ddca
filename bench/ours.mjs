// Our side of the comparisons: a sparse perceptron and one training step of it. Nothing of Node in here: engines.mjs runs it in a browser too.

import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { check } from '../dist/cli/measure.js';
import { layers, optimizers, Random } from '../dist/index.js';
import { fuseLoss } from '../dist/losses.js';

/** The network of most comparisons. */
export const WIDTHS = [784, 1024, 1024, 10];

/** Numbers in [0, 1) and one-hot classes: `{ x [batch·widths[0]], y [batch·classes] }`. */
export function data(batch, widths = WIDTHS) {
  const random = new Random(3);
  const classes = widths.at(-1);
  const x = Float32Array.from({ length: batch * widths[0] }, () => random.next());
  const y = new Float32Array(batch * classes);
  for (let i = 0; i < batch; i++) y[i * classes + (i % classes)] = 1;
  return { x, y };
}

const makeOptimizer = {
  sgd: (rate = 0.05) => optimizers.sgd(rate),
  nesterov: (rate = 0.01) => optimizers.momentum(rate, 0.9, true),
  adam: (rate = 0.001) => optimizers.adam(rate),
};

/**
 * A sparse perceptron, every layer at `density` (a number, or one for each layer); returns one training step that resolves to the loss. The step
 * has `model`, its number of weights `nnz`, and `free()`.
 */
export async function sparseStep({ backend = 'wasm', widths = WIDTHS, density, optimizer = 'sgd', rate, x, y }) {
  await tf.setBackend(backend);
  const model = tfl.sequential();
  widths.slice(1).forEach((units, i) => {
    const activation = i === widths.length - 2 ? 'softmax' : 'relu';
    const here = { units, activation, density: Array.isArray(density) ? density[i] : density, seed: i };
    model.add(layers.dense({ ...here, kernelInitializer: 'heNormal', ...(i ? {} : { inputShape: [widths[0]] }) }));
  });
  const batch = x.length / widths[0];
  const [xs, ys] = [tf.tensor2d(x, [batch, widths[0]]), tf.tensor2d(y, [batch, widths.at(-1)])];
  checkFirstLayer(model.layers[0], x, xs);
  const trainer = makeOptimizer[optimizer](rate);
  model.compile({ optimizer: trainer, loss: 'categoricalCrossentropy' });
  fuseLoss(model);
  const step = async () => {
    // Setting a backend anew sets up all its kernels anew: 0.1 ms.
    if (tf.getBackend() !== backend) await tf.setBackend(backend);
    return model.trainOnBatch(xs, ys);
  };
  const free = () => {
    tf.dispose([xs, ys]);
    model.dispose();
    trainer.dispose();
  };
  return Object.assign(step, { model, nnz: model.layers.reduce((sum, { pattern }) => sum + pattern.nnz, 0), free });
}

/** The first layer's output for the last sample, against sums over its entries. */
function checkFirstLayer(layer, x, xs) {
  const { pattern } = layer;
  const received = tf.tidy(() => layer.apply(xs).dataSync()).subarray(-pattern.rows);
  const values = layer.values.dataSync();
  const sample = x.subarray(-pattern.cols);
  const sums = new Float64Array(pattern.rows);
  pattern.forEach((i, row, col) => {
    sums[row] += values[i] * sample[col];
  });
  const difference = sums.reduce((most, sum, row) => Math.max(most, Math.abs(Math.max(sum, 0) - received[row])), 0);
  check(difference < 1e-4, `the first layer differs from its definition by ${difference}`);
}
