// The shipped binary equals the naive truth, exactly: sums of small whole numbers are exact in any order.
// `npm test` runs this file once for each binary that the engine can load.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as kernels from '../../ts/wasm/kernels.js';
import '../../ts/wasm/load.node.js';
import { Random } from '../../ts/pattern/random.js';
import { memory, WasmArray } from '../../ts/wasm/memory.js';
import { bestVariant } from '../../ts/wasm/variant.js';
import { type Case, caseOf, cases, patternOf, reference, wholeNumbers } from '../support/cases.js';
import { backward, forward, numbersOf } from '../support/products.js';

const NO_DECAY = { forward: 0, rest: 0 };
/** -0 and 0 are the same number. */
const plain = (values: ArrayLike<number>) => Array.from(values, (v) => v + 0);
const each = (check: (one: Case) => void) => {
  for (const one of cases()) {
    check(one);
    kernels.releasePattern(one.pattern);
  }
};

test('the binary in use is the one that was asked for', () => {
  expect(memory().variant).toBe(process.env.TFJS_SPARSE_VARIANT || bestVariant());
});

test('forward', () => {
  each((one) => {
    for (const relu of [false, true]) {
      const { pattern, batch, x, values, bias } = one;
      expect(plain(forward(pattern, batch, x, values, bias, relu))).toEqual(plain(reference.forward(one, relu)));
    }
  });
});

test('a NaN goes through, with relu and without', () => {
  for (const batch of [1, 5, 16, 32]) {
    for (const relu of [false, true]) {
      const pattern = patternOf([1, 1], 2);
      const x = new Float32Array(2 * batch).fill(Number.NaN);
      const y = forward(pattern, batch, x, Float32Array.of(1, 1), Float32Array.of(0), relu);
      expect(Array.from(y), `batch ${batch}, relu ${relu}`).toEqual(new Array(batch).fill(Number.NaN));
      kernels.releasePattern(pattern);
    }
  }
});

/** A multiply-add of such a number takes some 150 cycles on Intel's processors. Times the largest ones they would still be seen in results. */
test('denormal numbers count as 0 where they come in', () => {
  const pattern = patternOf([1, 0, 0, 1], 2);
  const numbers = (value: number) => new Float32Array(2).fill(value);
  const [tiny, huge, nothing] = [numbers(1e-40), numbers(1e38), [0, 0]];
  const gradients = (x: Float32Array, values: Float32Array, dy: Float32Array) => {
    const { dx, dValues } = backward(pattern, 1, { x, values, dy, y: undefined }, true, NO_DECAY);
    return { dx: plain(dx ?? []), dValues: plain(dValues) };
  };
  expect(plain(forward(pattern, 1, tiny, huge, undefined, false))).toEqual(nothing);
  expect(plain(forward(pattern, 1, huge, tiny, undefined, false))).toEqual(nothing);
  expect(gradients(tiny, huge, huge).dValues).toEqual(nothing);
  expect(gradients(huge, tiny, huge).dx).toEqual(nothing);
  expect(gradients(huge, huge, tiny)).toEqual({ dx: nothing, dValues: nothing });
  expect(plain(kernels.gradientTopK(pattern, 1, huge, tiny, 2).gradients)).toEqual(nothing);
  kernels.releasePattern(pattern);
});

test('what one kernel hands on to the next is not denormal', () => {
  const pattern = patternOf([1], 1);
  const small = Float32Array.of(1e-20);
  expect(plain(forward(pattern, 1, small, small, undefined, true))).toEqual([0]);
  const decayed = backward(pattern, 1, { x: small, values: small, dy: Float32Array.of(0), y: undefined }, false, {
    forward: 1e-20,
    rest: 0,
  });
  expect(plain(decayed.dValues)).toEqual([0]);
  expect(plain(numbersOf(kernels.power(small, 2)))).toEqual([0]);
  expect(plain(numbersOf(kernels.powerGradient(small, small, 2)))).toEqual([0]);
  kernels.releasePattern(pattern);
});

test('columns in blocks that fit the first-level cache', () => {
  const [rows, cols] = [40, 800];
  const random = new Random(1);
  const one = caseOf(
    random,
    33,
    Uint8Array.from({ length: rows * cols }, () => Number(random.next() < 0.9)),
    cols,
  );
  const { pattern, batch, x, values, bias } = one;
  expect(plain(forward(pattern, batch, x, values, bias, true))).toEqual(plain(reference.forward(one, true)));
  kernels.releasePattern(pattern);
});

