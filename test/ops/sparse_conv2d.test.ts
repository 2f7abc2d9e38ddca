import { expect, test } from 'vitest';
import { OptionError, ShapeError } from '../../ts/errors.js';
import { gradientAt, Probe } from '../../ts/ops/probe.js';
import { type SparseConv2dArgs, sparseConv2d } from '../../ts/ops/sparse_conv2d.js';
import { releasePattern } from '../../ts/ops/sparse_dense.js';
import { Random, randomPattern } from '../../ts/pattern/random.js';
import { windowOver } from '../../ts/pattern/window.js';
import { memory } from '../../ts/wasm/memory.js';
import { patternOf } from '../support/cases.js';
import { expectClose, onEachBackend, tf } from '../support/tf.js';
import { forEachTap } from '../support/windows.js';

const [BATCH, HEIGHT, WIDTH, CHANNELS, FILTERS] = [5, 6, 7, 3, 4];
const geometry = { kernelSize: [3, 2], strides: [2, 1], padding: 'same', dilationRate: [1, 2] } as const;
const window = windowOver(geometry, [HEIGHT, WIDTH], CHANNELS, FILTERS);
const random = new Random(5);
// A third of the kernel stored, a third of that in B∖A.
const mask = Array.from({ length: 3 * 2 * CHANNELS * FILTERS }, (_, i) => [1, 0, 0, 2, 0, 1, 0][(i * 5) % 7]);
const pattern = patternOf(mask, FILTERS);

const inA = new Set<number>();
pattern.forEach((i, _row, _col, a) => {
  if (a) inA.add(i);
});

const normal = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, 'float32', seed);
const operands = () => ({
  x: normal([BATCH, HEIGHT, WIDTH, CHANNELS], 1) as tf.Tensor4D,
  values: normal([pattern.nnz], 2) as tf.Tensor1D,
  bias: normal([FILTERS], 3) as tf.Tensor1D,
  weight: normal([BATCH, window.outHeight, window.outWidth, FILTERS], 4),
});

/** Output, and gradients of Σ weight·y, by the definition. */
function naive({ x, values, bias, weight }: ReturnType<typeof operands>, relu: boolean) {
  const [xs, vs, bs, ws] = [x, values, bias, weight].map((tensor) => tensor.dataSync());
  const stored = new Map([...pattern.flat()].map((at, i) => [at, i]));
  const y = Float64Array.from(ws, (_, i) => bs[i % FILTERS]);
  forEachTap(window, BATCH, (atX, atW, atY) => {
    const i = stored.get(atW);
    if (i !== undefined && inA.has(i)) y[atY] += xs[atX] * vs[i];
  });
  const dy = Float64Array.from(ws, (w, i) => (relu && y[i] <= 0 ? 0 : w));
  const [dx, dValues, dBias] = [new Float64Array(xs.length), new Float64Array(vs.length), new Float64Array(FILTERS)];
  forEachTap(window, BATCH, (atX, atW, atY) => {
    const i = stored.get(atW);
    if (i === undefined) return;
    dValues[i] += xs[atX] * dy[atY];
    if (inA.has(i)) dx[atX] += vs[i] * dy[atY];
  });
  dy.forEach((g, i) => {
    dBias[i % FILTERS] += g;
  });
  return { y: relu ? y.map((v) => Math.max(v, 0)) : y, dx, dValues, dBias };
}

