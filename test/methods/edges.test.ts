// Corners where methods, optimizers and saved models meet.

import { describe, expect, test, vi } from 'vitest';
import { dense, type SparseDense } from '../../ts/layers/index.js';
import { gap } from '../../ts/methods/gap.js';
import { ggr } from '../../ts/methods/ggr.js';
import { gmp } from '../../ts/methods/gmp.js';
import { gse } from '../../ts/methods/gse.js';
import { prune } from '../../ts/methods/prune.js';
import { resume } from '../../ts/methods/resume.js';
import { rigl } from '../../ts/methods/rigl.js';
import { set } from '../../ts/methods/set.js';
import { topKast } from '../../ts/methods/top_kast.js';
import { adam, sgd } from '../../ts/optimizers/index.js';
import { CsrPattern } from '../../ts/pattern/csr.js';
import { eachLayer } from '../../ts/topology/choose.js';
import { dropGrow } from '../../ts/topology/drop_grow.js';
import { LayerView } from '../../ts/topology/layer_view.js';
import type { Training } from '../../ts/topology/training.js';
import { tf, tfl } from '../support/tf.js';

type Args = Partial<Parameters<typeof dense>[0]>;

function network(a: Args = {}, b: Args = {}): { model: tfl.Sequential; layers: SparseDense[] } {
  const layers = [
    dense({ units: 16, density: 0.3, seed: 1, activation: 'relu', inputShape: [12], name: 'a', ...a }),
    dense({ units: 3, density: 0.5, seed: 2, activation: 'softmax', name: 'b', ...b }),
  ];
  return { model: tfl.sequential({ layers }), layers };
}

const compiled = (model: tfl.LayersModel, optimizer: tf.Optimizer) => model.compile({ optimizer, loss: 'categoricalCrossentropy' });

const batch = (seed: number) => {
  const x = tf.randomNormal([16, 12], 0, 1, 'float32', seed);
  return { x, y: tf.tidy(() => tf.cast(tf.oneHot(tf.argMax(tf.slice(x, [0, 0], [16, 3]), 1), 3), 'float32')) };
};

async function steps(model: tfl.LayersModel, method: Training | undefined, from: number, to: number) {
  for (let step = from; step < to; step++) {
    const { x, y } = batch(1 + step);
    await model.trainOnBatch(x, y);
    await method?.step();
  }
}

async function reloaded(model: tfl.LayersModel): Promise<tfl.LayersModel> {
  let kept: tf.io.ModelArtifacts | undefined;
  const handler = tf.io.withSaveHandler(async (artifacts) => {
    kept = artifacts;
    return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(artifacts) };
  });
  await model.save(handler, { includeOptimizer: true });
  return tfl.loadLayersModel(tf.io.fromMemory(kept as tf.io.ModelArtifacts));
}

const state = (layers: SparseDense[]) => layers.map(({ pattern, values }) => [Array.from(pattern.flat()), Array.from(values.dataSync())]);
const numbers = (model: tfl.LayersModel) => model.getWeights().map((w) => Array.from(w.dataSync()));

await tf.setBackend('cpu');

describe('moments that wait in a loaded optimizer for the first step', () => {
  test('move with an edit that comes before it', async () => {
    const whole = network().model;
    compiled(whole, adam(0.02));
    const method = rigl({ every: 5, endStep: 100, timing: 'instead' }).attach(whole);
    await steps(whole, method, 0, 12);

    const first = network().model;
    compiled(first, adam(0.02));
    const begun = rigl({ every: 5, endStep: 100, timing: 'instead' }).attach(first);
    await steps(first, begun, 0, 4);
    const second = await reloaded(first);
    const [gone] = resume(second);
    await steps(second, gone.attach(second), 4, 12);
    expect(numbers(second)).toEqual(numbers(whole));
  });

  test('move with a pruning before training goes on', async () => {
    const { model } = network();
    compiled(model, adam(0.02));
    await steps(model, undefined, 0, 5);
    const loaded = await reloaded(model);
    await prune(loaded, { density: 0.1 });
    await prune(model, { density: 0.1 });
    await steps(loaded, undefined, 5, 8);
    await steps(model, undefined, 5, 8);
    expect(numbers(loaded)).toEqual(numbers(model));
  });
});

