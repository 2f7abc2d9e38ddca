// From sparse to dense, and from stored zeros to sparse: predictions stay, and the result is plain tfjs.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import '../../ts/files/files.node.js';
import { dense, powerDense, type SparseDense } from '../../ts/layers/index.js';
import { sparsify } from '../../ts/methods/sparsify.js';
import { toDense } from '../../ts/methods/to_dense.js';
import { topKast } from '../../ts/methods/top_kast.js';
import { adam } from '../../ts/optimizers/index.js';
import { forced, whole } from '../support/forced.js';
import { expectClose, given, onEachBackend, tf, tfl } from '../support/tf.js';

const predict = (model: tfl.LayersModel, x: tf.Tensor) => tf.tidy(() => Array.from((model.predict(x) as tf.Tensor).dataSync()));
const input = () => tf.randomNormal([7, 9], 0, 1, 'float32', 1);

/** Sparse layers among others; `args` of the first two. */
function mixed(args: object): tfl.Sequential {
  return tfl.sequential({
    layers: [
      dense({ inputShape: [9], units: 12, activation: 'relu', density: 0.3, seed: 1, biasInitializer: 'ones', ...args }),
      tfl.layers.dropout({ rate: 0.5 }),
      dense({ units: 11, activation: 'tanh', density: 0.2, seed: 2, useBias: false, ...args }),
      tfl.layers.batchNormalization({ betaInitializer: 'ones' }),
      powerDense({ units: 6, alpha: 2, activation: 'elu' }),
      tfl.layers.dense({ units: 5 }),
      dense({ units: 4, activation: 'softmax', density: 1, seed: 3 }),
    ],
  });
}

onEachBackend('toDense', () => {
  test.each<[string, object]>([
    ['plain', {}],
    ['alpha 2', { alpha: 2 }],
    ['alpha 3.5', { alpha: 3.5 }],
    ['Top-KAST', { backwardDensity: 0.6 }],
    ['Top-KAST, alpha 2', { backwardDensity: 0.6, alpha: 2 }],
    ['Top-KAST, seeded', { backwardDensity: 0.6, theta: 'seeded' }],
  ])('predicts the same: %s', async (_, args) => {
    const model = mixed(args);
    const plain = await toDense(model);
    expect(plain.layers.map((layer) => layer.getClassName()).filter((name) => /Sparse|Power/.test(name))).toEqual([]);
    expect(plain.layers.map(({ name }) => name)).toEqual(model.layers.map(({ name }) => name));
    const x = input();
    expectClose(predict(plain, x), predict(model, x), 2e-6);
    // The forward set alone: 0.3·108 = 32 weights.
    expect(
      plain.layers[0]
        .getWeights()[0]
        .dataSync()
        .filter((w) => w !== 0),
    ).toHaveLength(32);
    x.dispose();
    model.dispose();
    plain.dispose();
  });

  test('after training, the model itself stays as it was', async () => {
    const model = mixed({ backwardDensity: 0.6, alpha: 2 });
    model.compile({ optimizer: adam(0.01), loss: 'meanSquaredError' });
    const [x, y] = [input(), tf.ones([7, 4])];
    await model.fit(x, y, { epochs: 3, verbose: 0, callbacks: [topKast()] });
    const before = predict(model, x);
    const plain = await toDense(model);
    expectClose(predict(plain, x), before, 2e-6);
    expect(predict(model, x)).toEqual(before);
    tf.dispose([x, y]);
    model.optimizer.dispose();
    model.dispose();
    plain.dispose();
  });

  test('the kernel is [in, units], 0 where no weight is', async () => {
    const { model } = forced([{ rows: 2, w: [1, 0, 3, 4, 5, 6], mask: '101010' }]);
    const plain = await toDense(model);
    const [kernel] = plain.layers[1].getWeights();
    expect(kernel.shape).toEqual([3, 2]);
    // W: 1 . 3 | . 5 .
    expect(Array.from(kernel.dataSync())).toEqual([1, 0, 0, 5, 3, 0]);
    model.dispose();
    plain.dispose();
  });

  test('a layer that has lost all its weights, and empty rows', async () => {
    const { model } = forced([
      { rows: 3, w: [1, 2, 3, 4, 5, 6], mask: '000100' },
      { rows: 2, w: [1, 2], mask: '00' },
    ]);
    const plain = await toDense(model);
    expect(plain.getWeights().map((kernel) => Array.from(kernel.dataSync()))).toEqual([
      [0, 0, 0, 0, 4, 0],
      [0, 0],
    ]);
    model.dispose();
    plain.dispose();
  });

  test('there and back: sparsify without a density finds the same weights', async () => {
    const { model, layers } = forced([
      { rows: 2, w: [1, 0, -3, 4, 5, 6], mask: '101011' },
      { rows: 2, w: [0, 7, 8, 0], mask: '0110' },
    ]);
    const plain = await toDense(model);
    const sparse = await sparsify(plain);
    const again = sparse.layers.filter((layer) => layer.getClassName() === 'SparseDense') as unknown as SparseDense[];
    expect(again.map((layer) => [layer.pattern.nnz, whole(layer)])).toEqual(layers.map((layer) => [layer.pattern.nnz, whole(layer)]));
    for (const each of [model, plain, sparse]) each.dispose();
  });

  test('what cannot be is refused by name', async () => {
    const stock = tfl.sequential({ layers: [tfl.layers.dense({ name: 'stock', units: 2, inputShape: [2] })] });
    await expect(toDense(stock)).rejects.toThrow('toDense model: expected one with sparse layers or layers.powerDense, received ["stock"]');
    const within = dense({ units: 2, density: 0.5, seed: 1 });
    const wrapper = tfl.sequential({ layers: [tfl.layers.timeDistributed({ name: 'each', layer: within, inputShape: [3, 4] })] });
    await expect(toDense(wrapper)).rejects.toThrow(
      'toDense model: expected sparse layers outside of wrappers, received "each, a TimeDistributed"',
    );
    // A wrapper may hold a whole model.
    const several = tfl.sequential({ layers: [dense({ units: 2, density: 0.5, seed: 1, inputShape: [4] })] });
    const around = tfl.sequential({ layers: [tfl.layers.timeDistributed({ name: 'all', layer: several, inputShape: [3, 4] })] });
    await expect(toDense(around)).rejects.toThrow('outside of wrappers, received "all, a TimeDistributed"');
    const outer = tfl.sequential({ layers: [stock, dense({ units: 2, density: 0.5, seed: 1 })] });
    await expect(toDense(outer)).rejects.toThrow('toDense model: expected one without models inside');
    const inner = tfl.sequential({ layers: [dense({ units: 2, density: 0.5, seed: 1, inputShape: [4] })] });
    await expect(toDense(tfl.sequential({ layers: [inner, tfl.layers.softmax()] }))).rejects.toThrow('expected one without models inside');
    // tfjs's wrappers and models leave what they wrap.
    tf.disposeVariables();
  });
});

