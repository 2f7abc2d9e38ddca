// Tensors that stay in our wasm memory: between our layers nothing is unpacked, and everyone else sees an ordinary tensor.

import { afterEach, expect, test, vi } from 'vitest';
import { dense } from '../../ts/layers/index.js';
import { home } from '../../ts/ops/home.js';
import { powerprop } from '../../ts/ops/powerprop.js';
import { sparseDense } from '../../ts/ops/sparse_dense.js';
import * as optimizers from '../../ts/optimizers/index.js';
import { randomPattern } from '../../ts/pattern/random.js';
import { memory } from '../../ts/wasm/memory.js';
import { Panels } from '../../ts/wasm/panels.js';
import { expectClose, onEachBackend, tf, tfl } from '../support/tf.js';

const [BATCH, IN, OUT] = [5, 6, 20];
const pattern = randomPattern(OUT, IN, 40, 1);
const makeX = () => tf.randomNormal<tf.Rank.R2>([BATCH, IN], 0, 1, 'float32', 1);
const makeValues = () => tf.randomNormal<tf.Rank.R1>([pattern.nnz], 0, 1, 'float32', 2);
const makeY = () => tf.tidy(() => sparseDense({ x: makeX(), values: makeValues(), pattern }));

afterEach(() => void vi.restoreAllMocks());

onEachBackend('a tensor at home', () => {
  test('is read, without moving', async () => {
    const y = makeY();
    const now = y.dataSync();
    expect(now).toHaveLength(BATCH * OUT);
    expect(Array.from(await y.data())).toEqual(Array.from(now));
    expect(home.find(y.dataId)).toBeDefined();
    y.dispose();
  });

  test('moves when a kernel of tfjs reads it, and then is still the same', () => {
    const y = makeY();
    const clone = y.clone();
    expect(home.find(clone.dataId)).toBe(home.find(y.dataId));
    const before = y.dataSync();
    const doubled = tf.mul(y, 2);
    expect(home.find(y.dataId)).toBeUndefined();
    expectClose(
      doubled.dataSync(),
      before.map((v) => 2 * v),
    );
    expect(Array.from(y.dataSync())).toEqual(Array.from(before));
    y.dispose();
    expect(Array.from(clone.dataSync())).toEqual(Array.from(before));
    tf.dispose([doubled, clone]);
  });

  test('frees its memory with its last owner', () => {
    makeY().dispose();
    const { liveBytes } = memory();
    const y = makeY();
    const clone = y.clone();
    y.dispose();
    expect(memory().liveBytes).toBeGreaterThan(liveBytes);
    expect(clone.dataSync()).toHaveLength(BATCH * OUT);
    clone.dispose();
    expect(memory().liveBytes).toBe(liveBytes);
  });

  test('follows tfjs to another backend', async () => {
    const [here, there] = [tf.getBackend(), tf.getBackend() === 'cpu' ? 'wasm' : 'cpu'];
    const y = makeY();
    const before = y.dataSync();
    await tf.setBackend(there);
    const sum = tf.tidy(() => tf.sum(y).dataSync()[0]);
    expect(sum).toBeCloseTo(Array.from(before).reduce((a, b) => a + b));
    await tf.setBackend(here);
    const again = tf.tidy(() => tf.sum(y).dataSync()[0]);
    expect(again).toBeCloseTo(sum);
    y.dispose();
  });

  test('is a gradient like any other', () => {
    tf.tidy(() => {
      const [x, values] = [makeX(), makeValues()];
      const f = (x: tf.Tensor, values: tf.Tensor) => tf.sum(sparseDense({ x: x as tf.Tensor2D, values: values as tf.Tensor1D, pattern }));
      const [dx, dValues] = tf.grads(f)([x, values]);
      expect(home.find(dx.dataId) && home.find(dValues.dataId)).toBeDefined();
      const [numbers, gradients] = [dx.dataSync(), dValues.dataSync()];
      expectClose(
        tf.add(dx, dx).dataSync(),
        Float32Array.from(numbers, (g) => 2 * g),
      );
      expectClose(
        tf.clipByValue(dValues, -1, 1).dataSync(),
        Float32Array.from(gradients, (g) => Math.max(-1, Math.min(1, g))),
      );
    });
  });

  test('a value changed between two steps is not taken for the old one', () => {
    tf.tidy(() => {
      const x = makeX();
      const values = tf.variable(makeValues());
      const run = () => sparseDense({ x, values: values as tf.Tensor1D, pattern }).dataSync();
      const optimizer = optimizers.sgd(0.5);
      const step = () => void optimizer.minimize(() => tf.sum(sparseDense({ x, values: values as tf.Tensor1D, pattern })) as tf.Scalar);
      const outputs = [run()];
      for (let i = 0; i < 3; i++) {
        step();
        expect(home.find(values.dataId)).toBeDefined();
        outputs.push(run());
      }
      // Each step goes the same way by as much, so outputs do.
      for (const i of [0, 1]) {
        expectClose(
          Float32Array.from(outputs[i + 2], (y, j) => y - outputs[i + 1][j]),
          Float32Array.from(outputs[i + 1], (y, j) => y - outputs[i][j]),
          1e-4,
        );
      }
      expect(Math.max(...outputs[1].map((y, j) => Math.abs(y - outputs[0][j])))).toBeGreaterThan(0.1);
      values.assign(tf.mul(values, 0) as tf.Tensor1D);
      expect(Math.max(...run().map(Math.abs))).toBe(0);
      values.dispose();
    });
  });

  test('kernels checked and profiled by tfjs find nothing amiss', async () => {
    tf.env().set('DEBUG', true);
    makeY().dispose();
    tf.env().set('DEBUG', false);
    const { kernelNames, result } = await tf.profile(() => tf.tidy(() => tf.relu(makeY())));
    expect(kernelNames).toContain('sparseDense');
    tf.dispose(result as tf.Tensor);
  });
});

