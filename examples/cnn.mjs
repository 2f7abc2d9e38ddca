// A sparse convolutional network: do the waves in an image run across or down?

import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-wasm';
import { erk, layers, optimizers, rigl, trainingKernels } from 'tfjs-sparse';

await tf.setBackend('wasm');
trainingKernels(); // what tfjs's wasm backend does slowly in training: here the way back through pooling
const kernels = [
  [3, 3, 1, 8],
  [3, 3, 8, 16],
  [144, 2],
];
const densities = erk(kernels, 0.2);
const model = tfl.sequential({
  layers: [
    layers.conv2d({
      inputShape: [12, 12, 1],
      filters: 8,
      kernelSize: 3,
      padding: 'same',
      activation: 'relu',
      density: densities[0],
      seed: 1,
    }),
    tfl.layers.maxPooling2d({ poolSize: 2 }),
    layers.conv2d({ filters: 16, kernelSize: 3, padding: 'same', activation: 'relu', density: densities[1], seed: 2 }),
    tfl.layers.maxPooling2d({ poolSize: 2 }),
    tfl.layers.flatten(),
    layers.dense({ units: 2, activation: 'softmax', density: densities[2], seed: 3 }),
  ],
});
model.compile({ optimizer: optimizers.adam(0.01), loss: 'categoricalCrossentropy', metrics: ['accuracy'] });

const [count, side] = [512, 12];
const pixel = (i) => {
  const [image, row, col] = [Math.floor(i / side ** 2), Math.floor(i / side) % side, i % side];
  return Math.sin(image + (image % 2 ? row : col)) + Math.random();
};
const x = tf.tensor(
  Float32Array.from({ length: count * side ** 2 }, (_, i) => pixel(i)),
  [count, side, side, 1],
);
const y = tf.tensor(
  Float32Array.from({ length: count * 2 }, (_, i) => Number((i >> 1) % 2 === i % 2)),
  [count, 2],
);
const { history } = await model.fit(x, y, { epochs: 5, verbose: 0, callbacks: [rigl({ every: 10 })] });
console.log('accuracy', history.acc.at(-1));
