// A run that is saved, loaded and gone on with equals one that was never stopped, bit for bit.

import { describe, expect, test } from 'vitest';
import { conv1d, conv2d, dense } from '../../ts/layers/index.js';
import { dpf } from '../../ts/methods/dpf.js';
import { gap } from '../../ts/methods/gap.js';
import { ggr } from '../../ts/methods/ggr.js';
import { gmp } from '../../ts/methods/gmp.js';
import { gse } from '../../ts/methods/gse.js';
import { resume } from '../../ts/methods/resume.js';
import { rigl } from '../../ts/methods/rigl.js';
import { set } from '../../ts/methods/set.js';
import { snfs } from '../../ts/methods/snfs.js';
import { staticPattern } from '../../ts/methods/static.js';
import { topKast } from '../../ts/methods/top_kast.js';
import { adam, momentum, sgd } from '../../ts/optimizers/index.js';
import { eachLayer } from '../../ts/topology/choose.js';
import { dropGrow } from '../../ts/topology/drop_grow.js';
import { exponential } from '../../ts/topology/schedule.js';
import type { Training } from '../../ts/topology/training.js';
import { onEachBackend, tf, tfl } from '../support/tf.js';

type LayerArgs = Partial<Parameters<typeof dense>[0]>;

const common = { every: 4, endStep: 30, seed: 5 };
const topKastLayers: LayerArgs = { density: 0.2, backwardDensity: 0.6 };
const methods: Record<string, [() => Training, LayerArgs?]> = {
  static: [() => staticPattern()],
  set: [() => set({ ...common })],
  'set, magnitude': [() => set({ ...common, dropRule: 'magnitude', anneal: exponential(2) })],
  rigl: [() => rigl({ ...common, randomShare: 0.3 })],
  "rigl, as Google's": [() => rigl({ ...common, timing: 'instead' })],
  ggr: [() => ggr({ ...common, randomShare: 0.3, normalize: 'l2' })],
  'ggr, no end': [() => ggr({ ...common, endStep: Infinity, minNnz: 3 })],
  gse: [() => gse({ ...common, sampling: 'graest' })],
  snfs: [() => snfs({ ...common })],
  gmp: [() => gmp({ every: 4, endStep: 30, density: 0.1, scope: 'lamp' })],
  gap: [() => gap(common), { alpha: 2 }],
  dpf: [() => dpf({ every: 4, endStep: 30, density: 0.1 }), { density: 1, backwardDensity: 1 }],
  topKast: [() => topKast({ every: 3 }), topKastLayers],
  'topKast, seeded': [() => topKast({ regularization: 0.01 }), { ...topKastLayers, theta: 'seeded' }],
  'topKast, seeded, capped': [() => topKast(), { ...topKastLayers, theta: 'seeded', maxFrozen: 9 }],
  'rigl with Powerpropagation': [() => rigl(common), { alpha: 2 }],
};
const optimizers = { sgd: () => sgd(0.1), momentum: () => momentum(0.05, 0.9, true), adam: () => adam(0.02) };

function network(args: LayerArgs = {}): tfl.Sequential {
  return tfl.sequential({
    layers: [
      dense({ units: 12, density: 0.3, seed: 1, activation: 'relu', inputShape: [10], ...args }),
      dense({ units: 8, density: 0.4, seed: 2, activation: 'relu', ...args }),
      dense({ units: 3, density: 0.5, seed: 3, activation: 'softmax', ...args }),
    ],
  });
}

/** Both convolutions, and a dense layer; for the same data. */
function convolutions(args: LayerArgs = {}): tfl.Sequential {
  // The options of a dense layer but `units`, which there is none of.
  const common = args as Partial<Pick<Parameters<typeof conv2d>[0], 'density' | 'backwardDensity' | 'theta' | 'maxFrozen' | 'alpha'>>;
  return tfl.sequential({
    layers: [
      tfl.layers.reshape({ targetShape: [5, 2, 1], inputShape: [10] }),
      conv2d({ filters: 8, kernelSize: [3, 2], padding: 'same', density: 0.5, seed: 1, activation: 'relu', ...common }),
      tfl.layers.reshape({ targetShape: [5, 16] }),
      conv1d({ filters: 6, kernelSize: 2, strides: 2, density: 0.4, seed: 2, activation: 'relu', ...common }),
      tfl.layers.flatten(),
      dense({ units: 3, density: 0.5, seed: 3, activation: 'softmax', ...args }),
    ],
  });
}

const compiled = <M extends tfl.LayersModel>(model: M, optimizer: tf.Optimizer): M => {
  model.compile({ optimizer, loss: 'categoricalCrossentropy' });
  return model;
};

async function steps(model: tfl.LayersModel, method: Training, from: number, to: number): Promise<void> {
  for (let step = from; step < to; step++) {
    const x = tf.randomNormal([16, 10], 0, 1, 'float32', 1 + step);
    const y = tf.tidy(() => tf.cast(tf.oneHot(tf.argMax(tf.slice(x, [0, 0], [16, 3]), 1), 3), 'float32'));
    await model.trainOnBatch(x, y);
    await method.step();
    tf.dispose([x, y]);
  }
}

