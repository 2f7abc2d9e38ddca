// The worker of one network, sparse or its dense twin.

import * as tf from '@tensorflow/tfjs-core';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-cpu';
import { fastDense } from 'tfjs-sparse';
import { serve } from 'tfjs-sparse/worker';
import { footprint } from '../ts/cli/footprint.js';
import { buildNetwork, LENET5_SIDE, makeMethod } from '../ts/cli/network.js';
import { weightsOf } from '../ts/cli/weights.js';
import { histogram } from './histogram.js';
import { FEATURES, type Images, loadMnist, TEST_IMAGES } from './mnist.js';
import { type Picture, pictureOf } from './picture.js';
import type { Settings } from './settings.js';

const CLASSES = 10;
/** The shape of one image as the network takes it. */
const INPUT: Record<Settings['model'], number[]> = { mlp: [FEATURES], lenet5: [LENET5_SIDE, LENET5_SIDE, 1] };

/** What the page shows of a network. */
export interface Snapshot {
  /** Share of test images classified right, of as many as were asked for. */
  accuracy: number;
  layers: { name: string; density: number; nnz: number; bytes: number }[];
  /** Not for the twin, where all weights exist. */
  picture: Picture | undefined;
  /** Of the weights of the largest layer, as {@link histogram}. */
  histogram: number[];
  /** Shape of an image as the network takes it. */
  input: number[];
}

interface Sets {
  train: { x: tf.Tensor; y: tf.Tensor };
  test: Images & { x: tf.Tensor };
}

/** What the last fit had of the data. */
let lent: { x: tf.Tensor; y: tf.Tensor } | undefined;
let sets: { key: string; made: Promise<Sets> } | undefined;

async function load(base: string, images: number): Promise<Sets> {
  const [train, test] = await Promise.all([loadMnist(base, 'train', images), loadMnist(base, 'test', TEST_IMAGES)]);
  const labels = tf.tensor1d(Int32Array.from(train.labels), 'int32');
  const y = tf.cast(tf.oneHot(labels, CLASSES), 'float32');
  labels.dispose();
  return { train: { x: scaled(train.images), y }, test: { ...test, x: scaled(test.images) } };
}

function scaled(images: Uint8Array): tf.Tensor2D {
  return tf.tensor2d(
    Float32Array.from(images, (pixel) => pixel / 255),
    [images.length / FEATURES, FEATURES],
  );
}

/** The data, loaded once; what was loaded for other settings goes. */
async function data(base: string, images: number): Promise<Sets> {
  const key = `${base} ${images}`;
  if (sets?.key !== key) {
    const before = sets;
    sets = { key, made: load(base, images) };
    before?.made.then(({ train, test }) => tf.dispose([train.x, train.y, test.x])).catch(() => {});
  }
  const { made } = sets as NonNullable<typeof sets>;
  return made.catch((error) => {
    // To be tried again.
    if (sets?.made === made) sets = undefined;
    throw error;
  });
}

function inputOf(model: LayersModel): number[] {
  return model.inputs[0].shape.slice(1) as number[];
}

function accuracy(model: LayersModel, { labels, x }: Sets['test'], count: number): number {
  return tf.tidy(() => {
    const images = tf.reshape(tf.slice(x, 0, count), [count, ...inputOf(model)]);
    const guesses = tf.argMax(model.predict(images) as tf.Tensor, 1).dataSync() as Int32Array;
    return guesses.reduce((hits, guess, i) => hits + Number(guess === labels[i]), 0) / count;
  });
}

serve({
  async build({ settings, dense, steps }: { settings: Settings; dense: boolean; steps: number }) {
    await tf.setBackend('cpu');
    // Otherwise the twin would have tfjs's own products, which are slower by far.
    fastDense();
    const { density, alpha } = settings;
    const options = {
      ...settings,
      dense,
      alpha: dense ? 1 : alpha,
      backwardDensity: Math.min(1, 2 * density),
      distribution: 'erk' as const,
      regularization: 1e-4,
      epochs: 1,
      seed: 1,
      backend: 'cpu' as const,
    };
    const model = buildNetwork(options, FEATURES, CLASSES);
    const method = makeMethod(options, steps);
    return { model, callbacks: method ? [method] : [] };
  },
  async data({ base, images, model, count }: { base: string; images: number; model: Settings['model']; count?: number }) {
    const { train } = await data(base, images);
    const size = count ?? images;
    if (lent) tf.dispose(lent);
    lent = tf.tidy(() => ({ x: tf.reshape(tf.slice(train.x, 0, size), [size, ...INPUT[model]]), y: tf.slice(train.y, 0, size) }));
    return lent;
  },
  functions: {
    async load(_: LayersModel | undefined, base: string, images: number) {
      await data(base, images);
    },
    async snapshot(model: LayersModel | undefined, images: number): Promise<Snapshot> {
      if (!model || !sets) throw new Error('snapshot: no network yet');
      const { test } = await sets.made;
      const shares = footprint(model, model.optimizer);
      const largest = shares.reduce((most, each) => (each.denseBytes > most.denseBytes ? each : most));
      return {
        accuracy: accuracy(model, test, images),
        layers: shares.map(({ name, density, nnz, bytes }) => ({ name, density, nnz, bytes })),
        picture: pictureOf(model.layers),
        histogram: histogram(weightsOf(model.getLayer(largest.name)) as Float32Array),
        input: inputOf(model),
      };
    },
    async digit(_: LayersModel | undefined, index: number) {
      if (!sets) throw new Error('digit: no data yet');
      const { test } = await sets.made;
      const at = index % test.labels.length;
      return { pixels: test.images.slice(at * FEATURES, (at + 1) * FEATURES), label: test.labels[at] };
    },
  },
});
