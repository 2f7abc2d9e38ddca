import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-wasm';
import { ggr, layers, optimizers, rigl, set, topKast } from '../dist/index.js';

await tf.setBackend('wasm');
tf.enableProdMode();
const make = {
  set: () => set({ every: 1, endStep: Infinity }),
  rigl: () => rigl({ every: 1, endStep: Infinity }),
  ggr: () => ggr({ every: 1, endStep: Infinity }),
  topKast,
}[process.argv[2]];
const kast = process.argv[2] === 'topKast' ? { backwardDensity: 0.2, ...(process.argv[3] ? { theta: process.argv[3] } : {}) } : {};
const model = tfl.sequential({ layers: [layers.dense({ units: 1024, inputShape: [1024], density: 0.1, seed: 1, ...kast })] });
model.compile({ optimizer: optimizers.sgd(0.01), loss: 'meanSquaredError' });
const m = make().attach(model);
const x = tf.randomNormal([128, 1024]),
  y = tf.randomNormal([128, 1024]);
const t = [];
for (let i = 0; i < 150; i++) {
  await model.trainOnBatch(x, y);
  const b = performance.now();
  await m.step();
  t.push(performance.now() - b);
}
t.sort((a, b) => a - b);
console.log('median', t[75].toFixed(2), 'min', t[0].toFixed(2));
