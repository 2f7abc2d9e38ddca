import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import '../../ts/files/files.node.js';
import { conv1d, conv2d, dense, type SparseConv1DLayerArgs, type SparseConv2D, type SparseConv2DLayerArgs } from '../../ts/layers/index.js';
import { ggr } from '../../ts/methods/ggr.js';
import { gse } from '../../ts/methods/gse.js';
import { rigl } from '../../ts/methods/rigl.js';
import { snfs } from '../../ts/methods/snfs.js';
import { topKast } from '../../ts/methods/top_kast.js';
import { adam, momentum, sgd } from '../../ts/optimizers/index.js';
import { CsrPattern } from '../../ts/pattern/csr.js';
import type { Rule } from '../../ts/topology/choose.js';
import { type DropGrow, dropGrow } from '../../ts/topology/drop_grow.js';
import { memory } from '../../ts/wasm/memory.js';
import { gathered, measured, truthOf } from '../support/conv.js';
import { expectClose, given, onEachBackend, tf, tfl } from '../support/tf.js';

const [CHANNELS, FILTERS] = [3, 4];
const weight = (i: number) => Math.sin(1 + i);
const images = (height = 6, width = 5, batch = 3) => tf.randomNormal([batch, height, width, CHANNELS], 0, 1, 'float32', 11);

const built = (args: Partial<SparseConv2DLayerArgs> = {}): SparseConv2D => {
  const layer = conv2d({
    filters: FILTERS,
    kernelSize: 3,
    density: 0.4,
    seed: 1,
    inputShape: [null, null, CHANNELS],
    biasInitializer: tfl.initializers.randomNormal({ seed: 3 }),
    ...args,
  });
  tfl.sequential({ layers: [layer] });
  return layer;
};

type Geometry = Pick<SparseConv2DLayerArgs, 'kernelSize' | 'strides' | 'padding' | 'dilationRate'>;
const geometries: [string, Geometry][] = [
  ['3×3', { kernelSize: 3 }],
  ['3×3, same', { kernelSize: 3, padding: 'same' }],
  ['1×1', { kernelSize: [1, 1] }],
  ['1×1, stride 2', { kernelSize: 1, strides: 2 }],
  ['5×2, stride 2×1, same', { kernelSize: [5, 2], strides: [2, 1], padding: 'same' }],
  ['2×2, stride 3', { kernelSize: 2, strides: 3 }],
  ['2×3, stride 3×4, same', { kernelSize: [2, 3], strides: [3, 4], padding: 'same' }],
  ['dilation 2', { kernelSize: 3, dilationRate: 2 }],
  ['dilation 3×1, same', { kernelSize: [2, 3], dilationRate: [3, 1], padding: 'same' }],
  ['stride and dilation', { kernelSize: [3, 2], strides: 2, dilationRate: [2, 3], padding: 'same' }],
  ['a window larger than the image, same', { kernelSize: [9, 7], padding: 'same' }],
  ['the whole image', { kernelSize: [6, 5] }],
];

/** y and all gradients of a layer as tfjs has them. */
async function expectTrue(layer: SparseConv2D, x: tf.Tensor, activation: 'linear' | 'relu' | 'tanh' = 'linear'): Promise<void> {
  const [found, truth] = [measured(layer, x, weight), await truthOf(layer, x, activation, weight)];
  expect(found.shape).toEqual(truth.shape);
  expectClose(found.y, truth.y);
  expectClose(found.dx, truth.dx);
  expectClose(found.dValues, gathered(layer, truth.dKernel), 2e-5);
  if (layer.bias) expectClose(found.dBias, truth.dBias, 2e-5);
}

