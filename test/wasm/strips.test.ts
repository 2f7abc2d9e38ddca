// Images in lanes: what goes in comes out, whatever is cut, and strips bring along what their windows see.

import { expect, test } from 'vitest';
import '../../ts/wasm/load.node.js';
import { Random } from '../../ts/pattern/random.js';
import { inputSize, outputSize, type Window, windowOver } from '../../ts/pattern/window.js';
import { carve, floats } from '../../ts/wasm/memory.js';
import { Cut, eachRows, LANES, packLanes, STAGE, together, unpackLanes } from '../../ts/wasm/strips.js';
import { wholeNumbers } from '../support/cases.js';

const windowOf = (height: number, kernel: number, stride: number, padding: 'same' | 'valid', width: number, filters: number): Window =>
  windowOver({ kernelSize: [kernel, 1], strides: [stride, 1], padding, dilationRate: [1, 1] }, [height, width], 2, filters);

/** Small images, and some of which one row of output is a step, or more than a piece. */
const WINDOWS = [
  ...[1, 5, 7, 14, 33].flatMap((height) =>
    [1, 3].flatMap((kernel) =>
      [1, 2].flatMap((stride) => (['same', 'valid'] as const).map((padding) => windowOf(height, kernel, stride, padding, 3, 2))),
    ),
  ),
  windowOf(7, 3, 1, 'same', 8, 400),
  windowOf(14, 3, 1, 'same', 8, 800),
  windowOf(100, 3, 1, 'same', 100, 16),
].filter((window) => window.outHeight > 0);

const cuts = WINDOWS.flatMap((window) => [1, 2, 4, 5, 9, 15, 16].map((images) => new Cut(window, 3, images)));

test('outputs, row by row', () => {
  const random = new Random(1);
  for (const cut of cuts) {
    const size = outputSize(cut.whole);
    const row = cut.whole.outWidth * cut.whole.filters;
    const [panel, stage] = carve(LANES * outputSize(cut.window), STAGE);
    // Nothing lies behind the last image.
    const y = wholeNumbers(random, (cut.first + cut.images) * size);
    const received = new Float32Array(y.length).fill(Number.NaN);
    for (let p = 0; p < cut.panels; p++) {
      const lanes = cut.outputs(p);
      packLanes(y, lanes, 0, outputSize(cut.window), panel, stage);
      eachRows(cut.window.outHeight, row, (first, count) => {
        unpackLanes(panel + 4 * LANES * first * row, lanes, first * row, (first + count) * row, received, false, stage);
      });
    }
    const name = `${cut.images} images in ${cut.strips} strips, ${JSON.stringify(cut.whole)}`;
    expect(received.subarray(0, cut.first * size).every(Number.isNaN), name).toBe(true);
    expect(received.subarray(cut.first * size).every((value, i) => value === y[cut.first * size + i])).toBe(true);
  }
});

test('strips see what images see, and zeros beyond', () => {
  const random = new Random(2);
  for (const cut of cuts) {
    const { whole, window, strips, first } = cut;
    const row = whole.width * whole.channels;
    const x = wholeNumbers(random, (first + cut.images) * inputSize(whole));
    const [panel, stage] = carve(LANES * inputSize(window), STAGE);
    for (let p = 0; p < cut.panels; p++) {
      const lanes = cut.inputs(p);
      packLanes(x, lanes, 0, inputSize(window), panel, stage);
      const held = floats(panel, LANES * inputSize(window));
      for (let lane = 0; lane < LANES; lane++) {
        const [image, strip] = [first + Math.floor((p * LANES + lane) / strips), (p * LANES + lane) % strips];
        for (let r = 0; r < window.height; r++) {
          const from = strips === 1 ? r : strip * window.outHeight * whole.strideHeight - whole.top + r;
          const inside = lane < lanes.length && from >= 0 && from < whole.height;
          const expected = inside ? x[image * inputSize(whole) + from * row] : 0;
          expect(held[LANES * r * row + lane]).toBe(expected + 0);
        }
      }
    }
  }
});

test('dX of strips adds up, that of images overwrites', () => {
  const cut = new Cut(windowOf(7, 3, 1, 'same', 3, 2), 0, 1);
  expect(cut.strips).toBeGreaterThan(1);
  const [panel, stage] = carve(LANES * inputSize(cut.window), STAGE);
  floats(panel, LANES * inputSize(cut.window)).fill(1);
  const dx = new Float32Array(inputSize(cut.whole));
  unpackLanes(panel, cut.inputs(0), 0, inputSize(cut.window), dx, true, stage);
  // How many strips see each row.
  const { whole, window, strips } = cut;
  const seen = Array.from({ length: 7 }, (_, r) => {
    const sees = (strip: number) => r >= strip * window.outHeight - whole.top && r < strip * window.outHeight - whole.top + window.height;
    return Array.from({ length: strips }, (_, strip) => Number(sees(strip))).reduce((a, b) => a + b, 0);
  });
  expect([...dx]).toEqual(seen.flatMap((count) => Array(6).fill(count)));
});

test('what passes relu, in several pieces', () => {
  const random = new Random(3);
  const cut = new Cut(windowOf(4, 1, 1, 'same', 50, 150), 0, 16);
  const size = outputSize(cut.whole);
  const [dy, y] = [wholeNumbers(random, 16 * size), wholeNumbers(random, 16 * size)];
  const [panel, stage] = carve(LANES * size, STAGE);
  packLanes(dy, cut.outputs(0), 0, size, panel, stage, y);
  const expected = Float32Array.from({ length: LANES * size }, (_, i) => {
    const own = (i % LANES) * size + Math.floor(i / LANES);
    return y[own] > 0 ? dy[own] : 0;
  });
  expect(floats(panel, LANES * size).every((value, i) => value === expected[i])).toBe(true);
});

test('rows that go together fit', () => {
  for (const [rows, size] of [
    [7, 3],
    [100, 1600],
    [5, 7000],
    [1, 1],
  ]) {
    const seen: number[] = [];
    eachRows(rows, size, (first, count) => {
      expect(count * size).toBeLessThanOrEqual(together(size, rows * size));
      for (let i = 0; i < count; i++) seen.push(first + i);
    });
    expect(seen).toEqual([...Array(rows).keys()]);
  }
});
