import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { PatternError } from '../../ts/errors.js';
import '../../ts/files/files.node.js';
import { dense, type SparseDense, type SparseDenseLayerArgs } from '../../ts/layers/index.js';
import { topKast } from '../../ts/methods/top_kast.js';
import { adam, momentum, sgd } from '../../ts/optimizers/index.js';
import { memory } from '../../ts/wasm/memory.js';
import { expectClose, given, onEachBackend, tf, tfl } from '../support/tf.js';

const data = (samples: number, features: number, classes: number) =>
  tf.tidy(() => {
    const x = tf.randomNormal<tf.Rank.R2>([samples, features], 0, 1, 'float32', 7);
    const labels = tf.argMax(tf.slice(x, [0, 0], [samples, classes]), 1);
    return { x, y: tf.cast(tf.oneHot(labels, classes), 'float32') as tf.Tensor2D };
  });

const built = (args: Partial<SparseDenseLayerArgs>, features = 10): SparseDense => {
  const layer = dense({ units: 8, density: 0.3, seed: 1, inputShape: [features], ...args });
  tfl.sequential({ layers: [layer] });
  return layer;
};

onEachBackend('layers.dense', () => {
  test('at density 1 trains step by step as tf.layers.dense does', async () => {
    const weights = [tf.randomNormal([10, 8], 0, 1, 'float32', 1), tf.randomNormal([8], 0, 1, 'float32', 2)];
    const { x, y } = data(32, 10, 8);
    const losses: number[][] = [];
    for (const sparse of [true, false]) {
      const args = { units: 8, inputShape: [10], activation: 'relu' as const };
      const layer = sparse ? dense({ ...args, density: 1 }) : tfl.layers.dense(args);
      const model = tfl.sequential({ layers: [layer, tfl.layers.softmax()] });
      const [kernel, bias] = weights;
      const all = sparse ? [tf.tidy(() => tf.reshape(tf.transpose(kernel), [80])), bias, ...layer.getWeights().slice(2)] : weights;
      layer.setWeights(all);
      model.compile({ optimizer: sgd(0.5), loss: 'categoricalCrossentropy' });
      const history = await model.fit(x, y, { epochs: 5, batchSize: 8, shuffle: false, verbose: 0 });
      losses.push(history.history.loss as number[]);
      if (sparse) all[0].dispose();
      model.dispose();
      if (sparse) tf.dispose(all.slice(2));
    }
    expectClose(losses[0], losses[1], 1e-5);
    tf.dispose([weights, x, y]);
  });

  test('setWeights writes nothing where the pattern is none', () => {
    const layer = built({ backwardDensity: 0.5 });
    const { pattern } = layer;
    const before = layer.values.dataSync().slice();
    for (const part of ['rowOffsets', 'colIndices', 'rowSplits']) {
      const weights = layer.weights.map((weight) => {
        const all = (weight.read() as tf.Tensor).dataSync();
        const changed = weight.originalName.endsWith('values') || weight.originalName.endsWith(part);
        return tf.tensor(changed ? all.map((v) => v + 1000) : all.slice(), weight.shape as number[], weight.dtype);
      });
      expect(() => layer.setWeights(weights)).toThrow(PatternError);
      tf.dispose(weights);
    }
    expect(layer.pattern).toBe(pattern);
    expect(layer.values.dataSync()).toEqual(before);
    layer.dispose();
  });

  test.each(['linear', 'relu', 'elu', 'sigmoid', 'tanh', 'softplus'] as const)('activation %s', (activation) => {
    tf.tidy(() => {
      const [plain, active] = [built({ seed: 3 }), built({ seed: 3, activation })];
      const x = tf.randomNormal([4, 10]);
      const expected = tfl.layers.activation({ activation }).apply(plain.apply(x)) as tf.Tensor;
      expectClose((active.apply(x) as tf.Tensor).dataSync(), expected.dataSync());
      plain.dispose();
      active.dispose();
    });
  });

  test('inputs of rank 3 and 4, and int32', () => {
    tf.tidy(() => {
      const layer = dense({ units: 8, density: 0.3, seed: 1 });
      const x = tf.randomNormal([2, 3, 5, 10]);
      const y = layer.apply(x) as tf.Tensor;
      expect(y.shape).toEqual([2, 3, 5, 8]);
      const flat = layer.apply(tf.reshape(x, [30, 10])) as tf.Tensor;
      expectClose(y.dataSync(), flat.dataSync());
      const whole = tf.ones([2, 10], 'int32');
      expectClose((layer.apply(whole) as tf.Tensor).dataSync(), (layer.apply(tf.cast(whole, 'float32')) as tf.Tensor).dataSync());
      expect(layer.computeOutputShape([null, 3, 10])).toEqual([null, 3, 8]);
      layer.dispose();
    });
  });

  test('inputDim, batchInputShape, weights and name mean what they mean in tfjs', () => {
    const byDim = dense({ units: 2, density: 0.5, inputDim: 6, name: 'by_dim' });
    expect(tfl.sequential({ layers: [byDim] }).inputs[0].shape).toEqual([null, 6]);
    expect(byDim.getConfig().name).toBe('by_dim');
    expect(byDim.trainableWeights[0].originalName).toBe('by_dim/values');
    const byShape = dense({ units: 2, density: 0.5, batchInputShape: [4, 6] });
    expect(tfl.sequential({ layers: [byShape] }).inputs[0].shape).toEqual([4, 6]);
    const copy = dense({ units: 2, density: 0.5, inputDim: 6, weights: byDim.getWeights() });
    tfl.sequential({ layers: [copy] });
    tf.tidy(() => {
      const x = tf.ones([1, 6]);
      expect((copy.apply(x) as tf.Tensor).dataSync()).toEqual((byDim.apply(x) as tf.Tensor).dataSync());
    });
    for (const layer of [byDim, byShape, copy]) layer.dispose();
  });

  test('counts what is stored', () => {
    const layer = built({ density: 0.3 });
    // 24 values, 8 biases, 9 row offsets, 24 columns.
    expect(layer.countParams()).toBe(24 + 8 + 9 + 24);
    expect(layer.trainableWeights.map((w) => w.shape)).toEqual([[24], [8]]);
    expect(built({ useBias: false, name: 'bare' }).trainableWeights).toHaveLength(1);
    tf.disposeVariables();
  });

  test('regularizers see the stored values, and nonNeg holds where tfjs applies it', () => {
    tf.tidy(() => {
      const layer = built({ kernelRegularizer: tfl.regularizers.l2({ l2: 0.5 }), kernelConstraint: 'nonNeg' });
      const values = layer.values.dataSync();
      expect(layer.calculateLosses()[0].dataSync()[0]).toBeCloseTo(0.5 * Array.from(values).reduce((sum, v) => sum + v * v, 0), 4);
      layer.setWeights(layer.getWeights().map((w) => tf.clone(w)));
      expect(Math.min(...layer.values.dataSync())).toBeGreaterThanOrEqual(0);
      layer.dispose();
    });
  });

  test('a frozen layer does not move, and passes gradients on', async () => {
    const { x, y } = data(16, 10, 4);
    const [first, frozen] = [
      dense({ units: 6, density: 0.5, inputShape: [10], seed: 1 }),
      dense({ units: 6, density: 0.5, seed: 2, trainable: false }),
    ];
    const model = tfl.sequential({ layers: [first, frozen, tfl.layers.dense({ units: 4, activation: 'softmax' })] });
    model.compile({ optimizer: sgd(0.1), loss: 'categoricalCrossentropy' });
    const before = [first, frozen].map((layer) => layer.values.dataSync().slice());
    await model.fit(x, y, { epochs: 1, verbose: 0 });
    expect(frozen.values.dataSync()).toEqual(before[1]);
    expect(first.values.dataSync()).not.toEqual(before[0]);
    expect(model.countParams()).toBeGreaterThan(0);
    model.dispose();
    tf.dispose([x, y]);
  });

  test('alpha changes neither the function at the start nor, at 1, anything', () => {
    tf.tidy(() => {
      const x = tf.randomNormal([4, 10]);
      const [plain, one, two] = [undefined, 1, 2].map((alpha) => built({ seed: 5, ...(alpha ? { alpha } : {}) }));
      const outputs = [plain, one, two].map((layer) => (layer.apply(x) as tf.Tensor).dataSync());
      expect(outputs[1]).toEqual(outputs[0]);
      expectClose(outputs[2], outputs[0], 1e-5);
      for (const layer of [plain, one, two]) layer.dispose();
    });
  });

  test('initial values are scaled to the fan-in of each unit', () => {
    const layer = built({ units: 400, density: 0.02, kernelInitializer: 'heNormal', seed: 2 }, 1000);
    const { rowOffsets } = layer.pattern;
    const values = layer.values.dataSync();
    // Var = 2/fan-in: scaled back by each unit's own fan-in, all values are of one distribution.
    let squares = 0;
    for (let row = 0; row < 400; row++) {
      const fanIn = rowOffsets[row + 1] - rowOffsets[row];
      for (let i = rowOffsets[row]; i < rowOffsets[row + 1]; i++) squares += (values[i] * values[i] * fanIn) / 2;
    }
    // tfjs draws a normal truncated at two deviations: its variance is 0.774.
    expect(squares / values.length).toBeGreaterThan(0.7);
    expect(squares / values.length).toBeLessThan(0.85);
    layer.dispose();
  });

  test('a Top-KAST layer draws the whole layer and keeps the largest', () => {
    const theta = [0.9, -0.1, 0.4, -0.8, 0.05, 0.3, -0.2, 0.02];
    // W [4, 2] from tfjs's kernel [2, 4].
    const kernel = [0, 2, 4, 6, 1, 3, 5, 7].map((i) => theta[i]);
    const layer = built({ units: 4, density: 0.25, backwardDensity: 0.5, kernelInitializer: given(kernel) }, 2);
    const entries: [number, number, boolean][] = [];
    layer.pattern.forEach((i, row, col, inA) => {
      entries.push([row * 2 + col, layer.values.dataSync()[i], inA]);
    });
    expect(entries.map(([flat, , inA]) => [flat, inA])).toEqual([
      [0, true],
      [3, true],
      [2, false],
      [5, false],
    ]);
    expectClose(Array.from(layer.theta()), theta);
    layer.dispose();
  });
});

