// A small sparse model on fixed data: the same losses wherever it runs.

import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-cpu';
import { layers, memory, optimizers, topKast } from 'tfjs-sparse';

export function makeModel(density = 0.2) {
  const model = tfl.sequential({
    layers: [
      layers.dense({ inputShape: [20], units: 32, activation: 'relu', density, backwardDensity: 2 * density, seed: 1 }),
      layers.dense({ units: 3, activation: 'softmax', density: 0.5, seed: 2 }),
    ],
  });
  model.compile({ optimizer: optimizers.adam(0.01), loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
  return model;
}

/** 96 samples by whole numbers: no function of the engine's own is in them. */
export function makeData() {
  const x = Float32Array.from({ length: 96 * 20 }, (_, i) => ((i * i * 31 + i * 17) % 101) / 50 - 1);
  const y = Float32Array.from({ length: 96 * 3 }, (_, i) => {
    const sample = 20 * Math.floor(i / 3);
    const best = [0, 1, 2].reduce((a, b) => (x[sample + b] > x[sample + a] ? b : a));
    return Number(best === i % 3);
  });
  return { x: tf.tensor2d(x, [96, 20]), y: tf.tensor2d(y, [96, 3]) };
}

export async function train() {
  await tf.setBackend('cpu');
  const model = makeModel();
  const { x, y } = makeData();
  const { history } = await model.fit(x, y, { epochs: 5, batchSize: 32, shuffle: false, verbose: 0, callbacks: [topKast()] });
  return { losses: history.loss, accuracy: history.acc.at(-1), ...inside(model) };
}

/** Where the weights are, as a number, and the binary in use: neither may depend on who built the page. */
export function inside(model) {
  const pattern = [...model.layers[0].pattern.colIndices].reduce((hash, index) => (hash * 31 + index) % 1000003, 7);
  return { pattern, variant: memory().variant };
}