onEachBackend('sparseConv2d', () => {
  test('a probe sees dy as it comes through relu', () => {
    tf.tidy(() => {
      const { x, values, bias, weight } = operands();
      const probe = new Probe();
      const loss = (values: tf.Tensor) => {
        const y = sparseConv2d({ x, values: values as tf.Tensor1D, bias, pattern, ...geometry, activation: 'relu', probe });
        return tf.sum(tf.mul(weight, y));
      };
      const dValues = tf.grad(loss)(values);
      expectClose(gradientAt(pattern, probe), dValues.dataSync());
      const y = naive({ x, values, bias, weight }, true).y;
      expect(probe.samples?.dy).toEqual(weight.dataSync().map((g, i) => (y[i] > 0 ? g : 0)));
    });
  });

  test.each(['linear', 'relu'] as const)('value and gradients equal the definition (%s)', (activation) => {
    tf.tidy(() => {
      const { x, values, bias, weight } = operands();
      const expected = naive({ x, values, bias, weight }, activation === 'relu');
      const conv = (x: tf.Tensor, values: tf.Tensor, bias: tf.Tensor) =>
        sparseConv2d({
          x: x as tf.Tensor4D,
          values: values as tf.Tensor1D,
          bias: bias as tf.Tensor1D,
          pattern,
          ...geometry,
          activation,
        });
      expectClose(conv(x, values, bias).dataSync(), expected.y);
      const [dx, dValues, dBias] = tf.grads((...all) => tf.sum(tf.mul(weight, conv(all[0], all[1], all[2]))))([x, values, bias]);
      expectClose(dx.dataSync(), expected.dx);
      expectClose(dValues.dataSync(), expected.dValues);
      expectClose(dBias.dataSync(), expected.dBias);
      expect(dx.shape).toEqual(x.shape);
    });
  });

  test('a whole pattern equals tf.conv2d', () => {
    tf.tidy(() => {
      const dense = randomPattern(3 * 3 * CHANNELS, FILTERS, 3 * 3 * CHANNELS * FILTERS, 1);
      const [x, values] = [normal([2, HEIGHT, WIDTH, CHANNELS], 1) as tf.Tensor4D, normal([dense.nnz], 2) as tf.Tensor1D];
      for (const [strides, padding] of [
        [1, 'same'],
        [2, 'same'],
        [2, 'valid'],
      ] as const) {
        const y = sparseConv2d({ x, values, pattern: dense, kernelSize: [3, 3], strides: [strides, strides], padding });
        const expected = tf.conv2d(x, tf.reshape(values, [3, 3, CHANNELS, FILTERS]), strides, padding);
        expect(y.shape).toEqual(expected.shape);
        expectClose(y.dataSync(), expected.dataSync());
      }
      releasePattern(dense);
    });
  });

  test('gradients of the values alone, without bias', () => {
    tf.tidy(() => {
      const { x, values, bias, weight } = operands();
      const expected = naive({ x, values, bias: tf.zerosLike(bias), weight }, false);
      const loss = (values: tf.Tensor) => tf.sum(tf.mul(weight, sparseConv2d({ x, values: values as tf.Tensor1D, pattern, ...geometry })));
      expectClose(tf.grad(loss)(values).dataSync(), expected.dValues);
    });
  });

  test('finite differences', () => {
    tf.tidy(() => {
      const { x, values, bias, weight } = operands();
      const loss = (x: tf.Tensor, values: tf.Tensor) =>
        tf.sum(tf.mul(weight, sparseConv2d({ x: x as tf.Tensor4D, values: values as tf.Tensor1D, bias, pattern, ...geometry })));
      const gradients = tf
        .grads(loss)([x, values])
        .map((g) => g.dataSync());
      [x, values].forEach((operand, which) => {
        for (let n = 0; n < 6; n++) {
          const at = random.below(operand.size);
          // What is not in A takes no part in the loss, though it has a gradient.
          if (which === 1 && !inA.has(at)) continue;
          const moved = (by: number) => {
            const numbers = operand.dataSync().slice();
            numbers[at] += by;
            const other = tf.tensor(numbers, operand.shape);
            return (which === 0 ? loss(other, values) : loss(x, other)).dataSync()[0];
          };
          // The loss is linear in each operand: a large step has no error but rounding.
          expect((moved(4) - moved(-4)) / 8).toBeCloseTo(gradients[which][at], 3);
        }
      });
    });
  });

  test('an empty batch: nothing but the decay', () => {
    tf.tidy(() => {
      const { values, bias } = operands();
      const loss = (values: tf.Tensor) =>
        tf.sum(
          sparseConv2d({
            x: tf.zeros([0, HEIGHT, WIDTH, CHANNELS]),
            values: values as tf.Tensor1D,
            bias,
            pattern,
            ...geometry,
            decay: { forward: 2, rest: 2 },
          }),
        );
      expectClose(tf.grad(loss)(values).dataSync(), tf.mul(values, 2).dataSync());
    });
  });

  test('1000 steps leave memory as it was', () => {
    const { x, values, bias, weight } = operands();
    const step = () =>
      tf.tidy(() => {
        const loss = (x: tf.Tensor, values: tf.Tensor, bias: tf.Tensor) =>
          tf.sum(
            tf.mul(
              weight,
              sparseConv2d({ x: x as tf.Tensor4D, values: values as tf.Tensor1D, bias: bias as tf.Tensor1D, pattern, ...geometry }),
            ),
          );
        tf.grads(loss)([x, values, bias]);
      });
    step();
    const before = [tf.memory().numTensors, memory().liveBytes];
    for (let i = 0; i < 1000; i++) step();
    expect([tf.memory().numTensors, memory().liveBytes]).toEqual(before);
    tf.dispose([x, values, bias, weight]);
  });

  test('shapes and options that do not fit', () => {
    tf.tidy(() => {
      const { x, values, bias } = operands();
      const run = (wrong: Partial<SparseConv2dArgs>) => () => sparseConv2d({ x, values, bias, pattern, ...geometry, ...wrong });
      expect(run({ x: tf.zeros([2, 6, 7, 2]) })).toThrow(
        new ShapeError('sparseConv2d x', ['batch', 'height', 'width', CHANNELS], [2, 6, 7, 2]),
      );
      expect(run({ x: tf.zeros([6, 7, 3]) as unknown as tf.Tensor4D })).toThrow(ShapeError);
      expect(run({ values: tf.zeros([3]) })).toThrow(new ShapeError('sparseConv2d values', [pattern.nnz], [3]));
      expect(run({ bias: tf.zeros([3]) })).toThrow(new ShapeError('sparseConv2d bias', [FILTERS], [3]));
      expect(run({ kernelSize: [5, 5] })).toThrow('sparseConv2d pattern: expected [25·channels, filters], received [18, 4]');
      expect(run({ kernelSize: [1.5, 12] })).toThrow(OptionError);
      expect(run({ strides: [0, 1] })).toThrow('sparseConv2d strides');
      expect(run({ padding: 'causal' as 'same' })).toThrow("sparseConv2d padding: expected 'same' or 'valid', received");
      expect(run({ dilationRate: [1, 2 ** 32] })).toThrow('sparseConv2d dilationRate: expected at most 65535');
      expect(run({ strides: [70_000, 1] })).toThrow('sparseConv2d strides: expected at most 65535');
      expect(run({ x: tf.zeros([1, 0, 7, 3]) })).toThrow("x with padding 'same': expected [batch, ≥ 1, ≥ 1, 3], received [1, 0, 7, 3]");
      const none = patternOf([], FILTERS);
      expect(run({ pattern: none, values: tf.zeros([0]), x: tf.zeros([1, 6, 7, 0]) })).toThrow('sparseConv2d pattern');
      expect(run({ padding: 'valid', x: tf.zeros([1, 2, 7, 3]) })).toThrow('expected [batch, ≥ 3, ≥ 3, 3], received [1, 2, 7, 3]');
    });
  });
});
