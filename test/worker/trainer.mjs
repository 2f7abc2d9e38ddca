// A worker's script, as a user would write it; it runs what was built.

import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-cpu';
import { layers, optimizers, ShapeError, topKast } from 'tfjs-sparse';
import { serve } from 'tfjs-sparse/worker';

serve({
  async build({ units = 16, seed = 1, optimizer = 'sgd', wait = 0 } = {}) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    const model = tfl.sequential({
      layers: [
        layers.dense({ inputShape: [8], units, activation: 'relu', density: 0.3, backwardDensity: 0.6, seed, name: 'hidden' }),
        layers.dense({ units: 2, activation: 'softmax', density: 0.5, seed: seed + 1, name: 'output' }),
      ],
    });
    model.compile({ optimizer: optimizers[optimizer](0.05), loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
    return { model, callbacks: [topKast()] };
  },
  data: ({ count }) => ({ x: tf.zeros([count, 8]), y: tf.ones([count, 2]) }),
  loaded: () => [topKast()],
  functions: {
    density: (model, name) => model.getLayer(name).density,
    tensors: () => tf.memory().numTensors,
    misshape() {
      throw new ShapeError('a thing', [2, '*'], [3, 4]);
    },
    caused() {
      throw new TypeError('outer', { cause: new RangeError('inner') });
    },
    cyclic() {
      const error = new Error('round and round');
      throw Object.assign(error, { cause: error });
    },
    text() {
      throw 'just text';
    },
    die: () => process.exit(3),
  },
});