test('backward', () => {
  each((one) => {
    const { pattern, batch, x, values, dy, mask } = one;
    const expected = reference.backward(one);
    for (const wantDx of [true, false]) {
      const { dx, dValues, dBias } = backward(pattern, batch, { x, values, dy, y: undefined }, wantDx, NO_DECAY);
      expect(plain(dValues)).toEqual(plain(expected.dValues));
      expect(plain(dBias)).toEqual(plain(expected.dBias));
      expect(dx && plain(dx)).toEqual(wantDx ? plain(expected.dx) : undefined);
    }
    const { dValues } = backward(pattern, batch, { x, values, dy, y: undefined }, true, { forward: 2, rest: 8 });
    pattern.forEach((i, row, col) => {
      const factor = mask[row * pattern.cols + col] === 1 ? 2 : 8;
      expect(dValues[i] + 0).toBe(expected.dValues[i] + factor * values[i] + 0);
    });
  });
});

test('backward through relu', () => {
  each((one) => {
    const y = Float32Array.from(reference.forward(one, true));
    const masked = { ...one, dy: one.dy.map((g, i) => (y[i] > 0 ? g : 0)) };
    const expected = reference.backward(masked);
    const { pattern, batch, x, values, dy } = one;
    const got = backward(pattern, batch, { x, values, dy, y }, true, NO_DECAY);
    expect(plain(got.dx as Float32Array)).toEqual(plain(expected.dx));
    expect(plain(got.dValues)).toEqual(plain(expected.dValues));
    expect(plain(got.dBias)).toEqual(plain(expected.dBias));
  });
});

describe('dense', () => {
  const random = new Random(0x5eed);
  const flags = [false, true];
  const check = (m: number, n: number, k: number) => {
    for (const transposeA of flags) {
      for (const transposeB of flags) {
        const product = { m, n, k, transposeA, transposeB };
        const [a, b, bias] = [m * k, k * n, n].map((size) => wholeNumbers(random, size));
        const expected = reference.dense(product, a, b);
        expect(plain(kernels.dense(product, 1, a, b, undefined, false))).toEqual(plain(expected));
        const through = expected.map((sum, i) => Math.max(0, sum + bias[i % n]));
        expect(plain(kernels.dense(product, 1, a, b, bias, true))).toEqual(plain(through));
      }
    }
  };

  test('at the edges of tiles', () => {
    const edges = [0, 1, 3, 4, 5, 7, 8, 9, 13];
    for (const m of edges) for (const n of edges) for (const k of edges) check(m, n, k);
  });

  test.each([
    [255, 9, 5],
    [257, 9, 5],
    [515, 3, 513],
    [6, 63, 511],
    [12, 65, 512],
    [9, 130, 1027],
  ])('at the edges of blocks: %d×%d×%d', check);

  test('several, the fewer operands coming round', () => {
    const product = { m: 2, n: 3, k: 4, transposeA: false, transposeB: true };
    const [a, b] = [6 * 8, 2 * 12].map((size) => wholeNumbers(random, size));
    const expected = Array.from({ length: 6 }, (_, i) => reference.dense(product, a.slice(i * 8), b.slice((i % 2) * 12))).flat();
    expect(plain(kernels.dense(product, 6, a, b, undefined, false))).toEqual(plain(expected));
    const one = Array.from({ length: 6 }, (_, i) => reference.dense(product, a.slice(i * 8), b)).flat();
    expect(plain(kernels.dense(product, 6, a, b.slice(0, 12), undefined, false))).toEqual(plain(one));
  });
});

test('gradientTopK and gradientReduce', () => {
  each((one) => {
    const { pattern, batch, x, dy } = one;
    const outside = reference.outside(one);
    for (const k of [0, 1, 5, outside.length + 1]) {
      const { rows, cols, gradients } = kernels.gradientTopK(pattern, batch, x, dy, k);
      const expected = reference.topK(outside, k, ([, , g]) => g);
      expect(Array.from(rows, (row, i) => [row, cols[i], gradients[i] + 0])).toEqual(expected.map(([r, c, g]) => [r, c, g + 0]));
    }
    const sizes = outside.map(([, , g]) => Math.abs(g));
    const [sum, max, norm, count] = kernels.gradientReduce(pattern, batch, x, dy, 20);
    expect([sum, max, norm, count]).toEqual([
      sizes.reduce((a, b) => a + b, 0),
      Math.max(0, ...sizes),
      Math.sqrt(sizes.reduce((a, b) => a + b * b, 0)),
      sizes.filter((g) => g > 20).length,
    ]);
  });
});

