// Convolutions from dense to sparse and back, in one process and by way of files.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import '../../ts/files/files.node.js';
import { conv1d, conv2d, dense, type SparseConv2D } from '../../ts/layers/index.js';
import { prune } from '../../ts/methods/prune.js';
import { sparsify } from '../../ts/methods/sparsify.js';
import { toDense } from '../../ts/methods/to_dense.js';
import { layerBytes } from '../../ts/topology/bytes.js';
import { summary } from '../../ts/topology/summary.js';
import { memory } from '../../ts/wasm/memory.js';
import { expectClose, onEachBackend, tf, tfl } from '../support/tf.js';

const input = () => tf.randomNormal([5, 7, 8, 2], 0, 1, 'float32', 1);
const predict = (model: tfl.LayersModel, x: tf.Tensor) => tf.tidy(() => Array.from((model.predict(x) as tf.Tensor).dataSync()));
const kinds = (model: tfl.LayersModel) => model.layers.map((layer) => layer.getClassName());
const ones = { biasInitializer: 'ones' as const };

/** Sparse convolutions among other layers. */
function sparseModel(args: object): tfl.Sequential {
  return tfl.sequential({
    layers: [
      conv2d({
        inputShape: [7, 8, 2],
        filters: 6,
        kernelSize: [3, 2],
        padding: 'same',
        strides: [1, 2],
        activation: 'relu',
        density: 0.3,
        seed: 1,
        ...ones,
        ...args,
      }),
      tfl.layers.batchNormalization({ betaInitializer: 'ones' }),
      conv2d({ filters: 5, kernelSize: 2, dilationRate: [2, 1], activation: 'elu', density: 0.4, seed: 2, useBias: false, ...args }),
      tfl.layers.reshape({ targetShape: [15, 5] }),
      conv1d({ filters: 4, kernelSize: 3, strides: 2, density: 0.4, seed: 3, ...ones, ...args }),
      tfl.layers.flatten(),
      dense({ units: 3, density: 0.5, seed: 4, activation: 'softmax', ...args }),
    ],
  });
}

function denseModel(): tfl.Sequential {
  const he = (seed: number) => tfl.initializers.heNormal({ seed });
  return tfl.sequential({
    layers: [
      tfl.layers.conv2d({
        inputShape: [7, 8, 2],
        filters: 6,
        kernelSize: [3, 2],
        padding: 'same',
        activation: 'relu',
        kernelInitializer: he(1),
        ...ones,
      }),
      tfl.layers.conv2d({ filters: 4, kernelSize: 3, strides: 2, useBias: false, kernelInitializer: he(2) }),
      tfl.layers.reshape({ targetShape: [9, 4] }),
      tfl.layers.conv1d({ filters: 4, kernelSize: 3, dilationRate: 2, kernelInitializer: he(3), ...ones }),
      tfl.layers.flatten(),
      tfl.layers.dense({ units: 3, kernelInitializer: he(4) }),
    ],
  });
}

async function reloaded(model: tfl.LayersModel): Promise<tfl.LayersModel> {
  const folder = await mkdtemp(join(tmpdir(), 'converted-'));
  await model.save(pathToFileURL(folder).href);
  const copy = await tfl.loadLayersModel(pathToFileURL(join(folder, 'model.json')).href);
  await rm(folder, { recursive: true });
  return copy;
}

onEachBackend('toDense', () => {
  test.each<[string, object]>([
    ['plain', {}],
    ['alpha 2', { alpha: 2 }],
    ['Top-KAST', { backwardDensity: 0.6 }],
    ['Top-KAST, seeded, alpha 3', { backwardDensity: 0.6, theta: 'seeded', alpha: 3 }],
  ])('predicts the same, also saved and loaded: %s', async (_, args) => {
    const model = sparseModel(args);
    const plain = await toDense(model);
    expect(kinds(plain)).toEqual(['Conv2D', 'BatchNormalization', 'Conv2D', 'Reshape', 'Conv1D', 'Flatten', 'Dense']);
    const x = input();
    expectClose(predict(plain, x), predict(model, x), 2e-6);
    expect(plain.layers[0].getWeights()[0].shape).toEqual([3, 2, 2, 6]);
    const again = await reloaded(plain);
    expect(predict(again, x)).toEqual(predict(plain, x));
    const back = await sparsify(again);
    expect(kinds(back)).toEqual(kinds(model));
    const sets = (m: tfl.LayersModel) => [0, 2, 4].map((i) => (m.layers[i] as SparseConv2D).pattern.forwardNnz);
    expect(sets(back)).toEqual(sets(model));
    expectClose(predict(back, x), predict(model, x), 2e-6);
    const saved = await reloaded(back);
    expect(predict(saved, x)).toEqual(predict(back, x));
    x.dispose();
    for (const each of [model, plain, again, back, saved]) each.dispose();
  });
});

