// Sparse convolutions of the shipped binary equal the naive truth, exactly: sums of small whole numbers are exact in any order.

import { afterEach, describe, expect, test } from 'vitest';
import '../../ts/wasm/load.node.js';
import { Random } from '../../ts/pattern/random.js';
import { inputSize as inputOf, outputSize as outputOf, windowOver } from '../../ts/pattern/window.js';
import { backward, forward } from '../../ts/wasm/convolution.js';
import { releasePattern } from '../../ts/wasm/kernels.js';
import { memory } from '../../ts/wasm/memory.js';
import { setTile } from '../../ts/wasm/tiles.js';
import { patternOf, wholeNumbers } from '../support/cases.js';
import { forEachTap, windows } from '../support/windows.js';

const plain = (values: ArrayLike<number>) => Float32Array.from(values, (v) => v + 0);
/** 0, a few, some, all; a third of each in B∖A. */
const DENSITIES = [0, 0.05, 0.3, 1];
const BATCHES = [1, 15, 16, 17];

afterEach(() => setTile(undefined));

describe.each(['16x1', '32x1'] as const)('tile %s', (tile) => {
  test.each(BATCHES)('kernel, stride, dilation, padding and density, in a batch of %d', (batch) => {
    setTile(tile);
    const random = new Random(batch);
    let exploring = false;
    for (const window of windows()) {
      const x = wholeNumbers(random, batch * inputOf(window));
      const dy = wholeNumbers(random, batch * outputOf(window));
      const bias = wholeNumbers(random, window.filters);
      const size = window.kernelHeight * window.kernelWidth * window.channels * window.filters;
      const w = wholeNumbers(random, size);
      const dw = new Float32Array(size);
      forEachTap(window, batch, (atX, atW, atY) => {
        dw[atW] += x[atX] * dy[atY];
      });
      for (const density of DENSITIES) {
        exploring = !exploring;
        const mask = Array.from(w, () => (random.next() < density ? (exploring && random.below(3) === 0 ? 2 : 1) : 0));
        const pattern = patternOf(mask, window.filters);
        const flat = pattern.flat();
        const values = Float32Array.from(flat, (at) => w[at]);
        const y = Float32Array.from({ length: dy.length }, (_, i) => bias[i % window.filters]);
        const dx = new Float32Array(x.length);
        forEachTap(window, batch, (atX, atW, atY) => {
          if (mask[atW] !== 1) return;
          y[atY] += x[atX] * w[atW];
          dx[atX] += dy[atY] * w[atW];
        });
        const name = `${JSON.stringify(window)}, density ${density}`;
        const received = new Float32Array(y.length).fill(Number.NaN);
        forward(pattern, window, batch, x, values, bias, false, received);
        expect(plain(received), name).toEqual(plain(y));
        forward(pattern, window, batch, x, values, bias, true, received);
        expect(plain(received), name).toEqual(plain(y.map((v) => Math.max(v, 0))));
        const receivedDx = new Float32Array(x.length).fill(Number.NaN);
        const { dValues, dBias } = backward(pattern, window, batch, { x, values, y: undefined, dy }, receivedDx, { forward: 2, rest: 8 });
        expect(plain(receivedDx), name).toEqual(plain(dx));
        expect(plain(dValues.floats), name).toEqual(Float32Array.from(flat, (at) => dw[at] + (mask[at] === 1 ? 2 : 8) * w[at] + 0));
        const sums = bias.map((_, o) => dy.reduce((sum, g, i) => (i % window.filters === o ? sum + g : sum), 0));
        expect(plain(dBias.floats), name).toEqual(plain(sums));
        for (const used of [dValues, dBias]) used.free();
        releasePattern(pattern);
      }
    }
  });
});