describe('all or none', () => {
  test('a layer that was never updated has no slots to carry', async () => {
    const { model, layers } = network();
    layers[1].trainable = false;
    compiled(model, tf.train.adam(0.01));
    await steps(model, undefined, 0, 2);
    await prune(model, { density: 0.1, outputFactor: 1 });
    expect(layers.map(({ pattern }) => pattern.nnz)).toEqual([19, 4]);
    await steps(model, undefined, 2, 4);
  });

  test('an initializer that would draw zeros under Powerpropagation stops every layer', async () => {
    for (const make of [() => set({ every: 1, endStep: 9 }), () => gap({ every: 1, endStep: 9, partitions: 1 })]) {
      const { model, layers } = network({ alpha: 2 }, { alpha: 2, kernelInitializer: 'zeros' });
      compiled(model, sgd(0.1));
      const method = make().attach(model);
      const { x, y } = batch(1);
      await model.trainOnBatch(x, y);
      const before = state(layers);
      await expect(method.step()).rejects.toThrow(/kernelInitializer of b: expected one that draws other weights than 0, at alpha 2/);
      expect(state(layers)).toEqual(before);
    }
  });
});

describe('near the edges of a layer', () => {
  test("GGR keeps a dense layer's minimum, which has no free position to grow at", async () => {
    const { model, layers } = network({}, { density: 1 });
    compiled(model, sgd(0));
    const method = ggr({ every: 1, endStep: Infinity, dropFraction: 0.9, minNnz: 30 }).attach(model);
    for (let i = 0; i < 4; i++) {
      await steps(model, method, i, i + 1);
      expect(layers[1].pattern.nnz).toBeGreaterThanOrEqual(30);
      expect(layers[0].pattern.nnz + layers[1].pattern.nnz).toBe(58 + 48);
    }
  });

  test('SET drops the smallest also where few positions are free', async () => {
    const { model, layers } = network({ density: 0.95 });
    compiled(model, sgd(0));
    const [layer] = layers;
    const weights = Array.from(layer.values.dataSync(), Math.abs);
    const free = 12 * 16 - layer.pattern.nnz;
    const before = layer.pattern.flat();
    const method = set({ every: 1, endStep: 9, layers: ['a'] }).attach(model);
    await steps(model, method, 0, 1);
    const after = new Set(layer.pattern.flat());
    const gone = [...before.keys()].filter((i) => !after.has(before[i]));
    expect(gone).toHaveLength(free);
    // By sign, but of these the smallest.
    const bound = weights.toSorted((a, b) => a - b)[2 * free];
    for (const i of gone) expect(weights[i]).toBeLessThanOrEqual(bound);
  });

  test('GSE with regrowth drops no more than its candidates can replace', async () => {
    const { model, layers } = network();
    compiled(model, sgd(0.1));
    const method = gse({ every: 1, endStep: Infinity, dropFraction: 0.9, candidates: 0.2, regrow: true }).attach(model);
    await steps(model, method, 0, 6);
    expect(layers.map(({ pattern }) => pattern.nnz)).toEqual([58, 24]);
    expect(method.report().grown).toBeGreaterThan(0);
  });
});

describe('what belongs to the user stays', () => {
  test("an applyGradients of one's own before an optimizer's", async () => {
    const { model } = network();
    const optimizer = sgd(0.1);
    const plain = optimizer.applyGradients.bind(optimizer);
    const clipped = vi.fn(plain);
    optimizer.applyGradients = clipped;
    compiled(model, optimizer);
    const method = rigl({ every: 2, endStep: 100, timing: 'instead' }).attach(model);
    await steps(model, method, 0, 6);
    expect(clipped).toHaveBeenCalledTimes(3);
    expect(optimizer.iterations).toBe(6);
    method.detach();
    expect(optimizer.applyGradients).toBe(clipped);
  });

  test('weights that a rule writes to are a copy', async () => {
    const { model, layers } = network();
    compiled(model, sgd(0));
    const spoils = {
      name: 'spoils',
      dropScore: ({ weights }: LayerView) => {
        weights.forEach((w, i) => {
          weights[i] = Math.abs(w);
        });
        return weights;
      },
      grow: eachLayer((layer, k) => layer.randomFree(k)),
    };
    const negative = () => layers[0].values.dataSync().filter((w) => w < 0).length;
    const before = negative();
    const method = dropGrow(spoils, { every: 1, endStep: 9, dropFraction: 0.02 }).attach(model);
    await steps(model, method, 0, 1);
    expect(before - negative()).toBeLessThanOrEqual(1);
  });

  test('a layer frozen on the way records nothing more', async () => {
    const { model, layers } = network();
    compiled(model, sgd(0.1));
    const method = rigl({ every: 3, endStep: 100 }).attach(model);
    await steps(model, method, 0, 2);
    expect(layers[1].probe).toBeDefined();
    layers[1].trainable = false;
    await steps(model, method, 2, 3);
    expect(layers[1].probe).toBeUndefined();
  });
});

