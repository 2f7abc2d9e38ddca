// Sparse convolutions as shares of the multiply-add peak of the same process, beside our own dense ones: the kernels alone, whole operations from tfjs's
// layout to tfjs's layout, and the density from which on a dense layer trains faster.

import { Random, randomPattern } from '../dist/index.js';
import { windowOver } from '../dist/pattern/window.js';
import { convFilterGradient, convForward, convInputGradient } from '../dist/wasm/conv.js';
import { backward, forward } from '../dist/wasm/convolution.js';
import { releasePattern } from '../dist/wasm/kernels.js';
import { WasmArray } from '../dist/wasm/memory.js';
import * as rust from '../wasm/kernels.js';
import { quietCosts } from './reference.mjs';
import { check, crossing, markdown, median, peakGflops, record } from './support.mjs';

/** Layers of LeNet-5's kind and of a VGG's: image, channels, kernel, filters, padding, stride, batch. */
const LAYERS = [
  [28, 1, 5, 20, 'valid', 1, 64],
  [12, 20, 5, 50, 'valid', 1, 64],
  [32, 64, 3, 64, 'same', 1, 32],
  [16, 128, 3, 128, 'same', 1, 32],
  [8, 256, 3, 256, 'same', 1, 32],
  [28, 128, 1, 256, 'same', 1, 32],
  [32, 64, 3, 128, 'same', 2, 32],
];
const MAIN = 3;
const NONE = { forward: 0, rest: 0 };

const numbers = (random, n) => Float32Array.from({ length: n }, () => random.next() - 0.5);

function layerOf([size, channels, kernel, filters, padding, stride, batch]) {
  const args = { kernelSize: [kernel, kernel], strides: [stride, stride], padding, dilationRate: [1, 1] };
  const window = windowOver(args, [size, size], channels, filters);
  const name = `${size}×${size}×${channels}, ${kernel}×${kernel}×${filters}${stride > 1 ? `, stride ${stride}` : ''}, batch ${batch}`;
  // Taps on the padding are no work.
  let inside = 0;
  for (let o = 0; o < window.outHeight; o++) {
    for (let k = 0; k < kernel; k++) inside += Number(o * stride + k - window.top >= 0 && o * stride + k - window.top < size);
  }
  const useful = (inside * inside) / (kernel * kernel);
  const random = new Random(1);
  const x = numbers(random, batch * size * size * channels);
  const dy = numbers(random, batch * window.outHeight * window.outWidth * filters);
  return { name, window, batch, useful, x, dy, size: kernel * kernel * channels * filters };
}

/** An output and a gradient by the definition. */
function checkAnswers({ window: w, batch, x, dy }, pattern, values, y, dValues) {
  const flat = pattern.flat();
  const at = (b, row, col, c) => ((b * w.height + row) * w.width + col) * w.channels + c;
  const tap = (position) => {
    const [of, filter] = [Math.floor(position / w.filters), position % w.filters];
    const [place, channel] = [Math.floor(of / w.channels), of % w.channels];
    return { filter, channel, down: Math.floor(place / w.kernelWidth) - w.top, right: (place % w.kernelWidth) - w.left };
  };
  const seen = (b, oy, ox, { down, right, channel }) => {
    const [row, col] = [oy * w.strideHeight + down, ox * w.strideWidth + right];
    return row < 0 || col < 0 || row >= w.height || col >= w.width ? 0 : x[at(b, row, col, channel)];
  };
  const [b, oy, ox, filter] = [batch - 1, w.outHeight >> 1, w.outWidth >> 1, 1];
  const out = (b, oy, ox, o) => ((b * w.outHeight + oy) * w.outWidth + ox) * w.filters + o;
  let sum = 0;
  flat.forEach((position, i) => {
    if (position % w.filters === filter) sum += values[i] * seen(b, oy, ox, tap(position));
  });
  check(Math.abs(y[out(b, oy, ox, filter)] - sum) < 1e-3, 'forward');
  const entry = pattern.nnz >> 1;
  const where = tap(flat[entry]);
  let gradient = 0;
  for (let b = 0; b < batch; b++) {
    for (let oy = 0; oy < w.outHeight; oy++) {
      for (let ox = 0; ox < w.outWidth; ox++) gradient += dy[out(b, oy, ox, where.filter)] * seen(b, oy, ox, where);
    }
  }
  check(Math.abs(dValues[entry] - gradient) < 1e-2, 'backward');
}

