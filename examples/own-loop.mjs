// Top-KAST in a training loop of your own: attach it, and call step() after each step of the optimizer.

import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-wasm';
import { erk, layers, memory, topKast } from 'tfjs-sparse';

await tf.setBackend('wasm');
const shapes = [
  [20, 256],
  [256, 128],
  [128, 1],
];
const [forward, backward] = [erk(shapes, 0.1), erk(shapes, 0.2)];
const model = tfl.sequential();
shapes.forEach(([features, units], i) => {
  const sets = { density: forward[i], backwardDensity: backward[i] };
  model.add(layers.dense({ units, inputShape: [features], activation: i < 2 ? 'relu' : 'linear', seed: i, ...sets }));
});

// Any optimizer of tfjs will do; ours keep their state out of tfjs and are faster.
const optimizer = tf.train.adam(0.01);
const method = topKast({ every: 10 }).attach(model, optimizer);
for (let step = 0; step <= 300; step++) {
  const loss = optimizer.minimize(() => {
    const x = tf.randomNormal([64, 20]);
    const target = tf.sum(tf.square(tf.slice(x, [0, 0], [-1, 3])), 1, true);
    return tf.losses.meanSquaredError(target, model.apply(x, { training: true }));
  }, true);
  await method.step();
  if (step % 100 === 0) console.log(`step ${step}: loss ${loss.dataSync()[0].toFixed(3)}`);
  loss.dispose();
}
method.detach();
console.log('bytes outside tfjs:', memory().liveBytes);
