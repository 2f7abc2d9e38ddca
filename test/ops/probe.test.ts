// What methods ask about the gradient of a convolution, against loops over everything.

import { describe, expect, test } from 'vitest';
import { unfolded } from '../../ts/methods/gse.js';
import { gradientAt, gradientNorm, Probe, steepest } from '../../ts/ops/probe.js';
import { CsrPattern } from '../../ts/pattern/csr.js';
import { Random } from '../../ts/pattern/random.js';
import { type Pair, type Window, windowOver } from '../../ts/pattern/window.js';
import { wholeNumbers } from '../support/cases.js';
import { expectClose } from '../support/tf.js';

const args = { kernelSize: [3, 2], strides: [2, 1], padding: 'same', dilationRate: [1, 2] } as const;
const [CHANNELS, FILTERS] = [2, 3];
const [ROWS, COLS] = [3 * 2 * CHANNELS, FILTERS];

interface Pass {
  window: Window;
  batch: number;
  x: Float32Array;
  dy: Float32Array;
}

function passOver(image: Pair, batch: number, random: Random): Pass {
  const window = windowOver(args, image, CHANNELS, FILTERS);
  const x = wholeNumbers(random, batch * image[0] * image[1] * CHANNELS);
  return { window, batch, x, dy: wholeNumbers(random, batch * window.outHeight * window.outWidth * FILTERS) };
}

/** The unfolded images, a row of taps for each output position, and dy beside it. */
function samplesOf({ window: w, batch, x, dy }: Pass): { taps: number[]; dy: number[] }[] {
  const samples = [];
  for (let b = 0; b < batch; b++) {
    for (let oy = 0; oy < w.outHeight; oy++) {
      for (let ox = 0; ox < w.outWidth; ox++) {
        const taps = Array.from({ length: ROWS }, (_, row) => {
          const [c, kw, kh] = [row % CHANNELS, Math.floor(row / CHANNELS) % 2, Math.floor(row / CHANNELS / 2)];
          const [iy, ix] = [oy * w.strideHeight + kh * w.dilationHeight - w.top, ox * w.strideWidth + kw * w.dilationWidth - w.left];
          if (iy < 0 || iy >= w.height || ix < 0 || ix >= w.width) return 0;
          return x[((b * w.height + iy) * w.width + ix) * CHANNELS + c];
        });
        const at = ((b * w.outHeight + oy) * w.outWidth + ox) * FILTERS;
        samples.push({ taps, dy: Array.from(dy.subarray(at, at + FILTERS)) });
      }
    }
  }
  return samples;
}

function gradientOf(passes: Pass[]): number[] {
  const gradient = new Array<number>(ROWS * COLS).fill(0);
  for (const { taps, dy } of passes.flatMap(samplesOf)) {
    for (let at = 0; at < gradient.length; at++) gradient[at] += taps[Math.floor(at / COLS)] * dy[at % COLS];
  }
  return gradient;
}

/** Two sizes of images, one of them twice. */
function seen(): { passes: Pass[]; probe: Probe } {
  const random = new Random(5);
  const passes = [passOver([4, 5], 2, random), passOver([7, 3], 1, random), passOver([4, 5], 3, random)];
  const probe = new Probe();
  for (const { window, batch, x, dy } of passes) {
    const [a, b] = [x.slice(), dy.slice()];
    probe.recordWindow({ ...window }, batch, a, b);
    // It has taken copies.
    a.fill(Number.NaN);
    b.fill(Number.NaN);
  }
  return { passes, probe };
}