/** The part of the time of `run` that its calls of a product take, the median of many. */
function partOf(product, run, ms) {
  const { prototype } = rust.Convolution;
  const original = prototype[product];
  let inside = 0;
  prototype[product] = function (...args) {
    const begin = performance.now();
    original.apply(this, args);
    inside += performance.now() - begin;
  };
  const parts = [];
  try {
    for (const begin = performance.now(); performance.now() - begin < ms || parts.length < 9; ) {
      inside = 0;
      const before = performance.now();
      run();
      parts.push(inside / (performance.now() - before));
    }
  } finally {
    prototype[product] = original;
  }
  return median(parts);
}

/** Floating-point operations of the peak loop in the time of each. */
function sparseCosts(layer, density, ms) {
  const { window, batch, x, dy, size } = layer;
  const pattern = randomPattern(size / window.filters, window.filters, Math.round(size * density), 1);
  const own = numbers(new Random(2), pattern.nnz);
  const values = new WasmArray(pattern.nnz);
  values.floats.set(own);
  const [y, dx] = [new Float32Array(dy.length), new Float32Array(x.length)];
  const down = () => forward(pattern, window, batch, x, values, undefined, false, y);
  const up = () => backward(pattern, window, batch, { x, values, y: undefined, dy }, dx, NONE);
  const free = ({ dValues, dBias }) => {
    dValues.free();
    dBias.free();
  };
  down();
  const first = up();
  checkAnswers(layer, pattern, own, y, first.dValues.floats);
  free(first);
  // Until the tile is chosen.
  for (const begin = performance.now(), calls = { n: 0 }; performance.now() - begin < 400 || calls.n < 100; calls.n++) down();
  const runs = { down, up: () => free(up()) };
  const costs = quietCosts(runs, ms);
  const parts = { down: partOf('forward', runs.down, ms), up: partOf('backward', runs.up, ms) };
  values.free();
  releasePattern(pattern);
  const work = 2 * pattern.nnz * batch * layer.useful;
  return {
    forward: work / (costs.down * parts.down),
    backward: (2 * work) / (costs.up * parts.up),
    wholeForward: work / costs.down,
    wholeBackward: (2 * work) / costs.up,
    step: costs.down + costs.up,
  };
}

function denseStep({ window, batch, x, dy, size }, ms) {
  const w = numbers(new Random(3), size);
  const [y, dx] = [new Float32Array(dy.length), new Float32Array(x.length)];
  const costs = quietCosts(
    {
      forward: () => convForward(window, batch, x, w, undefined, false, y),
      inputs: () => convInputGradient(window, batch, dy, w, dx),
      filters: () => convFilterGradient(window, batch, x, dy).slice(),
    },
    ms,
  );
  return costs.forward + costs.inputs + costs.filters;
}

export async function run({ short }) {
  const ms = short ? 20 : 450;
  const peak = peakGflops();
  const results = [];
  const rows = [];
  for (const [i, shape] of LAYERS.entries()) {
    if (short && i !== 1) continue;
    const layer = layerOf(shape);
    const dense = denseStep(layer, ms);
    const densities = short ? [0.1] : i === MAIN ? [0.01, 0.05, 0.1, 0.2, 0.5, 0.8, 1] : [0.05, 0.1, 0.2, 0.5, 1];
    const points = densities.map((density) => ({ density, ...sparseCosts(layer, density, ms) }));
    const even = crossing(
      points.map(({ density, step }) => [density, step]),
      dense,
    );
    for (const { density, step, ...shares } of points) {
      const percent = Object.values(shares).map((share) => `${(100 * share).toFixed(0)} %`);
      rows.push([layer.name, density, ...percent, `${(dense / step).toFixed(1)}×`, even ? even.toFixed(2) : '> 1']);
    }
    results.push({ layer: layer.name, dense, points, even });
  }
  const head = ['layer', 'density', 'forward', 'backward', 'whole op: forward', 'backward', 'step against dense', 'even at density'];
  const text = `Share of the multiply-add peak of the same process (${peak.toFixed(1)} GFLOP/s); taps on the padding are no work. Whole operations go from tfjs's layout to tfjs's layout, x packed for both passes; measured with the core to ourselves. The kernels alone are the products within them, without copies, packing, sums of lanes and the order of weights: their median part of the operation's time. A dense step is our own forward product, dX and dW.\n\n${markdown(head, rows)}`;
  console.log(text);
  if (!short) record('conv_sparse', { peakGflops: peak, results }, text);
}
