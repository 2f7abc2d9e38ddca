// One-shot pruning of sparse and of dense models, and the dense layer that it is for.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import '../../ts/files/files.node.js';
import { dense, type PowerDense, powerDense, type SparseDense } from '../../ts/layers/index.js';
import { type PruneArgs, prune } from '../../ts/methods/prune.js';
import { sparsify } from '../../ts/methods/sparsify.js';
import { adam, momentum, sgd } from '../../ts/optimizers/index.js';
import { Random } from '../../ts/pattern/random.js';
import { digits, forced, slotsOf, whole } from '../support/forced.js';
import { expectClose, given, onEachBackend, tf, tfl } from '../support/tf.js';

const random = new Random(11);
const numbers = (n: number) => Array.from({ length: n }, () => random.next() - 0.5);
const LEFT = numbers(35);
const RIGHT = numbers(21);
/** 7 rows of 5, and an output layer of 3 rows of 7. */
const STARTS = [
  { rows: 7, w: LEFT },
  { rows: 3, w: RIGHT },
];

/** The k of largest score, ascending; equal ones: the lower first. */
const topK = (scores: number[], k: number) =>
  [...scores.keys()]
    .sort((a, b) => scores[b] - scores[a] || a - b)
    .slice(0, k)
    .sort((a, b) => a - b);

const kept = (layer: SparseDense) => Array.from(layer.pattern.flat());

