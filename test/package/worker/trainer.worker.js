import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-cpu';
import { fastDense, layers, optimizers, ready, ShapeError, topKast } from 'tfjs-sparse';
import { serve } from 'tfjs-sparse/worker';
import { makeModel } from './train.js';

await tf.setBackend('cpu');
await ready();
fastDense();

/** IDX: a magic number, the sizes, the bytes. */
async function idx(name) {
  const response = await fetch(new URL(`/mnist/${name}`, self.location.href));
  const bytes = new Uint8Array(await response.arrayBuffer());
  const count = new DataView(bytes.buffer).getUint32(4);
  return { count, bytes: bytes.subarray(4 + 4 * bytes[3]) };
}

async function images(name) {
  const [{ count, bytes }, labels] = [await idx(`${name}-images-idx3-ubyte`), await idx(`${name}-labels-idx1-ubyte`)];
  const x = tf.tensor2d(
    Float32Array.from(bytes).map((value) => value / 255),
    [count, 784],
  );
  return { x, y: tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d(Int32Array.from(labels.bytes), 'int32'), 10), 'float32')) };
}

function leNet() {
  const [first, second] = [300, 100].map((units, i) => ({ units, activation: 'relu', density: 0.1, backwardDensity: 0.2, seed: i }));
  const model = tfl.sequential({
    layers: [
      layers.dense({ ...first, inputShape: [784] }),
      layers.dense(second),
      layers.dense({ units: 10, activation: 'softmax', density: 0.5, seed: 3 }),
    ],
  });
  model.compile({ optimizer: optimizers.adam(0.001), loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
  return model;
}

const data = {};

serve({
  build: ({ mnist }) => ({ model: mnist ? leNet() : makeModel(), callbacks: [topKast()] }),
  data: (name) => data[name],
  loaded: () => [topKast()],
  functions: {
    async loadMnist() {
      data['mnist'] = await images('train');
      data['mnist test'] = await images('t10k');
    },
    misshape() {
      throw new ShapeError('a thing', [2, '*'], [3, 4]);
    },
    close: () => self.close(),
  },
});
