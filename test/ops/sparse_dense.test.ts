import { expect, test } from 'vitest';
import { ShapeError } from '../../ts/errors.js';
import { sparseDense } from '../../ts/ops/sparse_dense.js';
import { randomPattern } from '../../ts/pattern/random.js';
import { patternOf } from '../support/cases.js';
import { expectClose, onEachBackend, tf, variable } from '../support/tf.js';

const [BATCH, IN, OUT] = [7, 12, 9];
// A third of W stored, a third of that in B∖A.
const mask = Array.from({ length: OUT * IN }, (_, i) => [1, 0, 0, 2, 0, 1, 0][(i * 5) % 7]);
const pattern = patternOf(mask, IN);

/** Places values in a dense kernel [in, out], A alone or all of B, so that tf.matMul does the same. */
function denseKernel(values: tf.Tensor1D, all = false): tf.Tensor2D {
  const places: number[][] = [];
  const positions: number[] = [];
  pattern.forEach((i, row, col, inA) => {
    if (!inA && !all) return;
    places.push([col, row]);
    positions.push(i);
  });
  return tf.scatterND(tf.tensor2d(places, undefined, 'int32'), tf.gather(values, tf.tensor1d(positions, 'int32')), [IN, OUT]);
}

/** The entries of a dense [in, out] gradient that the pattern stores, in its order. */
function stored(dense: tf.Tensor2D): number[] {
  const all = dense.arraySync();
  const out: number[] = [];
  pattern.forEach((_, row, col) => {
    out.push(all[col][row]);
  });
  return out;
}

