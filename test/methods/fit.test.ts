// Methods where users meet them: fit, fitDataset, trainOnBatch, several models at once, frozen layers.

import { describe, expect, test, vi } from 'vitest';
import { dense, type SparseDense } from '../../ts/layers/index.js';
import { gap } from '../../ts/methods/gap.js';
import { ggr } from '../../ts/methods/ggr.js';
import { gmp } from '../../ts/methods/gmp.js';
import { rigl } from '../../ts/methods/rigl.js';
import { set } from '../../ts/methods/set.js';
import { topKast } from '../../ts/methods/top_kast.js';
import { adam, momentum, sgd } from '../../ts/optimizers/index.js';
import { eachLayer } from '../../ts/topology/choose.js';
import { dropGrow } from '../../ts/topology/drop_grow.js';
import type { Training } from '../../ts/topology/training.js';
import { memory } from '../../ts/wasm/memory.js';
import { onEachBackend, tf, tfl } from '../support/tf.js';

type Args = Partial<Parameters<typeof dense>[0]>;

function network(args: Args = {}, optimizer: tf.Optimizer = sgd(0.1)): tfl.Sequential {
  const model = tfl.sequential({
    layers: [
      dense({ units: 16, density: 0.2, seed: 1, activation: 'relu', inputShape: [10], name: 'hidden', ...args }),
      dense({ units: 3, density: 0.5, seed: 3, activation: 'softmax', name: 'output', ...args }),
    ],
  });
  model.compile({ optimizer, loss: 'categoricalCrossentropy' });
  return model;
}

const data = (samples = 64) =>
  tf.tidy(() => {
    const x = tf.randomNormal([samples, 10], 0, 1, 'float32', 9);
    return { x, y: tf.cast(tf.oneHot(tf.argMax(tf.slice(x, [0, 0], [samples, 3]), 1), 3), 'float32') };
  });

const flat = (layer: tfl.layers.Layer) => Array.from((layer as SparseDense).pattern.flat());
const quiet = { batchSize: 8, shuffle: false, verbose: 0 as const };

/** A callback that fails after the first step. */
const closing = () =>
  new tfl.CustomCallback({
    onBatchEnd: async () => {
      throw new Error('the page was closed');
    },
  });

function dispose(model: tfl.LayersModel): void {
  const { optimizer } = model;
  model.dispose();
  optimizer.dispose();
}