describe('saving', () => {
  const models: [string, () => tfl.Sequential][] = [
    [
      'plain',
      () =>
        tfl.sequential({
          layers: [
            dense({ units: 12, density: 0.3, inputShape: [10], activation: 'relu' }),
            dense({ units: 4, density: 1, activation: 'softmax' }),
          ],
        }),
    ],
    [
      'Top-KAST with Powerprop',
      () =>
        tfl.sequential({
          layers: [
            dense({ units: 12, density: 0.2, backwardDensity: 0.4, alpha: 2, inputShape: [10], activation: 'tanh' }),
            tfl.layers.dense({ units: 4, activation: 'softmax' }),
          ],
        }),
    ],
  ];
  const optimizers: [string, () => tf.Optimizer][] = [
    ['sgd', () => sgd(0.1)],
    ['momentum', () => momentum(0.05, 0.9)],
    ['adam', () => adam(0.01)],
    ['tf.train.adam', () => tf.train.adam(0.01)],
  ];
  const combinations = models.flatMap(([name, make]) =>
    optimizers.map(([optimizer, makeOptimizer]) => ({ name, make, optimizer, makeOptimizer })),
  );

  test.each(combinations)(
    '$name, $optimizer: same output, and a resumed run equals an uninterrupted one',
    async ({ name, make, optimizer: kind, makeOptimizer }) => {
      await tf.setBackend('cpu');
      const folder = await mkdtemp(join(tmpdir(), 'sparse-'));
      const url = pathToFileURL(join(folder, 'model')).href;
      const { x, y } = data(40, 10, 4);
      const model = make();
      const optimizer = makeOptimizer();
      const loss = 'categoricalCrossentropy';
      const train = (m: tfl.LayersModel) =>
        m.fit(x, y, {
          epochs: 2,
          batchSize: 8,
          shuffle: false,
          verbose: 0,
          ...(name === 'plain' ? {} : { callbacks: [topKast({ every: 3 })] }),
        });
      model.compile({ optimizer, loss });
      await train(model);
      await model.save(url, { includeOptimizer: true });
      const copy = await tfl.loadLayersModel(url);
      expect((copy.predict(x) as tf.Tensor).dataSync()).toEqual((model.predict(x) as tf.Tensor).dataSync());
      await train(model);
      await train(copy);
      const numbers = (m: tfl.LayersModel) => m.getWeights().map((w) => Array.from(w.dataSync()));
      if (kind === 'tf.train.adam') {
        // tfjs restores β^t as one power, which an uninterrupted run multiplies up: near, not equal, and the sets A and B may then part.
        expect(copy.optimizer.iterations).toBe(optimizer.iterations);
      } else {
        expect(numbers(copy)).toEqual(numbers(model));
      }
      await rm(folder, { recursive: true });
    },
  );

  test('a saved pattern that is no pattern is refused when it is loaded', async () => {
    await tf.setBackend('cpu');
    const model = tfl.sequential({ layers: [dense({ units: 3, density: 0.5, inputShape: [4], seed: 1 })] });
    let artifacts: tf.io.ModelArtifacts = {};
    await model.save(
      tf.io.withSaveHandler(async (a) => {
        artifacts = a;
        return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(a) };
      }),
    );
    const bytes = tf.io.CompositeArrayBuffer.join(artifacts.weightData).slice(0);
    new Int32Array(bytes).fill(99, bytes.byteLength / 4 - 6); // the column indices come last
    await expect(tfl.loadLayersModel(tf.io.fromMemory({ ...artifacts, weightData: bytes }))).rejects.toThrow(
      /row 0: expected columns below 4, received 99/,
    );
  });
});