describe('topK', () => {
  test('equals a full sort', () => {
    const bits = new Float32Array(1);
    const float = fc.integer().map((i) => {
      new Int32Array(bits.buffer)[0] = i;
      return Number.isNaN(bits[0]) ? 0 : bits[0];
    });
    fc.assert(
      fc.property(
        fc.array(fc.oneof(float, fc.integer({ min: -2, max: 2 })), { maxLength: 300 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (numbers, share) => {
          const values = Float32Array.from(numbers);
          const k = Math.floor(values.length * share);
          const expected = reference.topK(Array.from(values.keys()), k, (i) => values[i]);
          expect(Array.from(kernels.topK(values, k))).toEqual(expected);
        },
      ),
    );
  });

  test.each([65_536, 65_537, 200_001])('of %i values, which come in parts', (n) => {
    const values = Float32Array.from(wholeNumbers(new Random(3), n), (v, i) => v + (i % 1000) / 1e4);
    for (const k of [0, 1, n >> 1, n]) {
      const expected = reference.topK(Array.from(values.keys()), k, (i) => values[i]);
      expect(Array.from(kernels.topK(values, k))).toEqual(expected);
    }
  });

  test('refuses NaN by its index, and keeps nothing', () => {
    expect(() => kernels.topK(Float32Array.of(1, Infinity, Number.NaN), 1)).toThrow('expected numbers, received NaN at index 2');
    const values = new Float32Array(200_000).fill(1);
    kernels.topK(values, 0);
    const { liveBytes } = memory();
    values[150_000] = Number.NaN;
    for (let i = 0; i < 2; i++) expect(() => kernels.topK(values, 0)).toThrow('received NaN at index 150000');
    expect(memory().liveBytes).toBe(liveBytes);
  });
});

test('gradientTopK refuses a NaN by its place', () => {
  const pattern = patternOf([0, 0, 0, 0], 2);
  expect(() => kernels.gradientTopK(pattern, 1, Float32Array.of(1, Number.NaN), Float32Array.of(1, 1), 1)).toThrow('row 0, column 1');
});

test('more than 65 536 features and units', () => {
  const pattern = patternOf(
    Array.from({ length: 70_001 }, (_, i) => Number(i === 3 || i === 70_000)),
    70_001,
  );
  const x = new Float32Array(70_001);
  x[3] = 2;
  x[70_000] = 3;
  expect(Array.from(forward(pattern, 1, x, Float32Array.of(10, 100), undefined, false))).toEqual([320]);
  const tall = patternOf(
    Array.from({ length: 70_001 }, (_, i) => Number(i === 70_000)),
    1,
  );
  const dy = new Float32Array(70_001);
  dy[70_000] = 5;
  const operands = { x: Float32Array.of(2), values: Float32Array.of(3), dy, y: undefined };
  const { dx, dValues } = backward(tall, 1, operands, true, NO_DECAY);
  expect([dx?.[0], dValues[0]]).toEqual([15, 10]);
});

describe('optimizers', () => {
  const random = new Random(4);
  test.each([1, 3, 4, 5, 31])('are exact on %d whole numbers', (n) => {
    const [w, g] = [wholeNumbers(random, n), wholeNumbers(random, n)];
    expect(plain(numbersOf(kernels.sgd(w, g, 2)))).toEqual(plain(w.map((v, i) => v - 2 * g[i])));
    for (const nesterov of [false, true]) {
      const m = new WasmArray(n);
      m.floats.fill(3);
      const moved = g.map((g) => 2 * 3 + g);
      const along = nesterov ? g.map((g, i) => g + 2 * moved[i]) : moved;
      const got = numbersOf(kernels.momentum(w, g, m, { learningRate: 4, momentum: 2, nesterov }));
      expect(plain(got)).toEqual(plain(w.map((v, i) => v - 4 * along[i])));
      expect(plain(m.floats)).toEqual(plain(moved));
      m.free();
    }
  });

  test('Adam moves a slot by the learning rate in its first step, whatever its neighbours', () => {
    const state = { m: new WasmArray(3), v: new WasmArray(3), steps: new WasmArray(3) };
    state.steps.words.set([0, 1000, 0]);
    const constants = { learningRate: 1, beta1: 0.9, beta2: 0.999, epsilon: 0 };
    const w = numbersOf(kernels.adam(new Float32Array(3), Float32Array.of(5, 5, -5), state, constants));
    expect(w[0]).toBeCloseTo(-1, 5);
    expect(w[1]).toBeCloseTo(-0.1 / Math.sqrt(0.001 / (1 - 0.999 ** 1001)), 4);
    expect(w[2]).toBeCloseTo(1, 5);
    expect(Array.from(state.steps.words)).toEqual([1, 1001, 1]);
    for (const array of Object.values(state)) array.free();
  });
});

test('nothing stays behind in wasm memory', () => {
  const run = () => {
    each(({ pattern, batch, x, values, dy }) => {
      forward(pattern, batch, x, values, undefined, true);
      backward(pattern, batch, { x, values, dy, y: undefined }, true, NO_DECAY);
    });
    new WasmArray(1000).free();
  };
  run();
  const { liveBytes } = memory();
  for (let i = 0; i < 3; i++) run();
  expect(memory().liveBytes).toBe(liveBytes);
});

test('a freed array is not used again, and may be freed twice', () => {
  const array = new WasmArray(4);
  array.free();
  array.free();
  expect(() => array.floats).toThrow('freed');
});