onEachBackend('layers.conv2d', () => {
  describe.each(geometries)('%s', (_, geometry) => {
    test.each<[string, Partial<SparseConv2DLayerArgs>, ('relu' | 'tanh')?]>([
      ['linear', {}],
      ['relu', { activation: 'relu' }, 'relu'],
      ['tanh, no bias', { activation: 'tanh', useBias: false }, 'tanh'],
      ['every weight', { density: 1 }],
      ['one weight', { density: 1e-9 }],
      ['Powerpropagation', { alpha: 2 }],
      ['Top-KAST', { density: 0.2, backwardDensity: 0.6, activation: 'relu' }, 'relu'],
      ['Top-KAST, seeded', { density: 0.2, backwardDensity: 0.6, theta: 'seeded', alpha: 3 }],
    ])('y and gradients: %s', async (_, args, activation = 'linear' as never) => {
      const [layer, x] = [built({ ...geometry, ...args }), images()];
      await expectTrue(layer, x, activation);
      layer.dispose();
      x.dispose();
    });
  });

  test('images of another size at each call, and back', async () => {
    const layer = built({ padding: 'same', strides: 2 });
    for (const [height, width, batch] of [
      [6, 5, 3],
      [9, 12, 1],
      [1, 1, 17],
      [6, 5, 3],
    ]) {
      const x = images(height, width, batch);
      await expectTrue(layer, x);
      x.dispose();
    }
    layer.dispose();
  });

  test('filters and channels without a weight, and no weight at all', async () => {
    const [layer, x] = [built({ kernelSize: [2, 2] }), images()];
    const { rows, cols } = layer.pattern;
    // Filter 1 has no weight, channel 2 neither.
    const few = Uint32Array.from({ length: rows * cols }, (_, i) => i).filter(
      (i) => i % 3 === 0 && i % cols !== 1 && Math.floor(i / cols) % CHANNELS !== 2,
    );
    layer.edit(
      CsrPattern.fromFlat(rows, cols, few),
      Float32Array.from(few, (i) => i / 10 - 1),
    );
    await expectTrue(layer, x);
    layer.edit(CsrPattern.fromFlat(rows, cols, new Uint32Array(0)), new Float32Array(0));
    await expectTrue(layer, x);
    layer.dispose();
    x.dispose();
  });

  test('an edit between a forward and its backward pass does not change the gradient', async () => {
    const [layer, x] = [built(), images()];
    const { dx } = await truthOf(layer, x, 'linear', weight);
    const { rows, cols } = layer.pattern;
    const next = Uint32Array.of(1, 5, 17);
    const found = tf.tidy(() => {
      const grad = tf.grad((image) => {
        const y = layer.apply(image) as tf.Tensor;
        layer.edit(CsrPattern.fromFlat(rows, cols, next), Float32Array.of(1, 2, 3));
        return tf.sum(
          tf.mul(
            y,
            tf.tensor(
              Float32Array.from({ length: y.size }, (_, i) => weight(i)),
              y.shape,
            ),
          ),
        );
      });
      return grad(x).dataSync().slice();
    });
    expectClose(found, dx);
    await expectTrue(layer, x);
    layer.dispose();
    x.dispose();
  });

  test('int32 images, and an empty batch', () => {
    tf.tidy(() => {
      const layer = built();
      const whole = tf.ones([2, 4, 4, CHANNELS], 'int32');
      expect((layer.apply(whole) as tf.Tensor).dataSync()).toEqual((layer.apply(tf.cast(whole, 'float32')) as tf.Tensor).dataSync());
      expect((layer.apply(tf.zeros([0, 4, 4, CHANNELS])) as tf.Tensor).shape).toEqual([0, 2, 2, FILTERS]);
      layer.dispose();
    });
  });

  test('at density 1 trains step by step as tf.layers.conv2d does', async () => {
    const backend = tf.getBackend();
    const args = { filters: 5, kernelSize: [3, 2] as [number, number], strides: 2, activation: 'relu' as const };
    const weights = [tf.randomNormal([3, 2, 2, 5], 0, 0.5, 'float32', 1), tf.randomNormal([5], 0, 1, 'float32', 2)];
    const x = tf.randomNormal([16, 7, 6, 2], 0, 1, 'float32', 3);
    const y = tf.tidy(() =>
      tf.cast(
        tf.oneHot(
          Array.from({ length: 16 }, (_, i) => i % 5),
          5,
        ),
        'float32',
      ),
    );
    const losses: number[][] = [];
    for (const sparse of [true, false]) {
      await tf.setBackend(sparse ? backend : 'cpu');
      const layer = sparse ? conv2d({ ...args, inputShape: [7, 6, 2], density: 1 }) : tfl.layers.conv2d({ ...args, inputShape: [7, 6, 2] });
      const pool = tfl.layers.globalAveragePooling2d({ dataFormat: 'channelsLast' });
      const model = tfl.sequential({ layers: [layer, pool, tfl.layers.softmax()] });
      const [kernel, bias] = weights;
      const all = sparse ? [tf.reshape(kernel, [60]), bias, ...layer.getWeights().slice(2)] : weights;
      layer.setWeights(all);
      model.compile({ optimizer: sgd(0.5), loss: 'categoricalCrossentropy' });
      const history = await model.fit(x, y, { epochs: 5, batchSize: 8, shuffle: false, verbose: 0 });
      losses.push(history.history.loss as number[]);
      if (sparse) all[0].dispose();
      model.dispose();
      if (sparse) tf.dispose(all.slice(2));
    }
    await tf.setBackend(backend);
    expectClose(losses[0], losses[1], 1e-5);
    tf.dispose([weights, x, y]);
  });

  test('a frozen layer does not move, and passes gradients on', async () => {
    const [first, frozen] = [
      built({ inputShape: [6, 5, CHANNELS] }),
      conv2d({ filters: 2, kernelSize: 2, density: 0.5, seed: 2, trainable: false }),
    ];
    const model = tfl.sequential({ layers: [first, frozen, tfl.layers.flatten()] });
    model.compile({ optimizer: sgd(0.1), loss: 'meanSquaredError' });
    const [x, y] = [images(), tf.ones([3, 12])];
    const before = [first, frozen].map((layer) => layer.values.dataSync().slice());
    await model.fit(x, y, { epochs: 1, verbose: 0 });
    expect(frozen.values.dataSync()).toEqual(before[1]);
    expect(first.values.dataSync()).not.toEqual(before[0]);
    model.dispose();
    tf.dispose([x, y]);
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

  test('initial values are scaled to the fan-in of each filter', () => {
    const layer = built({ filters: 100, kernelSize: 5, density: 0.02, kernelInitializer: 'heNormal', seed: 2, inputShape: [8, 8, 50] });
    const fanIn = new Float64Array(100);
    layer.pattern.forEach((_, __, col) => {
      fanIn[col]++;
    });
    const values = layer.values.dataSync();
    let squares = 0;
    layer.pattern.forEach((i, _, col) => {
      squares += (values[i] * values[i] * fanIn[col]) / 2;
    });
    // tfjs draws a normal truncated at two deviations: its variance is 0.774.
    expect(squares / values.length).toBeGreaterThan(0.7);
    expect(squares / values.length).toBeLessThan(0.85);
    // So are grown ones.
    const { rows, cols } = layer.pattern;
    const positions = layer.pattern.flat();
    const fresh = layer.fresh(CsrPattern.fromFlat(rows, cols, positions), positions, 5);
    squares = fresh.reduce((sum, v, i) => sum + (v * v * fanIn[positions[i] % cols]) / 2, 0);
    expect(squares / fresh.length).toBeGreaterThan(0.7);
    expect(squares / fresh.length).toBeLessThan(0.85);
    layer.dispose();
  });

  test('a Top-KAST layer draws the kernel as tfjs does and keeps the largest', () => {
    const kernel = Array.from({ length: 2 * 1 * 2 * 3 }, (_, i) => Math.sin(i + 1));
    const layer = built({
      filters: 3,
      kernelSize: [2, 1],
      inputShape: [4, 4, 2],
      density: 1 / 6,
      backwardDensity: 0.5,
      kernelInitializer: given(kernel),
    });
    expectClose(layer.theta(), kernel);
    const order = [...kernel.keys()].sort((a, b) => Math.abs(kernel[b]) - Math.abs(kernel[a]));
    const [a, b]: number[][] = [[], []];
    layer.pattern.forEach((_, row, col, inA) => {
      (inA ? a : b).push(row * 3 + col);
    });
    expect(a).toEqual(order.slice(0, 2).sort((p, q) => p - q));
    expect(b.sort((p, q) => p - q)).toEqual(order.slice(2, 6).sort((p, q) => p - q));
    const drawn = [conv2d, tfl.layers.conv2d].map((make) => {
      const args = { filters: 4, kernelSize: 3, inputShape: [6, 6, 2], density: 0.5, backwardDensity: 1, seed: 1 };
      const twin = make({ ...args, kernelInitializer: tfl.initializers.glorotUniform({ seed: 5 }) });
      tfl.sequential({ layers: [twin] });
      const weights = make === conv2d ? (twin as SparseConv2D).theta() : twin.getWeights()[0].dataSync().slice();
      twin.dispose();
      return Array.from(weights);
    });
    expect(drawn[0]).toEqual(drawn[1]);
    layer.dispose();
  });

  test('names, shapes and counts of its weights', () => {
    const layer = built({ name: 'conv', density: 1 / 9, backwardDensity: 1 / 3 });
    // 108 positions; 27 rows.
    expect(layer.getWeights().map((w) => w.shape)).toEqual([[36], [FILTERS], [28], [36], [27], [108]]);
    expect(layer.weights.map((w) => w.originalName)).toEqual(
      ['values', 'bias', 'rowOffsets', 'colIndices', 'rowSplits', 'theta'].map((n) => `conv/${n}`),
    );
    expect(layer.kernelShape).toEqual([3, 3, CHANNELS, FILTERS]);
    layer.dispose();
  });

  test('the shape of the output is that of tf.layers.conv2d', () => {
    for (const padding of ['same', 'valid'] as const) {
      for (const kernelSize of [1, 2, [3, 5] as [number, number]]) {
        for (const strides of [1, 2, [3, 1] as [number, number]]) {
          for (const dilationRate of [1, 2, [1, 2] as [number, number]]) {
            const args = { filters: 2, kernelSize, strides, dilationRate, padding };
            const [ours, theirs] = [conv2d({ ...args, density: 0.5 }), tfl.layers.conv2d(args)];
            for (const shape of [
              [null, 9, 10, 3],
              [2, 12, 9, 1],
              [null, null, null, 3],
              [1, null, 11, 2],
            ]) {
              expect(ours.computeOutputShape(shape)).toEqual(theirs.computeOutputShape(shape));
            }
          }
        }
      }
    }
  });
});

onEachBackend('layers.conv1d', () => {
  test.each<[string, Partial<SparseConv1DLayerArgs>]>([
    ['3', { kernelSize: 3 }],
    ['5, stride 2, same', { kernelSize: [5], strides: [2], padding: 'same' }],
    ['3, dilation 2', { kernelSize: 3, dilationRate: 2, activation: 'relu' }],
    ['2, stride 3, dilation 2, Top-KAST', { kernelSize: 2, strides: 3, dilationRate: [2], backwardDensity: 0.8 }],
  ])('y and gradients: %s', async (_, args) => {
    const layer = conv1d({ filters: FILTERS, kernelSize: 3, density: 0.4, seed: 1, inputShape: [null, CHANNELS], ...args });
    tfl.sequential({ layers: [layer] });
    for (const steps of [9, 14]) {
      const x = tf.randomNormal([4, steps, CHANNELS], 0, 1, 'float32', 3);
      const [found, truth] = [measured(layer, x, weight), await truthOf(layer, x, args.activation === 'relu' ? 'relu' : 'linear', weight)];
      expect(found.shape).toEqual([truth.shape[0], ...truth.shape.slice(2)]);
      expectClose(found.y, truth.y);
      expectClose(found.dx, truth.dx);
      expectClose(found.dValues, gathered(layer, truth.dKernel), 2e-5);
      expectClose(found.dBias, truth.dBias, 2e-5);
      x.dispose();
    }
    expect(layer.kernelShape).toHaveLength(3);
    layer.dispose();
  });

  test('the shape of the output is that of tf.layers.conv1d', () => {
    for (const padding of ['same', 'valid'] as const) {
      for (const strides of [1, 2]) {
        for (const dilationRate of [1, 3]) {
          const args = { filters: 2, kernelSize: 3, strides, dilationRate, padding };
          const [ours, theirs] = [conv1d({ ...args, density: 0.5 }), tfl.layers.conv1d(args)];
          for (const shape of [
            [null, 9, 3],
            [2, null, 1],
          ])
            expect(ours.computeOutputShape(shape)).toEqual(theirs.computeOutputShape(shape));
        }
      }
    }
  });
});

describe('saving', () => {
  const network = (args: object) =>
    tfl.sequential({
      layers: [
        conv2d({
          filters: 4,
          kernelSize: [3, 2],
          strides: [1, 2],
          padding: 'same',
          activation: 'relu',
          density: 0.3,
          inputShape: [6, 8, 2],
          ...args,
        }),
        conv2d({ filters: 3, kernelSize: 2, dilationRate: 2, density: 0.4, activation: 'elu', useBias: false, ...args }),
        tfl.layers.reshape({ targetShape: [4 * 2, 3] }),
        conv1d({ filters: 5, kernelSize: 3, strides: 2, density: 0.5, ...args }),
        tfl.layers.flatten(),
        dense({ units: 4, density: 0.5, activation: 'softmax', ...args }),
      ],
    });
  const kinds: [string, object][] = [
    ['plain', {}],
    ['Top-KAST with Powerprop', { density: 0.2, backwardDensity: 0.5, alpha: 2 }],
    ['Top-KAST, seeded', { density: 0.2, backwardDensity: 0.5, theta: 'seeded' }],
  ];
  const optimizers: [string, () => tf.Optimizer][] = [
    ['sgd', () => sgd(0.1)],
    ['adam', () => adam(0.01)],
  ];

  test.each(kinds.flatMap(([name, args]) => optimizers.map(([kind, make]) => ({ name, args, kind, make }))))(
    '$name, $kind: same output, and a resumed run equals an uninterrupted one',
    async ({ name, args, make }) => {
      await tf.setBackend('cpu');
      const folder = await mkdtemp(join(tmpdir(), 'sparse-'));
      const url = pathToFileURL(join(folder, 'model')).href;
      const x = tf.randomNormal([24, 6, 8, 2], 0, 1, 'float32', 4);
      const y = tf.tidy(() =>
        tf.cast(
          tf.oneHot(
            Array.from({ length: 24 }, (_, i) => i % 4),
            4,
          ),
          'float32',
        ),
      );
      const model = network(args);
      const train = (m: tfl.LayersModel) =>
        m.fit(x, y, {
          epochs: 2,
          batchSize: 8,
          shuffle: false,
          verbose: 0,
          callbacks: [name === 'plain' ? rigl({ every: 2, endStep: 100 }) : topKast({ every: 3 })],
        });
      model.compile({ optimizer: make(), loss: 'categoricalCrossentropy' });
      await train(model);
      await model.save(url, { includeOptimizer: true });
      const copy = await tfl.loadLayersModel(url);
      expect(copy.layers.map((layer) => layer.getClassName())).toEqual(model.layers.map((layer) => layer.getClassName()));
      expect(copy.layers.map((layer) => layer.getConfig())).toEqual(model.layers.map((layer) => layer.getConfig()));
      expect((copy.predict(x) as tf.Tensor).dataSync()).toEqual((model.predict(x) as tf.Tensor).dataSync());
      await train(model);
      await train(copy);
      const numbers = (m: tfl.LayersModel) => m.getWeights().map((w) => Array.from(w.dataSync()));
      expect(numbers(copy)).toEqual(numbers(model));
      await rm(folder, { recursive: true });
    },
  );
});

describe('what cannot be', () => {
  test.each<[object, string]>([
    [{ density: 0 }, 'layers.conv2d density: expected a number in (0, 1], received 0'],
    [{ density: 0.2, backwardDensity: 0.1 }, 'layers.conv2d backwardDensity: expected a number in [0.2, 1], received 0.1'],
    [{ alpha: 0.5 }, 'layers.conv2d alpha: expected a number >= 1, received 0.5'],
    [{ theta: 'seeded' }, 'layers.conv2d theta: expected a backwardDensity'],
    [{ seed: -1 }, 'layers.conv2d seed: expected a whole number >= 0, received -1'],
    [{ filters: 2.5 }, 'layers.conv2d filters: expected a whole number >= 1, received 2.5'],
    [{ filters: undefined }, 'layers.conv2d filters: expected a whole number >= 1, received undefined'],
    [{ kernelSize: undefined }, 'layers.conv2d kernelSize: expected a whole number >= 1, received undefined'],
    [{ kernelSize: 0 }, 'layers.conv2d kernelSize: expected a whole number >= 1, received 0'],
    [{ kernelSize: [3, 1.5] }, 'layers.conv2d kernelSize: expected a whole number >= 1, received 1.5'],
    [{ kernelSize: [3, 3, 3] }, 'layers.conv2d kernelSize: expected a number, or an array of two, received [3, 3, 3]'],
    [{ strides: 0 }, 'layers.conv2d strides: expected a whole number >= 1, received 0'],
    [{ strides: [2] }, 'layers.conv2d strides: expected a number, or an array of two, received [2]'],
    [{ dilationRate: -1 }, 'layers.conv2d dilationRate: expected a whole number >= 1, received -1'],
    [{ padding: 'causal' }, "layers.conv2d padding: expected 'same' or 'valid', received \"causal\""],
    [{ dataFormat: 'channelsFirst' }, 'layers.conv2d dataFormat: expected \'channelsLast\', received "channelsFirst"'],
    [{ groups: 2 }, 'layers.conv2d groups: expected 1'],
    [{ kernelConstraint: 'unitNorm' }, "layers.conv2d kernelConstraint: expected 'nonNeg'"],
    [
      { kernelInitializer: 'orthogonal' },
      'sparse convolution kernelInitializer: expected one that draws weights one by one, received "Orthogonal"',
    ],
    [{ inputShape: [null, null, null] }, 'input: expected […, channels]'],
  ])('%o is refused by name', (args, message) => {
    expect(() => built(args as Partial<SparseConv2DLayerArgs>)).toThrow(message);
  });

  test.each<[object, string]>([
    [{ padding: 'causal' }, "layers.conv1d padding: expected 'same' or 'valid', received \"causal\""],
    [{ kernelSize: [3, 3] }, 'layers.conv1d kernelSize: expected a number, or an array of one, received [3, 3]'],
    [{ strides: [] }, 'layers.conv1d strides: expected a number, or an array of one, received []'],
  ])('conv1d: %o is refused by name', (args, message) => {
    expect(() => conv1d({ filters: 2, kernelSize: 3, density: 0.5, ...args } as SparseConv1DLayerArgs)).toThrow(message);
  });

  test('images that do not fit', () => {
    const layer = built({ name: 'conv', kernelSize: [5, 3], dilationRate: 2 });
    const message = 'conv input: expected [batch, >= 9, >= 5, channels], received [2, 8, 7, 3]';
    expect(() => layer.apply(tf.zeros([2, 8, 7, 3]))).toThrow(message);
    expect(() => tfl.sequential({ layers: [conv2d({ filters: 2, kernelSize: 5, density: 0.5, inputShape: [4, 9, 1] })] })).toThrow(
      /input: expected \[batch, >= 5, >= 5, channels\], received \[null, 4, 9, 1\]/,
    );
    expect(() => layer.apply(tf.zeros([2, 9, 9, 2]))).toThrow(/axis -1 of input shape to have value 3/);
    expect(() => layer.apply(tf.zeros([9, 9, 3]))).toThrow(/expected ndim=4/);
    const line = conv1d({ name: 'line', filters: 2, kernelSize: 4, density: 0.5, inputShape: [null, 2] });
    tfl.sequential({ layers: [line] });
    expect(() => line.apply(tf.zeros([1, 3, 2]))).toThrow('line input: expected [batch, >= 4, channels], received [1, 3, 2]');
    expect(() => line.apply(tf.zeros([1, 9, 9, 2]))).toThrow(/expected ndim=3/);
  });

  test('a pattern of another kernel', () => {
    const layer = built({ name: 'conv' });
    expect(() => layer.edit(CsrPattern.fromFlat(4, 27, Uint32Array.of(1)), Float32Array.of(1))).toThrow(
      'conv edit [height·width·channels, filters, nnz]: expected [27, 4, 1], received [4, 27, 1]',
    );
  });
});

describe('a layer that sees images of several sizes within a record', () => {
  const network = () => {
    const layer = conv2d({ filters: 4, kernelSize: 3, density: 0.3, inputShape: [null, null, 2], activation: 'relu', seed: 1 });
    const pool = tfl.layers.globalAveragePooling2d({ dataFormat: 'channelsLast' });
    return tfl.sequential({ layers: [layer, pool, dense({ units: 3, density: 0.5, seed: 2 })] });
  };
  const minimize = (model: tfl.Sequential, optimizer: tf.Optimizer, sizes: number[][]) =>
    optimizer.minimize(() => {
      const each = sizes.map((size, i) => {
        const x = tf.randomNormal([3, ...size, 2], 0, 1, 'float32', i + 1);
        return tf.mean(tf.square(tf.sub(model.apply(x) as tf.Tensor, 1)));
      });
      return tf.addN(each) as tf.Scalar;
    });

  test('its gradients add up', async () => {
    await tf.setBackend('cpu');
    const model = network();
    const [layer] = model.layers as [SparseConv2D];
    let asked = 0;
    const rule: Rule = {
      name: 'asks',
      usesGradients: true,
      dropCount: () => 0,
      grow: (views) =>
        views.map((view) => {
          if (view.layer.name !== layer.name) return new Uint32Array(0);
          asked++;
          expect(view.units).toBe(4);
          expect(view.passes.map(({ window }) => window?.height)).toEqual([5, 8]);
          expect(() => view.samples).toThrow('images of several sizes');
          // The gradient that the optimizer took a step of 1 with.
          const moved = layer.values.dataSync();
          expectClose(
            view.gradients,
            before.map((w, i) => w - moved[i]),
            1e-4,
          );
          expectClose(view.gradientsAt(view.pattern.flat()), view.gradients, 0);
          return new Uint32Array(0);
        }),
    };
    const optimizer = sgd(1);
    const method = dropGrow(rule, { every: 1, endStep: 10 }).attach(model, optimizer);
    const before = layer.values.dataSync().slice();
    minimize(model, optimizer, [
      [5, 5],
      [8, 6],
      [5, 5],
    ]); // two sizes, one of them twice
    await method.step();
    expect(asked).toBe(1);
    method.detach();
    model.dispose();
  });

  test.each<[string, () => DropGrow]>([
    ['rigl', () => rigl({ every: 2, endStep: 20, accumulate: 2 })],
    ['ggr', () => ggr({ every: 2, endStep: 20, normalize: 'l2' })],
    ['gse, grabo', () => gse({ every: 2, endStep: 20, sampling: 'grabo' })],
    ['gse, graest', () => gse({ every: 2, endStep: 20, sampling: 'graest', accumulate: 2 })],
    ['snfs', () => snfs({ every: 2, endStep: 20, accumulate: 2 })],
  ])('%s trains it', async (_, make) => {
    await tf.setBackend('cpu');
    const model = network();
    const optimizer = momentum(0.05, 0.9);
    const method = make().attach(model, optimizer);
    let grown = 0;
    for (let step = 0; step < 10; step++) {
      minimize(model, optimizer, [
        [4 + (step % 3), 5],
        [6, 4 + (step % 2)],
      ]);
      await method.step();
      const report = method.report();
      expect(report.grown).toBe(report.dropped);
      grown += report.grown;
    }
    expect(grown).toBeGreaterThan(5);
    method.detach();
    model.dispose();
  });
});

test('300 steps, saves and edits leave nothing behind', async () => {
  await tf.setBackend('cpu');
  tf.disposeVariables();
  const model = tfl.sequential({
    layers: [
      conv2d({ filters: 4, kernelSize: 3, density: 0.2, backwardDensity: 0.5, seed: 1, inputShape: [6, 6, 2], activation: 'relu' }),
      conv2d({ filters: 3, kernelSize: 2, strides: 2, density: 0.3, seed: 2 }),
      tfl.layers.flatten(),
      dense({ units: 4, density: 0.5, seed: 3, activation: 'softmax' }),
    ],
  });
  const [x, y] = [
    tf.randomNormal([8, 6, 6, 2], 0, 1, 'float32', 1),
    tf.tidy(() => tf.cast(tf.oneHot([0, 1, 2, 3, 0, 1, 2, 3], 4), 'float32')),
  ];
  model.compile({ optimizer: momentum(0.05, 0.9), loss: 'categoricalCrossentropy' });
  const names = model.layers.map((layer) => layer.name);
  const methods = [topKast().attach(model), rigl({ every: 5, endStep: Infinity, layers: [names[1], names[3]] }).attach(model)];
  const save = () =>
    model.save(
      tf.io.withSaveHandler(async (a) => ({ modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(a) })),
      { includeOptimizer: true },
    );
  const step = async () => {
    await model.trainOnBatch(x, y);
    for (const method of methods) await method.step();
  };
  for (let i = 0; i < 20; i++) await step();
  // What saving reads stays until it changes, and a new pattern has its lists from the first product on: both times all of it is there.
  const settle = async () => {
    await save();
    await save();
    await model.trainOnBatch(x, y);
  };
  await settle();
  const before = { tensors: tf.memory().numTensors, ours: memory().liveBytes };
  for (let i = 0; i < 300; i++) await step();
  await settle();
  expect(tf.memory().numTensors - before.tensors).toBeLessThanOrEqual(0);
  expect(memory().liveBytes).toBeLessThanOrEqual(before.ours);
  for (const method of methods) method.detach();
  model.dispose();
  expect(memory().liveBytes).toBeLessThan(before.ours);
});