describe('schedules of runs', () => {
  const train = async (model: tfl.LayersModel, method: Training, epochs: number, initialEpoch = 0) => {
    const { x, y } = batch(1);
    const { history } = await model.fit(x, y, { epochs, initialEpoch, batchSize: 4, verbose: 0, callbacks: [method] });
    return history.grown as number[];
  };

  test('a second fit has edits of its own', async () => {
    const { model } = network();
    compiled(model, sgd(0.1));
    await train(model, rigl({ every: 2, dropFraction: 0.5 }), 10);
    const grown = await train(model, rigl({ every: 2, dropFraction: 0.5, regrow: false }), 4);
    expect(grown[0]).toBeGreaterThan(0);
    expect(grown[3]).toBe(0);
  });

  test('a gmp that comes too late says so', async () => {
    const { model } = network({ density: 1 }, { density: 1 });
    compiled(model, sgd(0.1));
    await steps(model, undefined, 0, 5);
    expect(() => gmp({ density: 0.1, endStep: 4 }).attach(model)).toThrow(
      'gmp endStep: expected a step after 5, where the optimizer is, received 4',
    );
    expect(() => gmp({ density: 0.1, endStep: Infinity }).attach(model)).toThrow(
      /gmp endStep: expected the step at which the density is reached/,
    );
  });

  test('history adds up over the methods of one fit', async () => {
    const { model } = network();
    compiled(model, sgd(0.1));
    const { x, y } = batch(1);
    const methods = [set({ every: 2, layers: ['a'] }), set({ every: 2, layers: ['b'] })];
    const { history } = await model.fit(x, y, { epochs: 3, batchSize: 4, verbose: 0, callbacks: methods });
    expect((history.density as number[])[0]).toBeCloseTo(82 / 240, 10);
    // Each sign drops ⌈30 %⌉ of 58 and of 24, at steps 2 and 4.
    expect((history.grown as number[])[0]).toBeGreaterThanOrEqual(2 * (18 + 8));
  });

  test('a frozen Top-KAST layer needs no method', async () => {
    const { model, layers } = network({ backwardDensity: 0.5 });
    layers[0].trainable = false;
    compiled(model, sgd(0.1));
    await train(model, rigl(), 1);
  });
});

describe('resume', () => {
  test("does not take a rule or an anneal of one's own for a known one of the same name", async () => {
    const { model } = network();
    compiled(model, sgd(0.1));
    dropGrow({ name: 'rigl', grow: eachLayer((layer, k) => layer.randomFree(k)) }, { endStep: 9 })
      .attach(model)
      .detach();
    expect(() => resume(model)).toThrow(/a rule of your own/);
    const linear = (u: number) => (1 - u) / 2;
    rigl({ endStep: 9, anneal: linear }).attach(model).detach();
    expect(() => resume(model)).toThrow(/anneal: expected constant, cosine, .* received "a function of your own"/);
  });

  test('gives each method the layers it had last', async () => {
    const { model } = network();
    compiled(model, sgd(0.1));
    rigl({ endStep: 9 }).attach(model).detach();
    set({ endStep: 9, layers: ['a'] })
      .attach(model)
      .detach();
    const copy = await reloaded(model);
    for (const method of resume(copy)) method.attach(copy);
    expect((copy.layers as SparseDense[]).map((layer) => layer.owner?.name)).toEqual(['set', 'rigl']);
  });
});