test('backward through relu, and without dX', () => {
  const random = new Random(3);
  const window = windowOver({ kernelSize: [3, 2], strides: [2, 1], padding: 'same', dilationRate: [1, 2] }, [9, 6], 3, 5);
  const batch = 18;
  const pattern = patternOf(
    Array.from({ length: 18 * 5 }, () => random.below(2)),
    5,
  );
  const values = wholeNumbers(random, pattern.nnz);
  const [x, dy, y] = [inputOf, outputOf, outputOf].map((size) => wholeNumbers(random, batch * size(window)));
  const through = dy.map((g, i) => (y[i] > 0 ? g : 0));
  const expected = new Float32Array(90);
  forEachTap(window, batch, (atX, atW, atY) => {
    expected[atW] += x[atX] * through[atY];
  });
  const { dValues, dBias } = backward(pattern, window, batch, { x, values, y, dy }, undefined, { forward: 0, rest: 0 });
  expect(plain(dValues.floats)).toEqual(Float32Array.from(pattern.flat(), (at) => expected[at] + 0));
  expect(plain(dBias.floats)).toEqual(plain(dBias.floats.map((_, o) => through.reduce((sum, g, i) => (i % 5 === o ? sum + g : sum), 0))));
  for (const used of [dValues, dBias]) used.free();
  releasePattern(pattern);
});

test('images that pass in pieces and in several rows at a time', () => {
  const random = new Random(12);
  const firstDifference = (a: Float32Array, b: Float32Array) => a.findIndex((value, i) => value !== b[i]);
  // A row of x is several pieces, one of y several, rows go one at a time, several at a time; in the last, the last strip of five images is short.
  for (const [width, channels, filters] of [
    [90, 150, 1],
    [40, 5, 320],
    [61, 100, 120],
    [50, 30, 40],
    [30, 2, 240],
  ]) {
    const args = { kernelSize: [2, 3], strides: [1, 2], padding: 'same', dilationRate: [1, 1] } as const;
    const window = windowOver(args, [7, width], channels, filters);
    const size = 6 * channels * filters;
    const mask = Array.from({ length: size }, () => (random.next() < 400 / size ? 1 : 0));
    const pattern = patternOf(mask, filters);
    const flat = pattern.flat();
    const values = wholeNumbers(random, pattern.nnz);
    const w = new Float32Array(size);
    flat.forEach((at, i) => {
      w[at] = values[i];
    });
    const taps: [number, number, number][] = [];
    forEachTap(window, 1, (atX, atW, atY) => {
      if (mask[atW]) taps.push([atX, atW, atY]);
    });
    for (const batch of [2, 5, 16]) {
      const [x, dy, out] = [inputOf, outputOf, outputOf].map((of) => wholeNumbers(random, batch * of(window)));
      const [y, dx, dw] = [dy, x, w].map(({ length }) => new Float32Array(length));
      for (const [atX, atW, atY] of taps) {
        for (let b = 0; b < batch; b++) {
          const [from, to] = [b * inputOf(window) + atX, b * outputOf(window) + atY];
          y[to] += x[from] * w[atW];
          if (out[to] <= 0) continue;
          dx[from] += dy[to] * w[atW];
          dw[atW] += x[from] * dy[to];
        }
      }
      const [receivedY, receivedDx] = [y, dx].map(({ length }) => new Float32Array(length).fill(Number.NaN));
      forward(pattern, window, batch, x, values, undefined, false, receivedY);
      const { dValues, dBias } = backward(pattern, window, batch, { x, values, y: out, dy }, receivedDx, { forward: 0, rest: 0 });
      expect(firstDifference(receivedY, y)).toBe(-1);
      expect(firstDifference(receivedDx, dx)).toBe(-1);
      expect(plain(dValues.floats)).toEqual(Float32Array.from(flat, (at) => dw[at] + 0));
      const d = new Float32Array(filters);
      dy.forEach((g, i) => {
        if (out[i] > 0) d[i % filters] += g;
      });
      expect(plain(dBias.floats)).toEqual(plain(d));
      for (const used of [dValues, dBias]) used.free();
    }
    releasePattern(pattern);
  }
});