onEachBackend('sparsify', () => {
  test('with every weight kept predicts the same', async () => {
    const model = denseModel();
    const sparse = await sparsify(model, { density: 1 });
    expect(kinds(sparse)).toEqual(['SparseConv2D', 'SparseConv2D', 'Reshape', 'SparseConv1D', 'Flatten', 'SparseDense']);
    const x = input();
    expectClose(predict(sparse, x), predict(model, x));
    x.dispose();
    model.dispose();
    sparse.dispose();
  });

  test('keeps the largest weights where they were', async () => {
    const model = denseModel();
    const sparse = await sparsify(model, { density: 0.2 });
    for (const i of [0, 1, 3]) {
      const kernel = model.layers[i].getWeights()[0].dataSync();
      const layer = sparse.layers[i] as SparseConv2D;
      const order = [...kernel.keys()].sort((a, b) => Math.abs(kernel[b]) - Math.abs(kernel[a]) || a - b);
      const kept = order.slice(0, Math.floor(0.2 * kernel.length)).sort((a, b) => a - b);
      expect(Array.from(layer.pattern.flat())).toEqual(kept);
      expect(Array.from(layer.values.dataSync())).toEqual(kept.map((at) => kernel[at]));
      expect(layer.kernelShape).toEqual(model.layers[i].getWeights()[0].shape);
    }
    await prune(sparse, { density: 0.1, scope: 'global' });
    const total = sparse.layers.reduce((sum, layer) => sum + ((layer as Partial<SparseConv2D>).pattern?.nnz ?? 0), 0);
    expect(total).toBe(7 + 21 + 4 + 6);
    const x = input();
    const again = await reloaded(sparse);
    expect(predict(again, x)).toEqual(predict(sparse, x));
    x.dispose();
    for (const each of [model, sparse, again]) each.dispose();
  });

  test('leaves convolutions that have no sparse twin', async () => {
    const model = tfl.sequential({
      layers: [
        tfl.layers.conv1d({ inputShape: [8, 2], filters: 3, kernelSize: 2, padding: 'causal' }),
        tfl.layers.conv1d({ filters: 3, kernelSize: 2 }),
      ],
    });
    const sparse = await sparsify(model, { density: 0.5 });
    expect(kinds(sparse)).toEqual(['Conv1D', 'SparseConv1D']);
    model.dispose();
    sparse.dispose();
  });
});

describe('summary', () => {
  test('counts convolutions, sparse and dense', async () => {
    await tf.setBackend('cpu');
    const model = tfl.sequential({
      layers: [
        conv2d({ name: 'sparse', inputShape: [8, 9, 2], filters: 5, kernelSize: 3, density: 0.2, seed: 1 }),
        tfl.layers.conv2d({ name: 'stock', filters: 4, kernelSize: 2, strides: 2 }),
        tfl.layers.reshape({ name: 'shape', targetShape: [9, 4] }),
        conv1d({ name: 'line', filters: 3, kernelSize: 3, density: 0.25, backwardDensity: 0.5, useBias: false, seed: 1 }),
      ],
    });
    const { layers, total } = summary(model, () => {});
    // 18·5 positions; 6·7 outputs.
    expect(layers[0]).toMatchObject({
      type: 'SparseConv2D',
      outputShape: [null, 6, 7, 5],
      params: 18 + 5,
      density: 0.2,
      nnz: 18,
      multiplyAdds: 18 * 42,
    });
    expect(layers[1]).toMatchObject({ type: 'Conv2D', params: 80 + 4, density: 1, nnz: 80, multiplyAdds: 80 * 9, bytes: 4 * 84 });
    // 12·3 positions; 7 outputs.
    expect(layers[3]).toMatchObject({ type: 'SparseConv1D', params: 18, density: 0.25, nnz: 9, multiplyAdds: 9 * 7 });
    expect(total.density).toBe((18 + 80 + 9) / (90 + 80 + 36));
    const open = tfl.sequential({ layers: [conv2d({ inputShape: [null, null, 2], filters: 5, kernelSize: 3, density: 0.2 })] });
    expect(summary(open, () => {}).layers[0].multiplyAdds).toBeUndefined();
    model.dispose();
    open.dispose();
  });

  test('bytes are what is held', async () => {
    await tf.setBackend('cpu');
    const before = memory().liveBytes;
    const layer = conv2d({
      inputShape: [8, 8, 16],
      filters: 32,
      kernelSize: 3,
      density: 0.1,
      backwardDensity: 0.3,
      useBias: false,
      seed: 1,
    });
    tfl.sequential({ layers: [layer] });
    const { nnz, rows } = layer.pattern;
    // Values, and the whole vector in wasm memory; in JavaScript columns of 16 bits, offsets and splits.
    const held = 4 * nnz + 2 * nnz + 4 * (2 * rows + 1);
    const inWasm = memory().liveBytes - before;
    expect(Math.abs(layerBytes(layer) - (held + inWasm)) / layerBytes(layer)).toBeLessThan(0.25);
    layer.dispose();
  });
});
