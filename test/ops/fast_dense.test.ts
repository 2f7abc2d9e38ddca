// tfjs with our dense kernel is tfjs: shapes, values, errors and gradients as before, and as by the definition.

import { afterEach, describe, expect, test, vi } from 'vitest';
import { fastDense } from '../../ts/ops/fast_dense.js';
import { Random } from '../../ts/pattern/random.js';
import { memory } from '../../ts/wasm/memory.js';
import { reference, wholeNumbers } from '../support/cases.js';
import { BACKENDS, expectClose, onEachBackend, outcomeOf, tf, tfl } from '../support/tf.js';

const KERNELS = [tf.BatchMatMul, tf._FusedMatMul];
const registered = () => BACKENDS.flatMap((backend) => KERNELS.map((name) => tf.getKernel(name, backend)));
const shipped = registered();
let undo = () => {};
afterEach(() => undo());

const random = new Random(11);
const whole = (shape: number[]) => tf.tensor(wholeNumbers(random, tf.util.sizeFromShape(shape)), shape);
const flags = [false, true];

/** The result with our kernel and without: numbers and shape, or what was thrown. */
function both(run: () => tf.Tensor): { ours: unknown; theirs: unknown } {
  undo();
  const theirs = outcomeOf(run);
  undo = fastDense();
  return { ours: outcomeOf(run), theirs };
}

describe('registration', () => {
  test('is undone, silent, and the same when repeated', () => {
    const warn = vi.spyOn(console, 'warn');
    undo = fastDense();
    const ours = registered();
    ours.forEach((kernel, i) => {
      expect(kernel).not.toBe(shipped[i]);
    });
    expect(fastDense()).toBe(undo);
    expect(registered()).toEqual(ours);
    undo();
    expect(registered()).toEqual(shipped);
    undo();
    expect(registered()).toEqual(shipped);
    expect(warn).not.toHaveBeenCalled();
  });

  test("leaves another's kernel in its place", () => {
    undo = fastDense();
    const [name, backend] = [tf.BatchMatMul, 'cpu'];
    const theirs = { ...tf.getKernel(name, backend) };
    tf.unregisterKernel(name, backend);
    tf.registerKernel(theirs);
    undo();
    expect(tf.getKernel(name, backend)).toBe(theirs);
    tf.unregisterKernel(name, backend);
    tf.registerKernel(shipped[0]);
    expect(registered()).toEqual(shipped);
  });

  test('takes in a backend that comes later, and refuses to do nothing', () => {
    for (const kernel of shipped) tf.unregisterKernel(kernel.kernelName, kernel.backendName);
    expect(() => fastDense()).toThrow("fastDense: expected the backend 'cpu' or 'wasm'");
    const put = (backend: string) => {
      for (const kernel of shipped) if (kernel.backendName === backend) tf.registerKernel(kernel);
    };
    put('cpu');
    undo = fastDense();
    put('wasm');
    expect(tf.getKernel(tf.BatchMatMul, 'wasm')).toBe(shipped[2]);
    fastDense();
    expect(tf.getKernel(tf.BatchMatMul, 'wasm')).not.toBe(shipped[2]);
    undo();
    expect(registered()).toEqual(shipped);
  });
});