onEachBackend('prune', () => {
  async function pruned(args: PruneArgs, starts: Parameters<typeof forced>[0] = STARTS) {
    const { model, layers } = forced(starts);
    await prune(model, args);
    const result = layers.map((layer) => ({ kept: kept(layer), nnz: layer.pattern.nnz, w: whole(layer) }));
    model.dispose();
    return result;
  }

  test.each([
    // 35·0.3 = 10.5, 21·0.6 = 12.6.
    [0.3, 2, [10, 12]],
    [0.3, 1, [10, 6]],
    [0.3, 3, [10, 18]],
    // At most everything.
    [0.6, 2, [21, 21]],
    [0.99, 2, [34, 21]],
    [1, 2, [35, 21]],
    // 0.1·35 is 3.5; 0.01·35 is less than one, and one stays.
    [0.1, 2, [3, 4]],
    [0.01, 2, [1, 1]],
    // On paper exactly 7 of 35.
    [0.2, 2, [7, 8]],
  ])('density %d with output factor %d keeps whole weights, rounded down', async (density, outputFactor, counts) => {
    const layers = await pruned({ density, outputFactor });
    expect(layers.map(({ nnz }) => nnz)).toEqual(counts);
    STARTS.forEach(({ w }, i) => {
      expect(layers[i].kept).toEqual(topK(w.map(Math.abs), counts[i]));
      // Values stay, bit for bit.
      expect(layers[i].w).toEqual(Array.from(Float32Array.from(w, (v, at) => (layers[i].kept.includes(at) ? v : 0))));
    });
  });

  test('the output layer keeps twice as much unless told otherwise', async () => {
    expect((await pruned({ density: 0.3 })).map(({ nnz }) => nnz)).toEqual([10, 12]);
  });

  test('decimal fractions count as on paper', async () => {
    // 0.29·100 is 28.999999999999996.
    const [layer] = await pruned({ density: 0.29, outputFactor: 1 }, [{ w: Array.from({ length: 100 }, (_, i) => i + 1) }]);
    expect(layer.nnz).toBe(29);
  });

  test('of equal weights the lower index stays', async () => {
    const same = { w: [1, -1, 1, 1, -1, 1, 2, 1] };
    const [first] = await pruned({ density: 0.5, outputFactor: 1 }, [same]);
    expect(first.kept).toEqual([0, 1, 2, 6]);
    // Over layers, the lower layer; an exact 0 is an ordinary weight.
    const both = await pruned({ density: 0.5, scope: 'global' }, [{ w: [1, 0, 1, 1] }, { w: [1, 1, 0, 1] }]);
    expect(both.map(({ kept }) => kept)).toEqual([[0, 2, 3], [0]]);
  });

  test('what has less than asked in one layer is refused elsewhere; of what is sparse already, the largest stay', async () => {
    const sparse = { w: [5, 0.1, 3, 0, -4, 2, 0, 1], mask: '11101101' };
    const [layer] = await pruned({ density: 0.4, outputFactor: 1 }, [sparse]);
    expect(layer.kept).toEqual([0, 2, 4]);
    expect(layer.w).toEqual([5, 0, 3, 0, -4, 0, 0, 0]);
  });

  test("scope 'global' ranks all weights together, and knows no output layer", async () => {
    const scaled = [{ rows: 7, w: LEFT.map((w) => 3 * w) }, STARTS[1]];
    const layers = await pruned({ density: 0.3, scope: 'global' }, scaled);
    const all = topK(
      scaled.flatMap(({ w }) => w.map(Math.abs)),
      16,
    );
    // ⌊0.3·35⌋ + ⌊0.3·21⌋.
    expect(layers[0].nnz + layers[1].nnz).toBe(16);
    expect(layers[0].kept).toEqual(all.filter((at) => at < 35));
    expect(layers[1].kept).toEqual(all.filter((at) => at >= 35).map((at) => at - 35));
    expect(layers[0].nnz).toBeGreaterThan(12);
  });

  test("scope 'global' may leave a layer without any weight, 'lamp' never does", async () => {
    const tiny = [STARTS[0], { rows: 3, w: RIGHT.map((w) => 1e-4 * w) }];
    expect((await pruned({ density: 0.1, scope: 'global' }, tiny)).map(({ nnz }) => nnz)).toEqual([5, 0]);
    const lamp = await pruned({ density: 0.1, scope: 'lamp' }, tiny);
    expect(lamp[0].nnz + lamp[1].nnz).toBe(5);
    expect(lamp[1].nnz).toBeGreaterThan(0);
    // The scale of a layer does not matter to LAMP.
    const plain = await pruned({ density: 0.1, scope: 'lamp' });
    expect(lamp.map(({ kept }) => kept)).toEqual(plain.map(({ kept }) => kept));
  });

  test("scope 'lamp' keeps the golden weights", async () => {
    // 4 of 7, where ⌊4/7·4⌋ + ⌊4/7·3⌋ is 3.
    const golden = [{ w: [1, -2, 3, 0.5] }, { w: [0.1, -0.2, 0.05] }];
    const three = await pruned({ density: 4 / 7, scope: 'lamp' }, golden);
    expect(three.map(({ kept }) => kept)).toEqual([[1, 2], [1]]);
    // ⌊0.75·4⌋ + ⌊0.75·3⌋ = 5: then come 0.1 with a score of 0.2 and 1 with 0.071.
    const five = await pruned({ density: 0.75, scope: 'lamp' }, golden);
    expect(five.map(({ kept }) => kept)).toEqual([
      [0, 1, 2],
      [0, 1],
    ]);
  });

  test('ranks by what the weights are, not by what is stored of them', async () => {
    // φ of one layer at alpha 3 are above those of the other, their cubes below.
    const powered = [{ w: [0.9, 0.8, 0.7, 0.6], args: { alpha: 3 } }, { w: [0.5, 0.4, 0.3, 0.2] }];
    const layers = await pruned({ density: 0.5, scope: 'global' }, powered);
    // θ: .729 .512 .343 .216 | .5 .4 .3 .2.
    expect(layers.map(({ kept }) => kept)).toEqual([
      [0, 1],
      [0, 1],
    ]);
    // What is stored stays what it was.
    expectClose(layers[0].w, [0.9, 0.8, 0, 0], 1e-7);
  });

  test.each([
    ['momentum', () => momentum(0.01, 0.9)],
    ['adam', () => adam(0.01)],
    ['tf.train.adam', () => tf.train.adam(0.01)],
  ])('slots follow their weights: %s', async (_, make) => {
    const { model, layers, step } = forced(STARTS);
    const optimizer = make();
    for (let i = 0; i < 3; i++) step(optimizer, [numbers(35), numbers(21)]);
    const before: Record<string, number[]>[] = [];
    for (const layer of layers) before.push(await slotsOf(optimizer, layer));
    const weights = layers.map(whole);
    await prune(model, { density: 0.25, optimizer });
    for (const [i, layer] of layers.entries()) {
      const after = await slotsOf(optimizer, layer);
      expect(Object.keys(after)).toEqual(Object.keys(before[i]));
      for (const name of Object.keys(after)) expect([name, after[name]]).toEqual([name, kept(layer).map((at) => before[i][name][at])]);
      expect(Array.from(layer.values.dataSync())).toEqual(kept(layer).map((at) => weights[i][at]));
    }
    // Training goes on with what is left.
    const nnz = layers.map(({ pattern }) => pattern.nnz);
    step(optimizer, [numbers(35), numbers(21)]);
    expect(layers.map(({ pattern }) => pattern.nnz)).toEqual(nnz);
    model.dispose();
    optimizer.dispose();
  });

  test('of a compiled model, its own optimizer’s slots follow', async () => {
    const layer = dense({ units: 6, inputShape: [5], density: 1, seed: 2 });
    const model = tfl.sequential({ layers: [layer] });
    const optimizer = momentum(0.05, 0.9);
    model.compile({ optimizer, loss: 'meanSquaredError' });
    const [x, y] = [tf.randomNormal([8, 5], 0, 1, 'float32', 1), tf.ones([8, 6])];
    await model.fit(x, y, { epochs: 1, verbose: 0 });
    const before = (await slotsOf(optimizer, layer))['momentum'];
    await prune(model, { density: 0.2, outputFactor: 1 });
    expect((await slotsOf(optimizer, layer))['momentum']).toEqual(kept(layer).map((at) => before[at]));
    await model.fit(x, y, { epochs: 1, verbose: 0 });
    expect(layer.pattern.nnz).toBe(6);
    model.dispose();
    optimizer.dispose();
    tf.dispose([x, y]);
  });
});