onEachBackend('sparseDense', () => {
  test.each([['linear'], ['relu']] as const)('value and gradients equal masked dense products (%s)', (activation) => {
    tf.tidy(() => {
      const x = tf.randomNormal<tf.Rank.R2>([BATCH, IN], 0, 1, 'float32', 1);
      const values = tf.randomNormal<tf.Rank.R1>([pattern.nnz], 0, 1, 'float32', 2);
      const bias = tf.randomNormal<tf.Rank.R1>([OUT], 0, 1, 'float32', 3);
      const weight = tf.randomNormal([BATCH, OUT], 0, 1, 'float32', 4);
      const sparse = (x: tf.Tensor, values: tf.Tensor, bias: tf.Tensor) =>
        tf.sum(
          tf.mul(
            weight,
            sparseDense({ x: x as tf.Tensor2D, values: values as tf.Tensor1D, bias: bias as tf.Tensor1D, pattern, activation }),
          ),
        );
      const act = activation === 'relu' ? tf.relu : tf.clone;
      const dense = (x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) =>
        tf.sum(tf.mul(weight, act(tf.add(tf.matMul(x as tf.Tensor2D, kernel as tf.Tensor2D), bias))));
      const kernel = denseKernel(values);
      expectClose(sparse(x, values, bias).dataSync(), dense(x, kernel, bias).dataSync());
      const [dx, dValues, dBias] = tf.grads(sparse)([x, values, bias]);
      const [dxDense, dKernel, dBiasDense] = tf.grads(dense)([x, kernel, bias]);
      expectClose(dx.dataSync(), dxDense.dataSync());
      expectClose(dValues.dataSync(), stored(dKernel as tf.Tensor2D));
      expectClose(dBias.dataSync(), dBiasDense.dataSync());
    });
  });

  test('gradients agree with finite differences', () => {
    tf.tidy(() => {
      const x = tf.randomNormal<tf.Rank.R2>([3, IN], 0, 1, 'float32', 1);
      const values = tf.randomNormal<tf.Rank.R1>([pattern.nnz], 0, 1, 'float32', 2);
      const loss = (v: tf.Tensor) => tf.sum(tf.square(sparseDense({ x, values: v as tf.Tensor1D, pattern })));
      const gradient = tf.grad(loss)(values).dataSync();
      const numbers = values.dataSync().slice() as Float32Array;
      const at = (i: number, h: number) => {
        const moved = numbers.slice();
        moved[i] += h;
        return loss(tf.tensor1d(moved)).dataSync()[0];
      };
      pattern.forEach((i, _row, _col, inA) => {
        // The loss does not see B∖A; its gradient is that at 0, by definition of the method.
        if (inA) expect((at(i, 0.01) - at(i, -0.01)) / 0.02).toBeCloseTo(gradient[i], 1);
      });
    });
  });

  test('decay joins the gradient of the values, one factor for A, one for the rest', () => {
    tf.tidy(() => {
      const x = tf.ones<tf.Rank.R2>([2, IN]);
      const values = tf.randomNormal<tf.Rank.R1>([pattern.nnz], 0, 1, 'float32', 2);
      const gradient = (decay?: { forward: number; rest: number }) =>
        tf
          .grad((v) => tf.sum(sparseDense({ x, values: v as tf.Tensor1D, pattern, ...(decay ? { decay } : {}) })))(values)
          .dataSync();
      const [plain, decayed, v] = [gradient(), gradient({ forward: 0.5, rest: 3 }), values.dataSync()];
      pattern.forEach((i, _row, _col, inA) => {
        expect(decayed[i]).toBeCloseTo(plain[i] + (inA ? 0.5 : 3) * v[i], 5);
      });
    });
  });

  test('the gradient of x is not computed where x is data, and one pass serves all gradients', async () => {
    const x = tf.randomNormal<tf.Rank.R2>([4, IN]);
    const values = variable(new Float32Array(pattern.nnz).fill(0.5));
    const bias = variable(new Float32Array(OUT));
    const profile = await tf.profile(() => {
      const { value, grads } = tf.variableGrads(() => tf.sum(sparseDense({ x, values, bias, pattern })));
      tf.dispose([value, grads]);
    });
    const shapes = profile.kernels.filter(({ name }) => name === 'sparseDenseGradient').map(({ outputShapes }) => outputShapes[0]);
    expect(shapes).toEqual([[pattern.nnz], [OUT]]);
    tf.dispose([x, values, bias]);
  });

  test('500 steps of gradients leave nothing behind', () => {
    const x = tf.randomNormal<tf.Rank.R2>([4, IN]);
    const values = variable(new Float32Array(pattern.nnz).fill(0.5));
    const optimizer = tf.train.sgd(0.01);
    const step = () => optimizer.minimize(() => tf.mean(tf.square(sparseDense({ x, values, pattern, activation: 'relu' }))));
    step();
    const before = tf.memory();
    for (let i = 0; i < 500; i++) step();
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(tf.memory().numBytes).toBe(before.numBytes);
    optimizer.dispose();
    tf.dispose([x, values]);
  });

  test('wrong shapes are refused with both numbers', () => {
    tf.tidy(() => {
      const values = tf.zeros<tf.Rank.R1>([pattern.nnz]);
      const x = tf.zeros<tf.Rank.R2>([2, IN]);
      const calls: [() => void, string][] = [
        [
          () => sparseDense({ x: tf.zeros<tf.Rank.R2>([2, 5]), values, pattern }),
          `sparseDense x: expected [batch, ${IN}], received [2, 5]`,
        ],
        [
          () => sparseDense({ x, values: tf.zeros<tf.Rank.R1>([3]), pattern }),
          `sparseDense values: expected [${pattern.nnz}], received [3]`,
        ],
        [() => sparseDense({ x, values, bias: tf.zeros<tf.Rank.R1>([3]), pattern }), `sparseDense bias: expected [${OUT}], received [3]`],
      ];
      for (const [call, message] of calls) {
        expect(call).toThrow(ShapeError);
        expect(call).toThrow(message);
      }
    });
  });

  test('what it cannot compute is refused', () => {
    tf.tidy(() => {
      const values = tf.zeros<tf.Rank.R1>([pattern.nnz]);
      const x = tf.zeros<tf.Rank.R2>([2, IN]);
      const words = tf.tensor2d(new Array(2 * IN).fill('a'), [2, IN]);
      expect(() => sparseDense({ x, values, pattern, activation: 'tanh' as 'relu' })).toThrow(
        `sparseDense activation: expected 'linear' or 'relu' (apply others to its output), received "tanh"`,
      );
      expect(() => sparseDense({ x: words, values, pattern })).toThrow(
        'sparseDense x: expected a tensor of real numbers, received "string"',
      );
    });
  });

  test('an empty batch gives an empty result', () => {
    tf.tidy(() => {
      const y = sparseDense({ x: tf.zeros<tf.Rank.R2>([0, IN]), values: tf.zeros<tf.Rank.R1>([pattern.nnz]), pattern });
      expect(y.shape).toEqual([0, OUT]);
    });
  });
});

test('one pattern serves batches of changing size, and two layers at once', async () => {
  await tf.setBackend('cpu');
  tf.tidy(() => {
    const shared = randomPattern(5, 6, 11, 1);
    const run = (batch: number, fill: number) =>
      sparseDense({ x: tf.ones<tf.Rank.R2>([batch, 6]), values: tf.fill<tf.Rank.R1>([11], fill), pattern: shared });
    const [small, large, other] = [run(1, 1), run(40, 1), run(1, 2)];
    expectClose(large.dataSync().slice(0, 5), small.dataSync());
    expectClose(other.dataSync(), tf.mul(small, 2).dataSync());
  });
});