onEachBackend('fastDense', (backend) => {
  test('tf.matMul equals the definition and tfjs, transposed or not', () => {
    const sizes = [1, 3, 8, 17, 40];
    for (const m of sizes) {
      for (const n of sizes) {
        for (const k of [0, ...sizes]) {
          for (const transposeA of flags) {
            for (const transposeB of flags) {
              tf.tidy(() => {
                const a = whole(transposeA ? [k, m] : [m, k]) as tf.Tensor2D;
                const b = whole(transposeB ? [n, k] : [k, n]) as tf.Tensor2D;
                const { ours, theirs } = both(() => tf.matMul(a, b, transposeA, transposeB));
                const values = reference.dense({ m, n, k, transposeA, transposeB }, a.dataSync(), b.dataSync()).map((value) => value + 0);
                expect(ours).toEqual({ shape: [m, n], dtype: 'float32', values });
                // Without terms tfjs's wasm backend leaves what was in its memory.
                if (k > 0) expect(ours).toEqual(theirs);
              });
            }
          }
        }
      }
    }
  });

  test.each([
    [
      [2, 3, 4],
      [2, 4, 5],
    ],
    [
      [3, 4],
      [2, 4, 5],
    ],
    [
      [2, 3, 4],
      [4, 5],
    ],
    [
      [1, 3, 4],
      [2, 4, 5],
    ],
    [
      [2, 3, 4],
      [1, 4, 5],
    ],
    [
      [2, 3, 4, 5],
      [3, 5, 2],
    ],
    [
      [3, 4, 5],
      [2, 3, 5, 2],
    ],
    [
      [2, 3, 4, 5],
      [1, 3, 5, 2],
    ],
    [
      [2, 3, 4, 5],
      [5, 2],
    ],
    [
      [2, 2, 3, 1, 4],
      [2, 2, 3, 4, 7],
    ],
    [
      [0, 3, 4],
      [0, 4, 5],
    ],
    [
      [0, 4],
      [4, 5],
    ],
    [
      [3, 4],
      [4, 0],
    ],
  ])('batches %j × %j', (shapeA, shapeB) => {
    tf.tidy(() => {
      const [a, b] = [whole(shapeA), whole(shapeB)];
      const { ours, theirs } = both(() => tf.matMul(a, b));
      expect(ours).toEqual(theirs);
      const flip = (shape: number[]) => [...shape.slice(0, -2), ...shape.slice(-2).reverse()];
      const transposed = both(() => tf.matMul(tf.reshape(a, flip(shapeA)), tf.reshape(b, flip(shapeB)), true, true));
      expect(transposed.ours).toEqual(transposed.theirs);
    });
  });

  test('values of a broadcast product, by the definition', () => {
    tf.tidy(() => {
      undo = fastDense();
      const [a, b] = [whole([2, 3, 4, 5]), whole([3, 5, 2])];
      const product = { m: 4, n: 2, k: 5, transposeA: false, transposeB: false };
      const [x, y] = [a.dataSync(), b.dataSync()];
      const expected = Array.from({ length: 6 }, (_, i) => reference.dense(product, x.slice(i * 20), y.slice((i % 3) * 10))).flat();
      const result = tf.matMul(a, b);
      expect(result.shape).toEqual([2, 3, 4, 2]);
      expectClose(result.dataSync(), expected, 0);
    });
  });

  test.each<[string, number[], number[], boolean, boolean]>([
    ['inner dimensions', [2, 3], [4, 5], false, false],
    ['inner dimensions, transposed', [3, 2], [4, 5], true, true],
    ['batches', [2, 3, 4], [3, 4, 5], false, false],
    ['batches and inner dimensions', [2, 3, 4], [3, 5, 5], false, false],
    ['rank 1', [3], [3, 2], false, false],
  ])('refuses mismatched %s as tfjs does', (_, shapeA, shapeB, transposeA, transposeB) => {
    tf.tidy(() => {
      const [a, b] = [whole(shapeA), whole(shapeB)];
      const { ours, theirs } = both(() => tf.matMul(a, b, transposeA, transposeB));
      expect(typeof theirs).toBe('string');
      expect(ours).toEqual(theirs);
      const fused = both(() => tf.fused.matMul({ a, b, transposeA, transposeB }));
      expect(fused.ours).toEqual(fused.theirs);
    });
  });

  test('other dtypes are left to tfjs', () => {
    tf.tidy(() => {
      const [a, b] = [tf.tensor2d([1, 2, 3, 4], [2, 2], 'int32'), tf.tensor2d([5, 6, 7, 8], [2, 2], 'int32')];
      const { ours, theirs } = both(() => tf.matMul(a, b));
      expect(ours).toEqual(theirs);
      const mixed = both(() => tf.matMul(a, tf.cast(b, 'float32')));
      expect(mixed.ours).toEqual(mixed.theirs);
    });
  });

  const activations = ['linear', 'relu', 'relu6', 'elu', 'prelu', 'leakyrelu', 'sigmoid'] as const;
  test.each(activations)('tf.fused.matMul with %s', (activation) => {
    for (const shape of [
      [3, 10],
      [2, 3, 10],
    ]) {
      for (const withBias of flags) {
        tf.tidy(() => {
          const [a, b] = [tf.mul(whole(shape), 0.125), whole([10, 9])];
          const given = {
            a,
            b: shape.length === 3 ? tf.reshape(b, [1, 10, 9]) : b,
            activation,
            ...(withBias ? { bias: whole([9]) } : {}),
            ...(activation === 'prelu' ? { preluActivationWeights: tf.mul(whole([9]), 0.125) } : {}),
            ...(activation === 'leakyrelu' ? { leakyreluAlpha: 0.25 } : {}),
          };
          const { ours } = both(() => tf.fused.matMul(given as Parameters<typeof tf.fused.matMul>[0]));
          // Step by step: see the next test.
          undo();
          const sum = withBias ? tf.add(tf.matMul(a, b), given.bias as tf.Tensor) : tf.matMul(a, b);
          const steps = {
            linear: () => sum,
            relu: () => tf.relu(sum),
            relu6: () => tf.relu6(sum),
            elu: () => tf.elu(sum),
            prelu: () => tf.prelu(sum, given.preluActivationWeights as tf.Tensor),
            leakyrelu: () => tf.leakyRelu(sum, 0.25),
            sigmoid: () => tf.sigmoid(sum),
          };
          const expected = steps[activation]();
          expect(ours).toEqual({ shape: expected.shape, dtype: 'float32', values: Array.from(expected.dataSync(), (value) => value + 0) });
        });
      }
    }
  });

  test('a bias reaches every row', () => {
    // As shipped, tfjs's wasm backend adds its last number to all rows but the first of a transposed or batched product.
    tf.tidy(() => {
      undo = fastDense();
      const bias = tf.tensor1d([10, 20, 30]);
      for (const transposeA of flags) {
        for (const transposeB of flags) {
          const [a, b] = [tf.ones(transposeA ? [2, 100, 2] : [2, 2, 100]), tf.ones(transposeB ? [2, 3, 100] : [2, 100, 3])];
          const rows = tf.fused.matMul({ a, b, transposeA, transposeB, bias }).dataSync();
          expect(Array.from(rows)).toEqual([0, 1, 2, 3].flatMap(() => [110, 120, 130]));
        }
      }
    });
  });

  test.each<[string, number[]]>([
    ['one row', [1, 9]],
    ['a scalar', []],
    ['one number', [1]],
    ['a matrix', [12, 9]],
    ['a mismatch', [8]],
  ])('a bias of %s is as with tfjs', (_, shape) => {
    tf.tidy(() => {
      const [a, b, bias] = [whole([12, 10]) as tf.Tensor2D, whole([10, 9]) as tf.Tensor2D, whole(shape)];
      const { ours, theirs } = both(() => tf.fused.matMul({ a, b, bias }));
      expect(ours).toEqual(theirs);
    });
  });

  test('an unknown activation is refused as by tfjs', () => {
    tf.tidy(() => {
      const [a, b] = [whole([2, 3]) as tf.Tensor2D, whole([3, 2]) as tf.Tensor2D];
      const { ours, theirs } = both(() => tf.fused.matMul({ a, b, activation: 'tanh' as 'relu' }));
      expect(typeof theirs).toBe('string');
      expect(ours).toEqual(theirs);
    });
  });

  test.each([
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ])('gradients, transposed %s and %s', (transposeA, transposeB) => {
    tf.tidy(() => {
      const a = whole(transposeA ? [2, 20, 40] : [2, 40, 20]);
      const b = whole(transposeB ? [2, 33, 20] : [2, 20, 33]);
      const weight = whole([2, 40, 33]);
      const loss = (a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.mul(weight, tf.matMul(a, b, transposeA, transposeB)));
      for (const i of [0, 1]) {
        const { ours, theirs } = both(() => tf.grads(loss)([a, b])[i]);
        expect(ours).toEqual(theirs);
      }
      const fused = (a: tf.Tensor, b: tf.Tensor, bias: tf.Tensor) => tf.sum(tf.mul(weight, tf.fused.matMul({ a, b, bias, transposeB })));
      if (transposeA) return;
      for (const i of [0, 1, 2]) {
        const { ours, theirs } = both(() => tf.grads(fused)([a, b, whole([33])])[i]);
        expect(ours).toEqual(theirs);
      }
    });
  });

  test('weights that come again give the same, and new ones theirs', () => {
    tf.tidy(() => {
      undo = fastDense();
      const x = whole([2, 20]) as tf.Tensor2D;
      for (let i = 0; i < 2; i++) {
        const w = whole([20, 12]) as tf.Tensor2D;
        const expected = reference.dense({ m: 2, n: 12, k: 20, transposeA: false, transposeB: false }, x.dataSync(), w.dataSync());
        for (let again = 0; again < 3; again++) expectClose(tf.matMul(x, w).dataSync(), expected, 0);
      }
    });
  });

  test('operands are read before tfjs grows its memory for the result', () => {
    tf.tidy(() => {
      undo = fastDense();
      // Each result is larger than the memory tfjs started with.
      for (const size of [2048, 3000]) {
        const result = tf.matMul(tf.ones<tf.Rank.R2>([size, 1]), tf.fill<tf.Rank.R2>([1, size], 3));
        expect([tf.min(result).dataSync()[0], tf.max(result).dataSync()[0]]).toEqual([3, 3]);
      }
    });
  });

  test('leaves nothing behind, in tfjs or in our memory', () => {
    undo = fastDense();
    const step = () =>
      tf.tidy(() => {
        const [a, b] = [whole([2, 10, 20]), whole([2, 20, 30])];
        const bias = whole([30]);
        for (const activation of ['linear', 'relu', 'elu'] as const) tf.fused.matMul({ a, b, bias, activation });
        tf.grads((a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.matMul(a, b)))([a, b]);
      });
    step();
    const before = [tf.memory().numDataBuffers, tf.memory().numTensors, memory().liveBytes];
    for (let i = 0; i < 20; i++) step();
    expect([tf.memory().numDataBuffers, tf.memory().numTensors, memory().liveBytes]).toEqual(before);
  });

  test('takes tf.gather along, and gives it back', () => {
    const theirs = tf.getKernel(tf.GatherV2, backend);
    undo = fastDense();
    expect(tf.getKernel(tf.GatherV2, backend)).not.toBe(theirs);
    undo();
    expect(tf.getKernel(tf.GatherV2, backend)).toBe(theirs);
  });

  test('a model trains as it does without', async () => {
    const [xs, ys] = [tf.randomNormal([96, 20], 0, 1, 'float32', 1), tf.randomUniform([96, 3], 0, 1, 'float32', 2)];
    const train = async () => {
      const model = tfl.sequential();
      model.add(
        tfl.layers.dense({ units: 32, activation: 'relu', inputShape: [20], kernelInitializer: tfl.initializers.heNormal({ seed: 1 }) }),
      );
      model.add(tfl.layers.dense({ units: 24, activation: 'elu', kernelInitializer: tfl.initializers.heNormal({ seed: 2 }) }));
      model.add(tfl.layers.dense({ units: 3, kernelInitializer: tfl.initializers.heNormal({ seed: 3 }) }));
      const optimizer = tf.train.adam(0.01);
      model.compile({ optimizer, loss: 'meanSquaredError' });
      const { history } = await model.fit(xs, ys, { epochs: 5, batchSize: 32, shuffle: false, verbose: 0 });
      const result = [...(history['loss'] as number[]), ...model.getWeights().flatMap((w) => Array.from(w.dataSync()))];
      model.dispose();
      optimizer.dispose();
      return result;
    };
    const theirs = await train();
    undo = fastDense();
    const product = vi.spyOn(tf.getKernel(tf.BatchMatMul, backend), 'kernelFunc');
    expectClose(await train(), theirs, 1e-4);
    expect(product).toHaveBeenCalled();
    tf.dispose([xs, ys]);
  });
});