// --- sparsify -------------------------------------------------------------------------------------

/** A classifier, and beside the dense layers some that stay what they are. */
function classifier(alpha: number | undefined): tfl.Sequential {
  const layer = (units: number, seed: number, args: object) => {
    const all = {
      units,
      kernelInitializer: tfl.initializers.glorotNormal({ seed }),
      biasInitializer: tfl.initializers.randomNormal({ seed }),
      ...args,
    };
    return alpha === undefined ? tfl.layers.dense(all) : powerDense({ ...all, alpha });
  };
  return tfl.sequential({
    layers: [
      layer(12, 1, { inputShape: [9], activation: 'relu' }),
      tfl.layers.dropout({ rate: 0.5 }),
      tfl.layers.batchNormalization({ betaInitializer: tfl.initializers.randomNormal({ seed: 9 }) }),
      layer(11, 2, { activation: 'tanh' }),
      layer(10, 3, { useBias: false }),
      layer(4, 4, { activation: 'softmax' }),
    ],
  });
}

const denseOf = (model: tfl.LayersModel) => model.layers.filter((layer) => ['Dense', 'PowerDense'].includes(layer.getClassName()));
const sparseOf = (model: tfl.LayersModel) =>
  model.layers.filter((layer) => layer.getClassName() === 'SparseDense') as unknown as SparseDense[];

/** Writes zeros into the kernels `[in, units]` of a dense model outside the patterns of a sparse one. */
function mask(model: tfl.LayersModel, sparse: tfl.LayersModel): void {
  for (const [i, layer] of denseOf(model).entries()) {
    const { pattern } = sparseOf(sparse)[i];
    tf.tidy(() => {
      const [kernel, ...bias] = layer.getWeights();
      const on = tf.transpose(tf.tensor2d([...digits({ pattern })].map(Number), [pattern.rows, pattern.cols]));
      layer.setWeights([tf.mul(kernel, on), ...bias]);
    });
  }
}