onEachBackend('under model.fit', () => {
  test('history has densities, what was dropped, grown and regrown, and the share ever explored', async () => {
    const { x, y } = data();
    const model = network();
    const before = model.layers.map(flat);
    const { history } = await model.fit(x, y, { ...quiet, epochs: 4, callbacks: [ggr({ every: 4, minNnz: 1 })] });
    const after = model.layers.map(flat);
    for (const key of ['density', 'dropped', 'grown', 'regrown', 'explored', 'hidden_density', 'output_density', 'loss']) {
      expect(history[key], key).toHaveLength(4);
    }
    const total = (key: string) => (history[key] as number[]).reduce((a, b) => a + b, 0);
    expect(total('dropped')).toBe(total('grown'));
    expect(total('grown')).toBeGreaterThan(10);
    // 75 % of 32 steps: none in the last epoch.
    expect((history.grown as number[])[3]).toBe(0);
    for (const density of history.density as number[]) expect(density).toBeCloseTo(56 / 208, 10);
    expect((history.hidden_density as number[])[3]).toBe(after[0].length / 160);
    expect(after[0].length).not.toBe(before[0].length);
    expect(after[0].length + after[1].length).toBe(56);
    const explored = history.explored as number[];
    expect(explored[3] * 208).toBeCloseTo(56 + total('grown') - total('regrown'), 6);
    tf.dispose([x, y]);
    dispose(model);
  });

  test('without tracking there is no record of positions, and nothing else changes', async () => {
    const { x, y } = data();
    const run = async (track: boolean) => {
      const model = network();
      const { history } = await model.fit(x, y, { ...quiet, epochs: 2, callbacks: [set({ every: 4, track })] });
      const result = {
        keys: Object.keys(history),
        weights: model.layers.map((layer) => Array.from((layer as SparseDense).values.dataSync())),
      };
      dispose(model);
      return result;
    };
    const [tracked, untracked] = [await run(true), await run(false)];
    expect(untracked.weights).toEqual(tracked.weights);
    expect(tracked.keys).toContain('explored');
    expect(untracked.keys).not.toContain('explored');
    tf.dispose([x, y]);
  });

  test('frozen layers keep their patterns and values', async () => {
    const { x, y } = data();
    const model = network();
    model.layers[0].trainable = false;
    model.compile({ optimizer: model.optimizer, loss: 'categoricalCrossentropy' });
    const frozen = [flat(model.layers[0]), Array.from((model.layers[0] as SparseDense).values.dataSync())];
    const moving = flat(model.layers[1]);
    await model.fit(x, y, { ...quiet, epochs: 2, callbacks: [rigl({ every: 2, endStep: 100 })] });
    expect([flat(model.layers[0]), Array.from((model.layers[0] as SparseDense).values.dataSync())]).toEqual(frozen);
    expect(flat(model.layers[1])).not.toEqual(moving);
    tf.dispose([x, y]);
    dispose(model);
  });

  test('two methods train two parts of a model', async () => {
    const { x, y } = data();
    const model = network();
    const before = model.layers.map(flat);
    const callbacks = [rigl({ every: 2, layers: ['hidden'] }), set({ every: 2, layers: ['output'] })];
    await model.fit(x, y, { ...quiet, epochs: 2, callbacks });
    model.layers.forEach((layer, i) => {
      expect(flat(layer)).toHaveLength(before[i].length);
      expect(flat(layer)).not.toEqual(before[i]);
    });
    tf.dispose([x, y]);
    dispose(model);
  });

  test('a second fit goes on with the same method object', async () => {
    const { x, y } = data();
    const model = network();
    const method = rigl({ every: 2, endStep: 1000 });
    await model.fit(x, y, { ...quiet, epochs: 1, callbacks: [method] });
    const between = flat(model.layers[0]);
    const { history } = await model.fit(x, y, { ...quiet, epochs: 1, callbacks: [method] });
    expect(flat(model.layers[0])).not.toEqual(between);
    expect((history.grown as number[])[0]).toBeGreaterThan(0);
    tf.dispose([x, y]);
    dispose(model);
  });

  test('a rule of your own, with scores of gradients', async () => {
    const { x, y } = data();
    const model = network();
    const rule = {
      name: 'sensitivity',
      usesGradients: true,
      dropScore: ({ weights, gradients }: { weights: Float32Array; gradients: Float32Array }) =>
        weights.map((w, i) => Math.abs(w * gradients[i])),
      grow: eachLayer((layer, k) => layer.randomFree(k)),
    };
    const before = flat(model.layers[0]);
    await model.fit(x, y, { ...quiet, epochs: 2, callbacks: [dropGrow(rule, { every: 2, dropFraction: 0.2 })] });
    expect(flat(model.layers[0])).toHaveLength(before.length);
    expect(flat(model.layers[0])).not.toEqual(before);
    tf.dispose([x, y]);
    dispose(model);
  });

  test('nothing is left behind by layers that change size, on our side either', async () => {
    const { x, y } = data();
    const model = network({}, adam(0.01));
    const train = (method: Training) => model.fit(x, y, { ...quiet, epochs: 4, callbacks: [method] });
    await train(ggr({ every: 3, endStep: Infinity, accumulate: 3 }));
    await train(gap({ every: 2 }));
    const before = { tensors: tf.memory().numTensors, bytes: tf.memory().numBytes, live: memory().liveBytes };
    await train(gap({ every: 2 }));
    await train(ggr({ every: 3, endStep: Infinity, accumulate: 3 }));
    const nnz = (model.layers as SparseDense[]).reduce((sum, layer) => sum + layer.pattern.nnz, 0);
    expect(nnz).toBe(32 + 24);
    expect(tf.memory().numTensors).toBe(before.tensors);
    expect(tf.memory().numBytes).toBe(before.bytes);
    expect(Math.abs(memory().liveBytes - before.live)).toBeLessThan(2000);
    tf.dispose([x, y]);
    dispose(model);
  });
});