describe('the record of a convolution', () => {
  test('joins images of one size, and has no single batch for several', () => {
    const { passes, probe } = seen();
    expect(probe.passes.map(({ batch, window }) => [batch, window?.height])).toEqual([
      [5, 4],
      [1, 7],
    ]);
    expect(Array.from(probe.passes[0].x)).toEqual([...passes[0].x, ...passes[2].x]);
    expect(Array.from(probe.passes[0].dy)).toEqual([...passes[0].dy, ...passes[2].dy]);
    expect(() => probe.samples).toThrow('images of several sizes');
    const one = new Probe();
    expect(one.samples).toBeUndefined();
    expect(one.whole).toBeUndefined();
    const [{ window, batch, x, dy }] = passes;
    one.recordWindow(window, batch, x, dy);
    expect(one.samples).toEqual({ window, batch, x, dy });
  });

  test('gradients at entries, their norm, and the steepest of the others', () => {
    const { passes, probe } = seen();
    const truth = gradientOf(passes);
    const taken = Uint32Array.from({ length: ROWS * COLS }, (_, i) => i).filter((i) => i % 3 === 1);
    const pattern = CsrPattern.fromFlat(ROWS, COLS, taken);
    expect(Array.from(gradientAt(pattern, probe))).toEqual(Array.from(taken, (i) => truth[i]));
    expectClose([gradientNorm(pattern, probe)], [Math.hypot(...truth)], 1e-6);
    const free = truth.map((_, i) => i).filter((i) => i % 3 !== 1);
    const order = free.sort((a, b) => Math.abs(truth[b]) - Math.abs(truth[a]) || a - b);
    for (const k of [0, 1, 7, order.length, 1000]) {
      const best = order.slice(0, k).sort((a, b) => a - b);
      const { positions, scores } = steepest(pattern, probe, k);
      expect(Array.from(positions)).toEqual(best);
      expect(Array.from(scores)).toEqual(best.map((i) => Math.abs(truth[i])));
    }
    const floor = Math.abs(truth[order[4]]);
    expect(steepest(pattern, probe, 9, floor).positions.length).toBe(order.filter((i) => Math.abs(truth[i]) >= floor).slice(0, 9).length);
  });

  test('another pass counts from then on', () => {
    const { passes, probe } = seen();
    const pattern = CsrPattern.fromFlat(ROWS, COLS, Uint32Array.of(0, 9));
    gradientAt(pattern, probe);
    const [{ window, batch, x, dy }] = passes;
    probe.recordWindow(window, batch, x, dy);
    const truth = gradientOf([...passes, passes[0]]);
    expect(Array.from(gradientAt(pattern, probe))).toEqual([truth[0], truth[9]]);
  });

  test('of equal gradients the lower index, and NaN throws', () => {
    const random = new Random(1);
    const { window, batch, x, dy } = passOver([4, 5], 1, random);
    const [zeros, sick] = [new Probe(), new Probe()];
    zeros.recordWindow(
      window,
      batch,
      x,
      dy.map(() => 0),
    );
    const pattern = CsrPattern.fromFlat(ROWS, COLS, Uint32Array.of(0, 2));
    expect(Array.from(steepest(pattern, zeros, 3).positions)).toEqual([1, 3, 4]);
    sick.recordWindow(
      window,
      batch,
      x,
      dy.map(() => Number.NaN),
    );
    expect(() => steepest(pattern, sick, 3)).toThrow('NaN');
  });
});

describe("GSE's weights of a convolution", () => {
  test('are sums over all taps and output positions', () => {
    const { passes, probe } = seen();
    const all = passes.flatMap(samplesOf);
    const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
    const [features, filters] = unfolded(probe.passes, ROWS, COLS, undefined);
    expect(Array.from(features)).toEqual(Array.from({ length: ROWS }, (_, row) => sum(all.map(({ taps }) => Math.abs(taps[row])))));
    expect(Array.from(filters)).toEqual(Array.from({ length: COLS }, (_, col) => sum(all.map(({ dy }) => Math.abs(dy[col])))));
  });

  test('under random signs, the same on both sides, one for each image and output position', () => {
    const pass = passOver([4, 5], 2, new Random(9));
    const probe = new Probe();
    probe.recordWindow(pass.window, pass.batch, pass.x, pass.dy);
    const [features, filters] = unfolded(probe.passes, ROWS, COLS, new Random(3));
    const random = new Random(3);
    const signs = samplesOf(pass).map(() => (random.next() < 0.5 ? -1 : 1));
    const sum = (of: (sample: { taps: number[]; dy: number[] }) => number) =>
      Math.abs(samplesOf(pass).reduce((total, sample, i) => total + signs[i] * of(sample), 0));
    expect(Array.from(features)).toEqual(Array.from({ length: ROWS }, (_, row) => sum(({ taps }) => taps[row])));
    expect(Array.from(filters)).toEqual(Array.from({ length: COLS }, (_, col) => sum(({ dy }) => dy[col])));
  });
});
