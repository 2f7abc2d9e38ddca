// Top-KAST whose untouched weights are a hash, against Top-KAST that stores them.

import { describe, expect, test } from 'vitest';
import { conv2d, dense, type SparseConv2D, type SparseDense } from '../../ts/layers/index.js';
import { topKast } from '../../ts/methods/top_kast.js';
import { adam, momentum, sgd } from '../../ts/optimizers/index.js';
import { CsrPattern } from '../../ts/pattern/csr.js';
import { memory } from '../../ts/wasm/memory.js';
import { onEachBackend, tf, tfl } from '../support/tf.js';

const [ROWS, COLS] = [30, 40];
const layerArgs = { units: ROWS, inputShape: [COLS], density: 0.05, backwardDensity: 0.1, useBias: false, activation: 'tanh' as const };

const optimizers = { sgd: () => sgd(0.2), momentum: () => momentum(0.1, 0.9), adam: () => adam(0.02) };

const convArgs = {
  filters: 10,
  kernelSize: [3, 2] as [number, number],
  inputShape: [5, 4, 20],
  density: 0.05,
  backwardDensity: 0.1,
  useBias: false,
};
const makers: Record<string, (args: Pick<Parameters<typeof dense>[0], 'alpha' | 'theta' | 'seed'>) => SparseDense | SparseConv2D> = {
  dense: (args) => dense({ ...layerArgs, kernelInitializer: 'heNormal', ...args }),
  conv2d: (args) => conv2d({ ...convArgs, kernelInitializer: 'heNormal', activation: 'tanh', ...args }),
};

onEachBackend('Top-KAST, seeded', () => {
  const cases = (Object.keys(optimizers) as (keyof typeof optimizers)[]).flatMap((which) =>
    [1, 2].flatMap((alpha) => Object.keys(makers).map((kind) => [kind, which, alpha] as const)),
  );
  test.each(cases)('takes the same 50 steps as stored, bit for bit: %s, %s, alpha %d', async (kind, which, alpha) => {
    const make = makers[kind];
    const seeded = make({ alpha, theta: 'seeded', seed: 4 });
    const a = tfl.sequential({ layers: [seeded] });
    const start = seeded.theta();
    const stored = make({ alpha });
    const b = tfl.sequential({ layers: [stored] });
    // B first: where θ is read, the values of B are written into it.
    stored.edit(new CsrPattern(seeded.pattern), seeded.values.dataSync().slice() as Float32Array);
    const theta = tf.tensor1d(start);
    b.weights.find(({ name }) => name.endsWith('theta'))?.write(theta);
    theta.dispose();
    const runs = [a, b].map((model) => {
      const optimizer = optimizers[which]();
      return { model, optimizer, method: topKast({ regularization: 0.01 }).attach(model, optimizer) };
    });
    const patterns = new Set<string>();
    for (let step = 0; step < 50; step++) {
      const [input, output] =
        kind === 'dense'
          ? [[COLS], [ROWS]]
          : [
              [5, 4, 20],
              [3, 3, 10],
            ];
      const x = tf.randomNormal([8, ...input], 0, 1, 'float32', 1 + step);
      const target = tf.randomUniform([8, ...output], -1, 1, 'float32', 100 + step);
      for (const { model, optimizer, method } of runs) {
        optimizer.minimize(() => tf.losses.meanSquaredError(target, model.apply(x) as tf.Tensor) as tf.Scalar, false, [
          (model.layers[0] as SparseDense).values,
        ]);
        await method.step();
      }
      tf.dispose([x, target]);
      expect(Array.from(seeded.pattern.flat())).toEqual(Array.from(stored.pattern.flat()));
      expect(Array.from(seeded.pattern.rowSplits)).toEqual(Array.from(stored.pattern.rowSplits));
      expect(Array.from(seeded.values.dataSync())).toEqual(Array.from(stored.values.dataSync()));
      expect(Array.from(seeded.theta())).toEqual(Array.from(stored.theta()));
      patterns.add(seeded.pattern.flat().join());
    }
    expect(patterns.size, 'the sets moved').toBeGreaterThan(10);
    for (const { model, optimizer, method } of runs) {
      method.detach();
      model.dispose();
      optimizer.dispose();
    }
  });
});

describe('memory', () => {
  test('a layer of 4 million weights at density 0.002 needs no array of that size', async () => {
    await tf.setBackend('cpu');
    const before = memory().liveBytes;
    const layer = dense({ units: 2048, inputShape: [2048], density: 0.001, backwardDensity: 0.002, theta: 'seeded', seed: 1 });
    const model = tfl.sequential({ layers: [layer] });
    const optimizer = adam(0.01);
    const method = topKast().attach(model, optimizer);
    const x = tf.randomNormal([4, 2048], 0, 1, 'float32', 1);
    for (let step = 0; step < 3; step++) {
      optimizer.minimize(() => tf.mean(tf.square(model.apply(x) as tf.Tensor)) as tf.Scalar, false, [layer.values]);
      await method.step();
    }
    // One bit for each position is kept, for the report; the whole vector would be 17 MB.
    expect(memory().liveBytes - before).toBeLessThan(2e6);
    method.detach();
    model.dispose();
    optimizer.dispose();
  });

  test.each([
    [{ theta: 'seeded' as const }, "layers.dense theta: expected a backwardDensity beside 'seeded'"],
    [{ theta: 'hashed' as never, backwardDensity: 0.5 }, "layers.dense theta: expected 'stored' or 'seeded', received \"hashed\""],
    [
      { theta: 'seeded' as const, backwardDensity: 0.5, maxFrozen: -1 },
      'layers.dense maxFrozen: expected a whole number >= 0, received -1',
    ],
  ])('%o is refused', (args, message) => {
    expect(() => dense({ units: 4, density: 0.5, ...args })).toThrow(message);
  });

  test('an initializer without a spread of its own is refused', async () => {
    const layer = dense({ units: 4, density: 0.5, backwardDensity: 0.6, theta: 'seeded', kernelInitializer: 'ones', inputShape: [4] });
    expect(() => tfl.sequential({ layers: [layer] })).toThrow(
      /kernelInitializer: expected one of known spread, for theta 'seeded', received "Ones"/,
    );
  });
});