onEachBackend('sparsify', () => {
  const predict = (model: tfl.LayersModel, x: tf.Tensor) => tf.tidy(() => Array.from((model.predict(x) as tf.Tensor).dataSync()));

  describe.each([undefined, 1, 2, 3.5])('of tf.layers.dense, or of powerDense with alpha %s', (alpha) => {
    test.each<[number, PruneArgs['scope']]>([
      [0.05, 'layer'],
      [0.3, 'layer'],
      [0.3, 'global'],
      [0.3, 'lamp'],
      [0.9, 'layer'],
    ])('at density %d by %s it predicts as the masked model', async (density, scope) => {
      const model = classifier(alpha);
      const sparse = await sparsify(model, { density, ...(scope ? { scope } : {}) });
      const x = tf.randomNormal([7, 9], 0, 1, 'float32', 1);
      const sizes = [108, 132, 110, 40];
      const counts = sparseOf(sparse).map(({ pattern }) => pattern.nnz);
      if (scope === 'layer')
        expect(counts).toEqual(sizes.map((n, i) => Math.max(1, Math.floor(n * Math.min(1, i === 3 ? 2 * density : density)))));
      else expect(counts.reduce((a, b) => a + b)).toBe(sizes.reduce((sum, n) => sum + Math.floor(density * n), 0));
      const untouched = predict(model, x);
      mask(model, sparse);
      expectClose(predict(sparse, x), predict(model, x), 2e-6);
      if (density < 0.9) expect(predict(model, x)).not.toEqual(untouched);
      x.dispose();
      model.dispose();
      sparse.dispose();
    });

    test('at density 1 it predicts as the dense model', async () => {
      const model = classifier(alpha);
      const sparse = await sparsify(model, { density: 1 });
      expect(sparseOf(sparse)).toHaveLength(4);
      const x = tf.randomNormal([7, 9], 0, 1, 'float32', 1);
      expectClose(predict(sparse, x), predict(model, x), 2e-6);
      x.dispose();
      model.dispose();
      sparse.dispose();
    });
  });

  test('at density 1, on small whole numbers, predictions are the same bits', async () => {
    const whole = (n: number) => Array.from({ length: n }, () => random.below(9) - 4);
    const model = tfl.sequential({
      layers: [
        tfl.layers.dense({
          units: 6,
          inputShape: [5],
          activation: 'relu',
          kernelInitializer: given(whole(30)),
          biasInitializer: given(whole(6)),
        }),
        tfl.layers.dense({ units: 3, kernelInitializer: given(whole(18)), biasInitializer: given(whole(3)) }),
      ],
    });
    const sparse = await sparsify(model, { density: 1 });
    const x = tf.tensor2d(whole(40), [8, 5]);
    expect(predict(sparse, x)).toEqual(predict(model, x));
    x.dispose();
    model.dispose();
    sparse.dispose();
  });

  test('layers know the density that they have', async () => {
    const model = classifier(2);
    for (const scope of ['layer', 'lamp', 'global'] as const) {
      const sparse = await sparsify(model, { density: 0.3, scope });
      for (const { density, pattern } of sparseOf(sparse)) expect(density).toBe(pattern.nnz / (pattern.rows * pattern.cols));
      sparse.dispose();
    }
    model.dispose();
  });

  test('layers that are excepted stay what they are', async () => {
    const model = classifier(2);
    const [first, ...rest] = model.layers.filter((layer) => layer.getClassName() === 'PowerDense').map(({ name }) => name);
    const sparse = await sparsify(model, { density: 0.3, except: [first] });
    expect(sparse.layers[0].getClassName()).toBe(model.layers[0].getClassName());
    expect(sparseOf(sparse).map(({ name }) => name)).toEqual(rest);
    await expect(sparsify(model, { density: 0.3, except: ['nobody'] })).rejects.toThrow('sparsify except: expected layers among');
    await expect(sparsify(model, { density: 0.3, except: [first, ...rest] })).rejects.toThrow(
      'expected other dense layers or convolutions',
    );
    model.dispose();
    sparse.dispose();
  });

  test('the model itself stays as it was, and the copy is trained alone', async () => {
    const model = classifier(2);
    const before = model.getWeights().map((w) => Array.from(w.dataSync()));
    const sparse = await sparsify(model, { density: 0.3 });
    expect(sparse.layers.map(({ name }) => name)).toEqual(model.layers.map(({ name }) => name));
    sparse.compile({ optimizer: sgd(0.1), loss: 'categoricalCrossentropy' });
    const x = tf.randomNormal([8, 9], 0, 1, 'float32', 1);
    const y = tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d([0, 1, 2, 3, 0, 1, 2, 3], 'int32'), 4), 'float32'));
    const start = sparseOf(sparse).map((layer) => Array.from(layer.values.dataSync()));
    await sparse.fit(x, y, { epochs: 2, verbose: 0 });
    for (const [i, layer] of sparseOf(sparse).entries()) expect(Array.from(layer.values.dataSync())).not.toEqual(start[i]);
    expect(model.getWeights().map((w) => Array.from(w.dataSync()))).toEqual(before);
    tf.dispose([x, y]);
    model.dispose();
    sparse.dispose();
  });

  test('the stored φ come over as they are', async () => {
    const layer = powerDense({ units: 2, inputShape: [3], alpha: 2, kernelInitializer: given([0.04, -0.09, 0.25, 0.01, -0.16, 0.36]) });
    const model = tfl.sequential({ layers: [layer] });
    const sparse = await sparsify(model, { density: 0.5, outputFactor: 1 });
    const [copy] = sparseOf(sparse);
    expect(copy.alpha).toBe(2);
    // The kernel [3, 2] by rows: .04 −.09 | .25 .01 | −.16 .36; as W [2, 3]: .04 .25 −.16 | −.09 .01 .36.
    expect(digits(copy)).toBe('011001');
    expectClose(whole(copy), [0, 0.5, -0.4, 0, 0, 0.6], 1e-7);
    model.dispose();
    sparse.dispose();
  });

  test('of equal weights the lower index of W [units, in] stays', async () => {
    const layer = tfl.layers.dense({ units: 2, inputShape: [3], useBias: false, kernelInitializer: 'ones' });
    const model = tfl.sequential({ layers: [layer] });
    const sparse = await sparsify(model, { density: 0.5, outputFactor: 1 });
    expect(digits(sparseOf(sparse)[0])).toBe('111000');
    model.dispose();
    sparse.dispose();
  });

  test('how the dense weights were drawn does not matter', async () => {
    const model = tfl.sequential({
      layers: [tfl.layers.dense({ units: 4, inputShape: [4], useBias: false, kernelInitializer: 'identity' })],
    });
    const sparse = await sparsify(model, { density: 0.25, outputFactor: 1 }).catch((caught: Error) => caught);
    const mask = sparse instanceof Error ? sparse.message : digits(sparseOf(sparse)[0]);
    model.dispose();
    if (!(sparse instanceof Error)) sparse.dispose();
    expect(mask).toBe('1000010000100001');
  });

  test('NaN is named by its layer', async () => {
    const model = tfl.sequential({
      layers: [
        tfl.layers.dense({ units: 2, inputShape: [3], name: 'sound' }),
        tfl.layers.dense({ units: 2, useBias: false, name: 'sick', kernelInitializer: given([1, 2, Number.NaN, 4]) }),
      ],
    });
    const error = await sparsify(model, { density: 0.5 }).catch((caught: Error) => caught);
    model.dispose();
    expect((error as Error).message).toMatch(/^sparsify .*sick.*: expected numbers .*NaN/);
  });
});