test('in one dimension, few sequences and many', () => {
  const random = new Random(6);
  for (const padding of ['same', 'valid'] as const) {
    for (const [stride, dilation] of [
      [1, 1],
      [2, 1],
      [3, 2],
    ]) {
      const args = { kernelSize: [1, 4], strides: [1, stride], padding, dilationRate: [1, dilation] } as const;
      const window = windowOver(args, [1, 37], 3, 5);
      const pattern = patternOf(
        Array.from({ length: 4 * 3 * 5 }, () => random.below(3)),
        5,
      );
      const [flat, values] = [pattern.flat(), wholeNumbers(random, pattern.nnz)];
      for (const batch of [1, 5, 16, 19]) {
        const [x, dy] = [inputOf, outputOf].map((size) => wholeNumbers(random, batch * size(window)));
        const inA = new Map<number, number>();
        pattern.forEach((i, _row, _col, a) => {
          if (a) inA.set(flat[i], i);
        });
        const [y, dx, dw] = [new Float32Array(dy.length), new Float32Array(x.length), new Float32Array(60)];
        forEachTap(window, batch, (atX, atW, atY) => {
          dw[atW] += x[atX] * dy[atY];
          const i = inA.get(atW);
          if (i === undefined) return;
          y[atY] += x[atX] * values[i];
          dx[atX] += dy[atY] * values[i];
        });
        const [receivedY, receivedDx] = [y, dx].map(({ length }) => new Float32Array(length).fill(Number.NaN));
        forward(pattern, window, batch, x, values, undefined, false, receivedY);
        const { dValues, dBias } = backward(pattern, window, batch, { x, values, y: undefined, dy }, receivedDx, { forward: 0, rest: 0 });
        expect(plain(receivedY)).toEqual(plain(y));
        expect(plain(receivedDx)).toEqual(plain(dx));
        expect(plain(dValues.floats)).toEqual(Float32Array.from(flat, (at) => dw[at] + 0));
        for (const used of [dValues, dBias]) used.free();
      }
      releasePattern(pattern);
    }
  }
});

test('wide strides and dilations take no more memory than there are taps', () => {
  const pattern = patternOf([1, 1, 1, 1, 1, 1, 1, 1, 1], 1);
  const run = (stride: number, dilation: number) => {
    const args = { kernelSize: [3, 3], strides: [stride, stride], padding: 'same', dilationRate: [dilation, dilation] } as const;
    const window = windowOver(args, [8, 8], 1, 1);
    const y = new Float32Array(outputOf(window));
    const x = new Float32Array(64).fill(1);
    forward(pattern, window, 1, x, new Float32Array(9).fill(1), undefined, false, y);
    const { dValues, dBias } = backward(pattern, window, 1, { x, values: y.slice(0, 9), y: undefined, dy: y }, x.slice(), {
      forward: 0,
      rest: 0,
    });
    for (const used of [dValues, dBias]) used.free();
    return y;
  };
  run(1, 1);
  const { liveBytes } = memory();
  expect(run(4000, 1)).toEqual(Float32Array.of(9));
  expect(run(1, 30_000)).toEqual(new Float32Array(64).fill(1));
  expect(memory().liveBytes - liveBytes).toBeLessThan(50_000);
  releasePattern(pattern);
});

test('memory stays: over steps, batches and image sizes', () => {
  const random = new Random(4);
  const pattern = patternOf(
    Array.from({ length: 9 * 4 * 6 }, () => random.below(2)),
    6,
  );
  const run = (size: number, batch: number) => {
    const window = windowOver({ kernelSize: [3, 3], strides: [1, 1], padding: 'same', dilationRate: [1, 1] }, [size, size + 1], 4, 6);
    const y = new Float32Array(batch * outputOf(window));
    const x = new Float32Array(batch * inputOf(window));
    const values = new Float32Array(pattern.nnz);
    forward(pattern, window, batch, x, values, undefined, true, y);
    const { dValues, dBias } = backward(pattern, window, batch, { x, values, y, dy: y }, x.slice(), { forward: 0, rest: 0 });
    for (const used of [dValues, dBias]) used.free();
  };
  const all = () => {
    for (const size of [12, 3, 4, 5, 6, 7, 8, 9]) for (const batch of [16, 1, 40]) run(size, batch);
  };
  all();
  const { liveBytes } = memory();
  for (let i = 0; i < 40; i++) all();
  expect(memory().liveBytes).toBe(liveBytes);
  releasePattern(pattern);
  expect(memory().liveBytes).toBeLessThan(liveBytes);
});