describe('what cannot be', () => {
  test.each([
    [{ density: 0 }, 'layers.dense density: expected a number in (0, 1], received 0'],
    [{ density: 1.2 }, 'layers.dense density: expected a number in (0, 1], received 1.2'],
    [{ density: undefined }, 'layers.dense density: expected a number in (0, 1], received undefined'],
    [{ density: 0.2, backwardDensity: 0.1 }, 'layers.dense backwardDensity: expected a number in [0.2, 1], received 0.1'],
    [{ alpha: 0.5 }, 'layers.dense alpha: expected a number >= 1, received 0.5'],
    [{ units: 2.5 }, 'layers.dense units: expected a whole number >= 1, received 2.5'],
    [{ seed: -1 }, 'layers.dense seed: expected a whole number >= 0, received -1'],
    [{ kernelConstraint: 'unitNorm' }, "layers.dense kernelConstraint: expected 'nonNeg'"],
    [{ kernelInitializer: 'identity' }, 'sparse dense kernelInitializer: expected one that draws weights one by one, received "Identity"'],
  ])('%o is refused by name', (args, message) => {
    expect(() => built(args as Partial<SparseDenseLayerArgs>)).toThrow(message);
  });

  test('an input of other width is refused by tfjs, one of unknown width by us', () => {
    const layer = built({});
    expect(() => layer.apply(tf.zeros([2, 11]))).toThrow(/axis -1 of input shape to have value 10/);
    expect(() => dense({ units: 2, density: 0.5 }).build([null, null])).toThrow(/input: expected \[…, features\]/);
  });
});