// --- powerDense -----------------------------------------------------------------------------------

onEachBackend('layers.powerDense', () => {
  const args = (seed: number) => ({
    units: 6,
    inputShape: [5],
    activation: 'tanh' as const,
    kernelInitializer: tfl.initializers.glorotNormal({ seed }),
    biasInitializer: tfl.initializers.randomNormal({ seed }),
  });
  const batch = () => tf.randomNormal([8, 5], 0, 1, 'float32', 1);
  const loss = (model: tfl.LayersModel, x: tf.Tensor) => tf.mean(tf.square(tf.sub(model.apply(x) as tf.Tensor, 0.3))) as tf.Scalar;

  test.each([
    ['our sgd', () => sgd(0.1)],
    ['our adam', () => adam(0.01)],
    ["our adam on theta's gradients", () => adam(0.01, 0.9, 0.999, 1e-7, 'theta')],
    ['tf.train.adam', () => tf.train.adam(0.01)],
  ])('alpha 1 is tf.layers.dense, bit for bit, step by step: %s', (_, make) => {
    const x = batch();
    const trails = [true, false].map((powered) => {
      const layer = powered ? powerDense({ ...args(1), alpha: 1 }) : tfl.layers.dense(args(1));
      const model = tfl.sequential({ layers: [layer] });
      const optimizer = make();
      const trail = [];
      for (let i = 0; i < 10; i++) {
        const cost = optimizer.minimize(() => loss(model, x), true) as tf.Scalar;
        trail.push(cost.dataSync()[0], ...layer.getWeights().map((w) => Array.from(w.dataSync())));
        cost.dispose();
      }
      model.dispose();
      optimizer.dispose();
      return trail;
    });
    expect(trails[0]).toEqual(trails[1]);
    x.dispose();
  });

  test('is the same function at the start for every alpha', () => {
    const x = batch();
    const at = (alpha: number | undefined) => {
      const layer = alpha === undefined ? tfl.layers.dense(args(1)) : powerDense({ ...args(1), alpha });
      const model = tfl.sequential({ layers: [layer] });
      const y = tf.tidy(() => Array.from((model.apply(x) as tf.Tensor).dataSync()));
      model.dispose();
      return y;
    };
    for (const alpha of [1, 1.375, 2, 3, 5]) expectClose(at(alpha), at(undefined), 2e-6);
    x.dispose();
  });

  test.each([1.375, 2, 3])('its gradients at alpha %d are those of the sparse layer at density 1 with the same φ', (alpha) => {
    const full = powerDense({ ...args(1), alpha }) as PowerDense;
    const sparse = dense({ ...args(1), alpha, density: 1 });
    const models = [full, sparse].map((layer) => tfl.sequential({ layers: [layer] }));
    tf.tidy(() => {
      const [phi, bias] = full.getWeights();
      sparse.edit(sparse.pattern, tf.transpose(phi).dataSync() as Float32Array);
      sparse.bias?.assign(tf.clone(bias));
    });
    const x = batch();
    tf.tidy(() => {
      const [ours, theirs] = models.map((model) => {
        const variables = model.trainableWeights.map((w) => w.read() as tf.Variable);
        const { grads, value } = tf.variableGrads(() => loss(model, x), variables);
        return { value: value.dataSync()[0], grads: variables.map(({ name }) => grads[name]) };
      });
      expect(ours.value).toBeCloseTo(theirs.value, 6);
      expectClose(tf.transpose(ours.grads[0]).dataSync(), theirs.grads[0].dataSync(), 1e-6);
      expectClose(ours.grads[1].dataSync(), theirs.grads[1].dataSync(), 1e-6);
      expect(Math.max(...theirs.grads[0].dataSync().map(Math.abs))).toBeGreaterThan(1e-3);
    });
    x.dispose();
    for (const model of models) model.dispose();
  });

  test.each([sgd, (rate: number) => adam(rate, 0.9, 0.999, 1e-7, 'theta')])('trains as the sparse layer at density 1 does', (make) => {
    const [full, sparse] = [powerDense({ ...args(1), alpha: 2 }), dense({ ...args(1), alpha: 2, density: 1 })];
    const models = [full, sparse].map((layer) => tfl.sequential({ layers: [layer] }));
    tf.tidy(() => {
      const [phi, bias] = full.getWeights();
      sparse.edit(sparse.pattern, tf.transpose(phi).dataSync() as Float32Array);
      sparse.bias?.assign(tf.clone(bias));
    });
    const x = batch();
    for (const model of models) {
      const optimizer = make(0.02);
      for (let i = 0; i < 20; i++) optimizer.minimize(() => loss(model, x));
      optimizer.dispose();
    }
    tf.tidy(() => expectClose(sparse.values.dataSync(), tf.transpose(full.getWeights()[0]).dataSync(), 2e-5));
    x.dispose();
    for (const model of models) model.dispose();
  });

  test('is saved, loaded, and the same', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'power-'));
    const model = tfl.sequential({ layers: [powerDense({ ...args(1), alpha: 2.5, name: 'powered' })] });
    model.compile({ optimizer: adam(0.01, 0.9, 0.999, 1e-7, 'theta'), loss: 'meanSquaredError' });
    const [x, y] = [batch(), tf.ones([8, 6])];
    await model.fit(x, y, { epochs: 3, verbose: 0, shuffle: false });
    await model.save(pathToFileURL(folder).href, { includeOptimizer: true });
    const loaded = await tfl.loadLayersModel(pathToFileURL(join(folder, 'model.json')).href);
    expect((loaded.layers[0] as PowerDense).alpha).toBe(2.5);
    const weights = (one: tfl.LayersModel) => one.getWeights().map((w) => Array.from(w.dataSync()));
    expect(weights(loaded)).toEqual(weights(model));
    const predictions = [model, loaded].map((one) => tf.tidy(() => Array.from((one.predict(x) as tf.Tensor).dataSync())));
    expect(predictions[1]).toEqual(predictions[0]);
    // Trained on, both take the same steps.
    for (const one of [model, loaded]) await one.fit(x, y, { epochs: 2, verbose: 0, shuffle: false });
    expect(weights(loaded)).toEqual(weights(model));
    for (const one of [model, loaded]) {
      one.dispose();
      one.optimizer.dispose();
    }
    tf.dispose([x, y]);
    await rm(folder, { recursive: true });
  });

  test.each([0.5, 0, -1, Number.NaN])('refuses alpha %d', (alpha) => {
    expect(() => powerDense({ units: 2, alpha })).toThrow(`layers.powerDense alpha: expected a number >= 1, received ${alpha}`);
  });
});
