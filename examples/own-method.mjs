// A method of your own: which weights to drop, where to grow, how layers share. Everything else (counts, values, moments, saving) is taken care of.

import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-wasm';
import { bestOfAll, dropGrow, layers, optimizers } from 'tfjs-sparse';

await tf.setBackend('wasm');

/**
 * Drops what the loss would miss least to first order, |w·∂L/∂w|. Offers each layer 200 random free positions and grows, over all layers together,
 * those where the gradient is steepest.
 */
const sensitivity = {
  name: 'sensitivity',
  usesGradients: true,
  dropScore: ({ weights, gradients }) => weights.map((w, i) => Math.abs(w * gradients[i])),
  grow(views, counts) {
    const offers = views.map((view) => {
      const positions = view.randomFree(200);
      return { positions, scores: view.gradientsAt(positions).map(Math.abs) };
    });
    const total = counts.reduce((a, b) => a + b, 0);
    return bestOfAll(offers, total).map(({ positions }) => positions);
  },
};

const model = tfl.sequential({
  layers: [
    layers.dense({ inputShape: [20], units: 128, activation: 'relu', density: 0.1 }),
    layers.dense({ units: 64, activation: 'relu', density: 0.1 }),
    layers.dense({ units: 3, activation: 'softmax', density: 0.5 }),
  ],
});
model.compile({ optimizer: optimizers.adam(0.01), loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
const x = tf.randomNormal([1024, 20]);
const y = tf.cast(tf.oneHot(tf.argMax(tf.slice(x, [0, 0], [-1, 3]), 1), 3), 'float32');
const method = dropGrow(sensitivity, { every: 20, dropFraction: 0.2 });
const { history } = await model.fit(x, y, { epochs: 15, verbose: 0, callbacks: [method] });
console.log(
  'accuracy',
  history.acc.at(-1),
  'density by layer',
  model.layers.map(({ name }) => history[`${name}_density`].at(-1)),
);