describe('are refused by name', () => {
  test.each<[string, () => unknown, string | RegExp]>([
    [
      'more steps accumulated than lie between edits',
      () => rigl({ every: 5, accumulate: 6 }),
      'rigl accumulate: expected at most the 5 steps between edits, received 6',
    ],
    [
      'an anneal that is no function',
      () => rigl({ anneal: 'cosine' as never }),
      'rigl anneal: expected a function of the way gone, in [0, 1], received "cosine"',
    ],
    [
      'an alpha without end',
      () => dense({ units: 3, density: 1, alpha: Infinity }),
      /layers.dense alpha: expected a number >= 1, received Infinity/,
    ],
    [
      'a cap of frozen weights where all are stored',
      () => dense({ units: 3, density: 0.5, maxFrozen: 3 }),
      "layers.dense maxFrozen: expected theta 'seeded' beside it",
    ],
    [
      'a pattern with a backward set in a layer without one',
      () => {
        const { layers } = network();
        const { cols, rowOffsets, colIndices } = layers[0].pattern;
        const pattern = new CsrPattern({ cols, rowOffsets, colIndices, rowSplits: rowOffsets.slice(0, -1) });
        layers[0].edit(pattern, new Float32Array(pattern.nnz));
      },
      'a edit: expected every entry in the forward set',
    ],
    [
      'a forward set larger than the pattern',
      () => network({ backwardDensity: 0.5 }).layers[0].largest(1000),
      'a forwardNnz: expected at most 96, received 1000',
    ],
    [
      'fewer than no positions',
      () => new LayerView(network().layers[0], 0, 1, 0).randomFree(-1),
      'randomFree k in a: expected a whole number >= 0, received -1',
    ],
  ])('%s', (_, run, message) => {
    expect(run).toThrow(message);
  });

  test('an anneal that leaves its range, at the edit', async () => {
    const { model, layers } = network();
    compiled(model, sgd(0.1));
    const method = set({ every: 1, endStep: 9, anneal: () => 2 }).attach(model);
    const before = layers.map(({ pattern }) => pattern);
    await expect(steps(model, method, 0, 1)).rejects.toThrow(/set anneal\(0\.1\d*\): expected a number in \[0, 1\], received 2/);
    expect(layers.map(({ pattern }) => pattern)).toEqual(before);
  });
});

test('the decoupled penalty shrinks θ, whatever alpha stores', async () => {
  const { model, layers } = network({ density: 0.2, backwardDensity: 0.4, alpha: 2 });
  const optimizer = sgd(0.5);
  compiled(model, optimizer);
  const theta = (phi: number) => phi * Math.abs(phi);
  const method = topKast({ regularization: 0.1, decoupled: true, every: 99 }).attach(model);
  // Not a step that refreshes.
  (optimizer as unknown as { incrementIterations(): void }).incrementIterations();
  const before = layers[0].values.dataSync().slice();
  await method.step();
  const after = layers[0].values.dataSync();
  layers[0].pattern.forEach((i, _row, _col, inA) => {
    expect(theta(after[i])).toBeCloseTo(theta(before[i]) * (1 - 0.05 * (inA ? 1 : 5)), 5);
  });
});

describe('a sparse layer in a wrapper', () => {
  test.each(['topKast', 'rigl'] as const)('%s moves its pattern as that of one that takes all steps at once', async (name) => {
    const run = async (wrapped: boolean) => {
      const layer = dense({ units: 6, density: 0.3, backwardDensity: name === 'topKast' ? 0.5 : undefined, seed: 1, activation: 'tanh' });
      const model = tfl.sequential();
      model.add(tfl.layers.inputLayer({ inputShape: [3, 5] }));
      model.add(wrapped ? tfl.layers.timeDistributed({ layer }) : layer);
      model.add(tfl.layers.flatten());
      model.add(dense({ units: 1, density: 1, seed: 2 }));
      model.compile({ optimizer: sgd(0.5), loss: 'meanSquaredError' });
      const method = name === 'topKast' ? topKast({ every: 1 }) : rigl({ every: 1, endStep: 100 });
      method.attach(model);
      const before = Array.from(layer.pattern.flat());
      for (let step = 0; step < 6; step++) {
        const x = tf.randomNormal([8, 3, 5], 0, 1, 'float32', 1 + step);
        await model.trainOnBatch(x, tf.reshape(tf.mean(x, [1, 2]), [8, 1]));
        await method.step();
      }
      const moved = { pattern: Array.from(layer.pattern.flat()), values: Array.from(layer.values.dataSync()) };
      expect(moved.pattern).not.toEqual(before);
      method.detach();
      model.dispose();
      return moved;
    };
    const [within, alone] = [await run(true), await run(false)];
    expect(within.pattern).toEqual(alone.pattern);
    for (const [i, value] of within.values.entries()) expect(value).toBeCloseTo(alone.values[i], 5);
  });
});
