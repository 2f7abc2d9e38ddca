import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-wasm';
import { layers, optimizers, topKast } from 'tfjs-sparse';

await tf.setBackend('wasm'); // 'cpu' works as well. In a browser also: await ready()
const model = tfl.sequential({
  layers: [
    layers.dense({ inputShape: [20], units: 256, activation: 'relu', density: 0.1, backwardDensity: 0.2 }),
    layers.dense({ units: 3, activation: 'softmax', density: 0.5 }),
  ],
});
model.compile({ optimizer: optimizers.adam(0.01), loss: 'categoricalCrossentropy', metrics: ['accuracy'] });

const x = tf.randomNormal([1024, 20]);
const y = tf.cast(tf.oneHot(tf.argMax(tf.slice(x, [0, 0], [-1, 3]), 1), 3), 'float32');
const { history } = await model.fit(x, y, { epochs: 10, verbose: 0, callbacks: [topKast()] });
console.log('accuracy', history.acc.at(-1));
await model.save('file://./my-model', { includeOptimizer: true }); // file:// needs no tfjs-node