onEachBackend('sparsify without a density', () => {
  test('drops exact zeros, and leaves a layer that has none as it is', async () => {
    const model = tfl.sequential({
      layers: [
        tfl.layers.dense({ name: 'holes', inputShape: [2], units: 3, kernelInitializer: given([1, 0, 2, 0, -0, 3]) }),
        tfl.layers.dense({ name: 'full', units: 2, kernelInitializer: 'ones' }),
        tfl.layers.dense({ name: 'empty', units: 2, kernelInitializer: 'zeros', biasInitializer: 'ones' }),
      ],
    });
    const sparse = await sparsify(model);
    expect(sparse.layers.map((layer) => layer.getClassName())).toEqual(['SparseDense', 'Dense', 'SparseDense']);
    const [holes, , empty] = sparse.layers as unknown as SparseDense[];
    expect(whole(holes)).toEqual([1, 0, 0, 0, 2, 3]);
    expect(holes.density).toBe(0.5);
    expect(empty.pattern.nnz).toBe(0);
    const x = tf.ones([1, 2]);
    expect(predict(sparse, x)).toEqual(predict(model, x));
    x.dispose();
    model.dispose();
    sparse.dispose();
  });

  test('without a zero anywhere there is nothing to do; NaN is named by its layer', async () => {
    const model = tfl.sequential({ layers: [tfl.layers.dense({ inputShape: [2], units: 3, kernelInitializer: 'ones' })] });
    await expect(sparsify(model)).rejects.toThrow(
      'sparsify model: expected a density, or layers in which some weights are exactly 0, received "neither"',
    );
    model.dispose();
    const sick = tfl.sequential({
      layers: [tfl.layers.dense({ name: 'sick', inputShape: [2], units: 1, kernelInitializer: given([0, Number.NaN]) })],
    });
    await expect(sparsify(sick)).rejects.toThrow('sparsify weights of sick: expected numbers, received NaN');
    sick.dispose();
  });
});

describe('the saved dense model', () => {
  test('loads in plain tfjs, without this package, and predicts the same', async () => {
    await tf.setBackend('cpu');
    const model = mixed({ backwardDensity: 0.6, alpha: 2 });
    const plain = await toDense(model);
    const folder = await mkdtemp(join(tmpdir(), 'plain-'));
    await plain.save(pathToFileURL(folder).href);
    const x = input();
    await writeFile(
      join(folder, 'load.mjs'),
      `import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
const require = createRequire(${JSON.stringify(import.meta.url)});
const tf = require('@tensorflow/tfjs-core');
const tfl = require('@tensorflow/tfjs-layers');
require('@tensorflow/tfjs-backend-cpu');
const read = (name) => readFileSync(new URL(name, import.meta.url));
const { modelTopology, weightsManifest } = JSON.parse(read('model.json'));
const weightData = new Uint8Array(read('weights.bin')).buffer;
const model = await tfl.loadLayersModel(tf.io.fromMemory({ modelTopology, weightSpecs: weightsManifest[0].weights, weightData }));
const x = tf.tensor(${JSON.stringify(Array.from(x.dataSync()))}, [7, 9]);
console.log(JSON.stringify(Array.from(model.predict(x).dataSync())));
`,
    );
    const { stdout } = await promisify(execFile)(process.execPath, [join(folder, 'load.mjs')]);
    expectClose(JSON.parse(stdout), predict(model, x), 2e-6);
    expect(await readFile(join(folder, 'model.json'), 'utf8')).not.toMatch(/"class_name":"(Sparse|Power)|alpha"|density"/);
    x.dispose();
    model.dispose();
    plain.dispose();
  });
});