describe('elsewhere', () => {
  test('fitDataset', async () => {
    await tf.setBackend('cpu');
    const { x, y } = data();
    const model = network();
    const before = flat(model.layers[0]);
    // What tf.data gives; that package is not one of ours.
    const batches = Array.from({ length: 8 }, (_, i) => ({ xs: tf.slice(x, [i * 8, 0], [8, 10]), ys: tf.slice(y, [i * 8, 0], [8, 3]) }));
    const dataset = {
      size: 8,
      iterator: async () => {
        let next = 0;
        return {
          next: async () =>
            next < 8
              ? { value: tf.tidy(() => ({ xs: tf.clone(batches[next].xs), ys: tf.clone(batches[next++].ys) })), done: false }
              : { value: null, done: true },
        };
      },
    };
    await model.fitDataset(dataset as never, { epochs: 2, batchesPerEpoch: 8, verbose: 0, callbacks: [rigl({ every: 2 })] });
    expect(flat(model.layers[0])).not.toEqual(before);
  });

  test('models trained in turns do not disturb each other', async () => {
    await tf.setBackend('cpu');
    const { x, y } = data(16);
    const run = async (turns: number[]) => {
      const models = [network({}, momentum(0.1, 0.9)), network({ alpha: 2 }, momentum(0.1, 0.9))];
      const methods = [rigl({ every: 2, endStep: 99 }), ggr({ every: 3, endStep: 99 })].map((method, i) => method.attach(models[i]));
      for (const i of turns) {
        await models[i].trainOnBatch(x, y);
        await methods[i].step();
      }
      return models.map((model) => model.layers.map((layer) => [flat(layer), Array.from((layer as SparseDense).values.dataSync())]));
    };
    expect(await run([0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 0, 1])).toEqual(await run([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]));
  });

  test('gradients of several passes and of several steps are one gradient', async () => {
    await tf.setBackend('cpu');
    // Four steps without movement, of 4 samples each, against one of 16.
    const { x, y } = data(16);
    const grownBy = async (parts: number) => {
      const model = network({}, sgd(0));
      const method = rigl({ every: parts, endStep: 99, accumulate: parts }).attach(model);
      const size = 16 / parts;
      for (let i = 0; i < parts; i++) {
        // The loss is a mean over samples: scale the parts alike.
        await model.trainOnBatch(tf.slice(x, [i * size, 0], [size, 10]), tf.slice(y, [i * size, 0], [size, 3]));
        await method.step();
      }
      method.detach();
      return model.layers.map(flat);
    };
    expect(await grownBy(4)).toEqual(await grownBy(1));
  });

  test('a model whose Top-KAST layer nobody trains is refused by fit', async () => {
    await tf.setBackend('cpu');
    const { x, y } = data(16);
    const model = tfl.sequential({
      layers: [
        dense({ units: 8, density: 0.2, backwardDensity: 0.4, inputShape: [10], name: 'kast' }),
        dense({ units: 3, density: 0.5, activation: 'softmax' }),
      ],
    });
    model.compile({ optimizer: sgd(0.1), loss: 'categoricalCrossentropy' });
    await expect(model.fit(x, y, { ...quiet, callbacks: [rigl()] })).rejects.toThrow(/a topKast\(\) for kast, which has a backwardDensity/);
    // Refused, it has let go of its layers.
    await model.fit(x, y, { ...quiet, callbacks: [rigl(), topKast()] });
  });

  test('a fit that failed does not keep the layers from the next', async () => {
    await tf.setBackend('cpu');
    const { x, y } = data(16);
    const model = network();
    await expect(model.fit(x, y, { ...quiet, callbacks: [rigl(), closing()] })).rejects.toThrow('the page was closed');
    await model.fit(x, y, { ...quiet, callbacks: [set()] });
    const mine = rigl({ endStep: 9 }).attach(model);
    await expect(model.fit(x, y, { ...quiet, callbacks: [set()] })).rejects.toThrow(
      /layers that no other method trains, received "hidden, which rigl trains"/,
    );
    mine.detach();
  });

  test.each(['after', 'instead'] as const)('after a fit that failed, timing %s, a plain one trains and records nothing', async (timing) => {
    await tf.setBackend('cpu');
    const { x, y } = data(16);
    const model = network();
    // The step after the failure is one that an edit follows.
    const args = { every: 2, endStep: 10, accumulate: 2, timing };
    await expect(model.fit(x, y, { ...quiet, callbacks: [rigl(args), closing()] })).rejects.toThrow('the page was closed');
    const { history } = await model.fit(x, y, { ...quiet, epochs: 5 });
    const losses = history.loss as number[];
    expect(losses[4]).toBeLessThan(losses[1]);
    const samples = model.layers.flatMap((layer) => (layer as SparseDense).probe?.passes ?? []);
    expect(samples.reduce((sum, { batch }) => sum + batch, 0)).toBeLessThanOrEqual(2 * 2 * 8);
  });

  test('two methods whose edits come instead of an update lose one step for both', async () => {
    await tf.setBackend('cpu');
    const { x, y } = data(16);
    const model = network();
    const args = { every: 4, endStep: 4, timing: 'instead' } as const;
    const methods = [rigl({ ...args, layers: ['hidden'] }), set({ ...args, layers: ['output'] })];
    const { history } = await model.fit(x, y, { ...quiet, epochs: 5, callbacks: methods });
    const losses = history.loss as number[];
    expect(Object.hasOwn(model.optimizer, 'applyGradients')).toBe(false);
    expect(losses[4]).toBeLessThan(losses[2]);
  });

  test('a method that fails lets go of its layers', async () => {
    await tf.setBackend('cpu');
    const { x, y } = data(8);
    const model = network();
    const bad = dropGrow({ name: 'bad', usesGradients: true, grow: () => [] }, { every: 1, endStep: 9 });
    await expect(model.fit(x, y, { ...quiet, callbacks: [bad] })).rejects.toThrow('bad grow: expected an array for each of 2 layers');
    for (const { probe, owner } of model.layers as SparseDense[]) expect([probe, owner]).toEqual([undefined, undefined]);
  });

  test('one method in two fits at once is refused, and the first goes on', async () => {
    await tf.setBackend('cpu');
    const { x, y } = data(32);
    const [first, second] = [network(), network()];
    const method = rigl({ every: 2, endStep: 9 });
    const one = first.fit(x, y, { ...quiet, epochs: 2, callbacks: [method] });
    await expect(second.fit(x, y, { ...quiet, callbacks: [method] })).rejects.toThrow(
      'rigl callback: expected one method for each fit under way, received "a second fit"',
    );
    expect((await one).history.loss).toHaveLength(2);
  });

  test('a report after the end has what the layers ended with', async () => {
    await tf.setBackend('cpu');
    const { x, y } = data(32);
    const model = network();
    const method = rigl({ every: 2, endStep: 9 });
    expect(() => method.report()).toThrow('rigl: attach(model) before report()');
    const { history } = await model.fit(x, y, { ...quiet, callbacks: [method] });
    const { density, explored, layers } = method.report();
    expect([density, explored]).toEqual([history.density[0], history.explored[0]]);
    expect(Object.keys(layers)).toEqual(['hidden', 'output']);
  });

  test('a callback that is no instance, before a method', async () => {
    await tf.setBackend('cpu');
    const { x, y } = data(32);
    const callbacks = [{ onEpochEnd() {} }, rigl({ every: 2 })] as never;
    await expect(network().fit(x, y, { ...quiet, callbacks })).rejects.toThrow(
      'model.fit callbacks: expected instances of tf.CustomCallback beside a method',
    );
  });

  test('an edit that never comes is said', async () => {
    await tf.setBackend('cpu');
    const { x, y } = data(32);
    const model = network();
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    await model.fit(x, y, { ...quiet, callbacks: [rigl()] });
    expect(warn.mock.calls).toEqual([[expect.stringMatching(/^rigl: no edit will come: every 100 steps up to step 3\. /)]]);
    warn.mockClear();
    await model.fit(x, y, { ...quiet, callbacks: [rigl({ endStep: 72 })] });
    expect(warn.mock.calls).toEqual([[expect.stringMatching(/^rigl: no edit will come: every 100 steps up to step 72\./)]]);
    warn.mockClear();
    await model.fit(x, y, { ...quiet, callbacks: [rigl({ every: 2 })] });
    // Its last edit comes at the end, due or not.
    await network({ density: 1 }).fit(x, y, { ...quiet, callbacks: [gmp({ density: 0.5 })] });
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });

  test('a Top-KAST layer that no method trains says so, once', async () => {
    await tf.setBackend('cpu');
    const { x, y } = data(32);
    const model = network({ backwardDensity: 0.6 });
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    await model.fit(x, y, { ...quiet, callbacks: [topKast()] });
    expect(warn).not.toHaveBeenCalled();
    for (let i = 0; i < 2; i++) await model.fit(x, y, { ...quiet, callbacks: [[topKast()]] as never });
    expect(warn.mock.calls.map(([text]) => text)).toEqual(
      ['hidden', 'output'].map((name) => expect.stringContaining(`${name} has a backwardDensity, but no method trains it`)),
    );
    warn.mockRestore();
  });

  test('gmp ends at its density where the last step is not due by itself', async () => {
    await tf.setBackend('cpu');
    const { x, y } = data(32);
    const model = network({ density: 1 });
    const method = gmp({ density: 0.1, every: 7, endStep: 10 }).attach(model);
    const nnz: number[] = [];
    for (let i = 0; i < 12; i++) {
      await model.trainOnBatch(x, y);
      await method.step();
      nnz.push((model.layers[0] as SparseDense).pattern.nnz);
    }
    expect(nnz.slice(0, 6)).toEqual(new Array(6).fill(160));
    expect(nnz[6]).toBe(Math.round(160 * (0.1 + 0.9 * 0.3 ** 3)));
    expect(nnz.slice(9)).toEqual([16, 16, 16]);
  });
});