async function saved(model: tfl.LayersModel): Promise<tf.io.ModelArtifacts> {
  let kept: tf.io.ModelArtifacts | undefined;
  await model.save(
    tf.io.withSaveHandler(async (artifacts) => {
      kept = artifacts;
      return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(artifacts) };
    }),
    { includeOptimizer: true },
  );
  // As it would come out of a file.
  return JSON.parse(JSON.stringify(kept), (key, value) => (key === 'weightData' ? (kept as tf.io.ModelArtifacts).weightData : value));
}

const numbers = (model: tfl.LayersModel) => model.getWeights().map((w) => Array.from(w.dataSync()));

async function loaded(artifacts: tf.io.ModelArtifacts): Promise<tfl.LayersModel> {
  return tfl.loadLayersModel(tf.io.fromMemory(artifacts));
}

function dispose(model: tfl.LayersModel): void {
  const { optimizer } = model;
  model.dispose();
  optimizer.dispose();
}

onEachBackend('a resumed run equals an uninterrupted one', () => {
  describe.each(Object.keys(optimizers) as (keyof typeof optimizers)[])('with %s', (which) => {
    const networks = { '': network, ', convolutions': convolutions };
    const runs = Object.keys(methods).flatMap((name) =>
      Object.entries(networks).map(([kind, network]) => [name + kind, name, network] as const),
    );
    test.each(runs)('%s', async (_, name, network) => {
      const [make, args] = methods[name];
      const whole = compiled(network(args), optimizers[which]());
      const method = make().attach(whole);
      await steps(whole, method, 0, 40);
      method.detach();

      const first = compiled(network(args), optimizers[which]());
      const begun = make().attach(first);
      await steps(first, begun, 0, 18);
      begun.detach();
      const artifacts = await saved(first);
      dispose(first);

      const second = await loaded(artifacts);
      const [gone, ...none] = resume(second);
      expect(none).toEqual([]);
      gone.attach(second);
      await steps(second, gone, 18, 40);
      expect(numbers(second)).toEqual(numbers(whole));
      const { dropped, grown, regrown, ...stands } = gone.report();
      expect(dropped, 'it did go on').toBeGreaterThanOrEqual(name.startsWith('static') || name === 'dpf' ? 0 : 1);
      gone.detach();
      method.attach(whole);
      expect(stands).toEqual({ ...stands, explored: method.report().explored });
      method.detach();
      dispose(whole);
      dispose(second);
    });
  });

  test('under model.fit, epoch by epoch, also with its default end', async () => {
    const x = tf.randomNormal([64, 10], 0, 1, 'float32', 9);
    const y = tf.tidy(() => tf.cast(tf.oneHot(tf.argMax(tf.slice(x, [0, 0], [64, 3]), 1), 3), 'float32'));
    const options = { batchSize: 8, shuffle: false, verbose: 0 as const };
    const whole = compiled(network(), adam(0.01));
    await whole.fit(x, y, { ...options, epochs: 6, callbacks: [rigl({ every: 3 })] });
    for (const callbacksOf of [resume, () => [rigl({ every: 3 })]]) {
      const first = compiled(network(), adam(0.01));
      // Stopped after two of six epochs.
      const stop = new tfl.CustomCallback({
        onEpochEnd: async (epoch) => {
          if (epoch === 1) first.stopTraining = true;
        },
      });
      await first.fit(x, y, { ...options, epochs: 6, callbacks: [rigl({ every: 3 }), stop] });
      const artifacts = await saved(first);
      dispose(first);
      const second = await loaded(artifacts);
      second.compile({ optimizer: second.optimizer, loss: 'categoricalCrossentropy' });
      await second.fit(x, y, { ...options, epochs: 6, initialEpoch: 2, callbacks: callbacksOf(second) });
      expect(numbers(second)).toEqual(numbers(whole));
      dispose(second);
    }
    dispose(whole);
    tf.dispose([x, y]);
  });
});

describe('resume', () => {
  test('says what it cannot make', async () => {
    await tf.setBackend('cpu');
    const model = compiled(network(), sgd(0.1));
    expect(() => resume(model)).toThrow('resume: expected a model that was trained by a method of this package');
    const mine = dropGrow({ name: 'mine', grow: eachLayer((layer, k) => layer.randomFree(k)) }, common).attach(model);
    mine.detach();
    expect(() => resume(model)).toThrow(/resume: expected one of dpf, gap, .* received a rule of your own/);
  });

  test('makes each method of a model that has several', async () => {
    await tf.setBackend('cpu');
    const model = compiled(network(), sgd(0.1));
    const [a, b, c] = model.layers.map((layer) => layer.name);
    rigl({ ...common, layers: [a, b] }).attach(model);
    set({ ...common, layers: [c] }).attach(model);
    const copy = await loaded(await saved(model));
    expect(resume(copy).map((method) => method.name)).toEqual(['rigl', 'set']);
    for (const method of resume(copy)) method.attach(copy);
  });
});