onEachBackend('operands', () => {
  test('that tfjs calls float32 and keeps as whole numbers are read as what they are', () => {
    tf.tidy(() => {
      const [xs, weights, biases] = [
        [1, 2, 3, 4, 5, 6],
        Array.from({ length: pattern.nnz }, (_, i) => (i % 7) - 3),
        Array.from({ length: OUT }, (_, i) => i),
      ];
      const int = (values: number[]) => tf.cast(tf.tensor1d(values, 'int32'), 'float32');
      const cast = {
        x: tf.reshape(int(xs), [1, IN]) as tf.Tensor2D,
        values: int(weights) as tf.Tensor1D,
        bias: int(biases) as tf.Tensor1D,
      };
      const float = { x: tf.tensor2d(xs, [1, IN]), values: tf.tensor1d(weights), bias: tf.tensor1d(biases) };
      expect(Array.from(sparseDense({ ...cast, pattern }).dataSync())).toEqual(Array.from(sparseDense({ ...float, pattern }).dataSync()));
      expect(Array.from(powerprop(cast.values, 2).dataSync())).toEqual(Array.from(powerprop(float.values, 2).dataSync()));
    });
  });
});

onEachBackend('a second copy of the package', () => {
  test('computes with its own memory, and both leave tensors at home', async () => {
    vi.resetModules();
    await import('../../ts/wasm/load.node.js');
    const other = await import('../../ts/ops/sparse_dense.js');
    const theirs = await import('../../ts/pattern/random.js');
    expect(other.sparseDense).not.toBe(sparseDense);
    tf.tidy(() => {
      const [x, values] = [makeX(), makeValues()];
      const same = theirs.randomPattern(OUT, IN, 40, 1);
      const ours = (x: tf.Tensor, values: tf.Tensor) => sparseDense({ x: x as tf.Tensor2D, values: values as tf.Tensor1D, pattern });
      const second = (x: tf.Tensor, values: tf.Tensor) =>
        other.sparseDense({ x: x as tf.Tensor2D, values: values as tf.Tensor1D, pattern: same });
      const identity = () => tf.getKernel('Identity', tf.getBackend());
      ours(x, values);
      second(x, values);
      const before = identity();
      expectClose(second(x, values).dataSync(), ours(x, values).dataSync());
      const sum = (f: typeof ours) => tf.grads((x: tf.Tensor, values: tf.Tensor) => tf.sum(f(x, values)))([x, values]);
      sum(second).forEach((gradient, i) => {
        expectClose(gradient.dataSync(), sum(ours)[i].dataSync());
      });
      expect(identity()).toBe(before);
    });
  });
});

function network(frozen = false) {
  const layers = [dense({ inputShape: [IN], units: OUT, density: 0.5, activation: 'relu', seed: 1 })];
  layers.push(dense({ units: 16, density: 0.5, activation: 'relu', seed: 2, trainable: !frozen }));
  const model = tfl.sequential({ layers: [...layers, dense({ units: 3, density: 0.5, seed: 3 })] });
  model.compile({ optimizer: optimizers.momentum(0.01, 0.9), loss: 'meanSquaredError' });
  return model;
}

onEachBackend('training', () => {
  test('unpacks what leaves the sparse layers and packs what enters them, and nothing in between', async () => {
    const model = network();
    const [x, y] = [makeX(), tf.ones([BATCH, 3])];
    await model.trainOnBatch(x, y);
    const pack = vi.spyOn(Panels, 'pack');
    const unpack = vi.spyOn(Panels.prototype, 'unpack');
    await model.trainOnBatch(x, y);
    expect(pack.mock.calls.map(([, batch, features]) => [batch, features])).toEqual([
      [BATCH, IN], // x
      [BATCH, 3], // the gradient of the loss
    ]);
    expect(unpack.mock.contexts.map((panels) => (panels as Panels).features)).toEqual([3]);
    for (const layer of model.layers) expect(home.find((layer as ReturnType<typeof dense>).values.dataId)).toBeDefined();
    tf.dispose([x, y]);
    const { optimizer } = model;
    model.dispose();
    optimizer.dispose();
  });

  test.each([false, true])('leaves no bytes behind, with a frozen layer: %s', async (frozen) => {
    const model = network(frozen);
    const [x, y] = [makeX(), tf.ones([BATCH, 3])];
    const step = async () => void (await model.trainOnBatch(x, y));
    for (let i = 0; i < 3; i++) await step();
    const [tensors, { liveBytes }] = [tf.memory().numTensors, memory()];
    for (let i = 0; i < 20; i++) await step();
    expect([tf.memory().numTensors, memory().liveBytes]).toEqual([tensors, liveBytes]);
    tf.tidy(() => void model.predict(x));
    expect(memory().liveBytes).toBe(liveBytes);
    tf.dispose([x, y]);
    const { optimizer } = model;
    model.dispose();
    optimizer.dispose();
  });
});