describe('memory', () => {
  test('1 000 steps, saves and edits leave nothing behind', async () => {
    await tf.setBackend('cpu');
    const { x, y } = data(16, 10, 4);
    const model = tfl.sequential({
      layers: [
        dense({ units: 12, density: 0.2, backwardDensity: 0.5, inputShape: [10], activation: 'relu' }),
        dense({ units: 4, density: 0.5, activation: 'softmax' }),
      ],
    });
    model.compile({ optimizer: momentum(0.05, 0.9), loss: 'categoricalCrossentropy' });
    const method = topKast().attach(model);
    const save = () =>
      model.save(
        tf.io.withSaveHandler(async (a) => ({ modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(a) })),
        { includeOptimizer: true },
      );
    const step = async () => {
      await model.trainOnBatch(x, y);
      await method.step();
    };
    for (let i = 0; i < 50; i++) await step();
    await save();
    await save();
    await step();
    const before = { tensors: tf.memory().numTensors, ours: memory().liveBytes };
    for (let i = 0; i < 1000; i++) await step();
    for (let i = 0; i < 3; i++) await save();
    for (let i = 0; i < 20; i++) await step();
    // The layer without Top-KAST keeps the tensors made for saving it, once.
    expect(tf.memory().numTensors - before.tensors).toBeLessThanOrEqual(0);
    // Less, should patterns of earlier tests have been collected meanwhile.
    expect(memory().liveBytes).toBeLessThanOrEqual(before.ours);
    method.detach();
    model.dispose();
    expect(memory().liveBytes).toBeLessThan(before.ours);
  });

  test('a layer that would be 14 GB dense trains in memory for its connections', async () => {
    await tf.setBackend('cpu');
    const size = 60_000;
    const layer = dense({ units: size, density: 60_000 / size ** 2, inputShape: [size], useBias: false, seed: 1 });
    const model = tfl.sequential({ layers: [layer] });
    model.compile({ optimizer: adam(0.01), loss: 'meanSquaredError' });
    const [x, y] = [tf.ones([2, size]), tf.ones([2, size])];
    const losses: number[] = [];
    for (let i = 0; i < 5; i++) losses.push((await model.trainOnBatch(x, y)) as number);
    expect(losses[4]).toBeLessThan(losses[0]);
    // 16 rows of panels in and out, inputs, outputs: about 30 MB of activations; 60 000 connections are 2 MB.
    expect(memory().heapBytes).toBeLessThan(100e6);
    expect(tf.memory().numBytes).toBeLessThan(100e6);
    model.dispose();
    tf.dispose([x, y]);
  });
});
