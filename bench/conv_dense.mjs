// Dense convolutions: the kernels as shares of the multiply-add peak of the same process, and what trainingKernels() gives tfjs's own kernels.

import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import { memory, Random, trainingKernels } from '../dist/index.js';
import { windowNumbers, windowOver } from '../dist/pattern/window.js';
import { imagesTogether } from '../dist/wasm/conv.js';
import { carve, floats } from '../dist/wasm/memory.js';
import * as rust from '../wasm/kernels.js';
import { quietCosts } from './reference.mjs';
import * as jax from './rivals/jax.mjs';
import { check, interleaved, markdown, peakGflops, record } from './support.mjs';

/** Images `batch × size² × channels`, kernels `kernel² × filters`; what a LeNet, a small ResNet and a MobileNet ask for. */
const SHAPES = [
  { batch: 64, size: 28, channels: 1, kernel: 5, filters: 20, stride: 1 },
  { batch: 64, size: 12, channels: 20, kernel: 5, filters: 50, stride: 1 },
  { batch: 32, size: 32, channels: 3, kernel: 3, filters: 32, stride: 1 },
  { batch: 32, size: 32, channels: 32, kernel: 3, filters: 32, stride: 1 },
  { batch: 32, size: 32, channels: 64, kernel: 3, filters: 64, stride: 1 },
  { batch: 32, size: 16, channels: 128, kernel: 3, filters: 128, stride: 1 },
  { batch: 32, size: 8, channels: 256, kernel: 3, filters: 256, stride: 1 },
  { batch: 32, size: 32, channels: 64, kernel: 3, filters: 128, stride: 2 },
  { batch: 32, size: 28, channels: 128, kernel: 1, filters: 256, stride: 1 },
];
const DEPTHWISE = [
  { batch: 32, size: 28, channels: 128, kernel: 3, stride: 1 },
  { batch: 32, size: 28, channels: 128, kernel: 3, stride: 2 },
  { batch: 32, size: 14, channels: 256, kernel: 5, stride: 1 },
];
const POOL = { batch: 32, size: 32, channels: 64, kernel: 2, stride: 2 };

const name = ({ batch, size, channels, kernel, filters, stride }) =>
  `${batch} × ${size}×${size}×${channels}, ${kernel}×${kernel}${filters ? `×${filters}` : ''}${stride > 1 ? `, stride ${stride}` : ''}`;

function windowOf({ size, kernel, stride, channels, filters }) {
  const args = { kernelSize: [kernel, kernel], strides: [stride, stride], padding: 'same', dilationRate: [1, 1] };
  return windowOver(args, [size, size], channels, filters);
}

/** Shares of peak of the three products, with packing, in our memory: of a group of images, which is how the operations call them. */
function kernels(shape, ms) {
  const window = windowOf(shape);
  const batch = Math.min(shape.batch, imagesTogether(window));
  const sizes = [
    window.height * window.width * window.channels * batch,
    window.kernelHeight * window.kernelWidth * window.channels * window.filters,
    window.outHeight * window.outWidth * window.filters * batch,
  ];
  const random = new Random(1);
  const [x, w, dy] = sizes.map((n) => Float32Array.from({ length: n }, () => random.next() - 0.5));
  const [atX, atW, atDy, atY, atDw, atDx] = carve(...sizes, sizes[2], sizes[1], sizes[0]);
  [x, w, dy].forEach((values, i) => {
    floats([atX, atW, atDy][i], values.length).set(values);
  });
  const numbers = windowNumbers(window);
  const runs = {
    forward: () => rust.convForward(numbers, batch, atX, atW, 0, false, atY),
    'input gradient': () => rust.convInputGradient(numbers, batch, atDy, atW, atDx),
    'filter gradient': () => rust.convFilterGradient(numbers, batch, atX, atDy, false, atDw),
  };
  for (const run of Object.values(runs)) run();
  // The three are one trilinear form of x, w and dy.
  const dot = (a, at) => floats(at, a.length).reduce((sum, value, i) => sum + value * a[i], 0);
  const [y, dx, dw] = [dot(dy, atY), dot(x, atDx), dot(w, atDw)];
  check(
    Math.abs(y - dx) < 1e-3 * (1 + Math.abs(y)) + 0.5 && Math.abs(y - dw) < 1e-3 * (1 + Math.abs(y)) + 0.5,
    `${y}, ${dx}, ${dw} of ${name(shape)}`,
  );
  const flops = (2 * sizes[2] * sizes[1]) / window.filters;
  const shares = Object.entries(quietCosts(runs, ms)).map(([name, cost]) => [name, flops / cost]);
  return { batch, shares: Object.fromEntries(shares) };
}

const call = (kernel, inputs, attrs) => tf.engine().runKernel(kernel, inputs, attrs);

/** Times of tfjs's kernels by name, as shipped and with ours; where tfjs-wasm has none, as shipped is its cpu backend, once. */
async function layer(runs, how) {
  const times = {};
  for (const [kernel, { inputs, attrs }] of Object.entries(runs)) {
    const run = () => call(kernel, inputs, attrs).dispose();
    const answer = () => tf.tidy(() => call(kernel, inputs, attrs).dataSync());
    await tf.setBackend(tf.getKernel(kernel, 'wasm') ? 'wasm' : 'cpu');
    const backend = tf.getBackend();
    // That of tfjs-wasm is wrong where all of a window is negative.
    if (kernel === tf.MaxPoolGrad) await tf.setBackend('cpu');
    const expected = answer();
    await tf.setBackend(backend);
    const shipped = (await interleaved({ run }, { warmup: 0, rounds: backend === 'cpu' ? 1 : Math.min(5, how.rounds) })).run.min;
    await tf.setBackend('wasm');
    const undo = trainingKernels();
    const received = answer();
    check(
      received.every((value, i) => Math.abs(value - expected[i]) <= 2e-3 * Math.max(1, Math.abs(expected[i]))),
      kernel,
    );
    const ours = (await interleaved({ run }, how)).run.min;
    undo();
    times[kernel] = { shipped, ours, backend };
  }
  return times;
}

function depthwiseRuns({ batch, size, channels, kernel, stride }) {
  const out = Math.ceil(size / stride);
  const inputShape = [batch, size, size, channels];
  const filterShape = [kernel, kernel, channels, 1];
  const [x, filter, dy] = [tf.randomNormal(inputShape), tf.randomNormal(filterShape), tf.randomNormal([batch, out, out, channels])];
  const attrs = { strides: stride, pad: 'same', dilations: 1, dataFormat: 'NHWC' };
  return {
    [tf.DepthwiseConv2dNativeBackpropInput]: { inputs: { dy, filter }, attrs: { ...attrs, inputShape } },
    [tf.DepthwiseConv2dNativeBackpropFilter]: { inputs: { x, dy }, attrs: { ...attrs, filterShape } },
  };
}

function convRuns({ batch, size, channels, kernel, filters, stride }, short) {
  const out = Math.ceil(size / stride);
  const inputShape = [batch, size, size, channels];
  const filterShape = [kernel, kernel, channels, filters];
  const [x, filter, dy] = [tf.randomNormal(inputShape), tf.randomNormal(filterShape), tf.randomNormal([batch, out, out, filters])];
  const attrs = { strides: stride, pad: 'same', dilations: 1, dataFormat: 'NHWC' };
  return {
    [tf.Conv2D]: { inputs: { x, filter }, attrs },
    [tf.Conv2DBackpropInput]: { inputs: { dy, filter }, attrs: { ...attrs, inputShape } },
    // tfjs's cpu backend needs minutes.
    ...(short && channels < 4 ? { [tf.Conv2DBackpropFilter]: { inputs: { x, dy }, attrs: { ...attrs, filterShape } } } : {}),
  };
}

function poolRuns({ batch, size, channels, kernel, stride }) {
  const input = tf.randomNormal([batch, size, size, channels]);
  const output = tf.maxPool(input, kernel, stride, 'same');
  const attrs = { filterSize: kernel, strides: stride, pad: 'same' };
  return {
    [tf.MaxPoolGrad]: { inputs: { dy: output, input, output }, attrs },
    [tf.AvgPoolGrad]: { inputs: { dy: output, input }, attrs },
  };
}

/** Forward, and both gradients, ms: tfjs with ours, as shipped on wasm and on cpu, and jax-js. The slow ones need seconds: few images, one run. */
async function rivals(short) {
  const shape = short
    ? { batch: 2, size: 8, channels: 16, kernel: 3, filters: 16, stride: 1 }
    : { batch: 4, size: 16, channels: 128, kernel: 3, filters: 128, stride: 1 };
  const { batch, size, channels, kernel, filters } = shape;
  const random = new Random(5);
  const numbers = (n) => Float32Array.from({ length: n }, () => random.next() - 0.5);
  const [images, weights] = [numbers(batch * size * size * channels), numbers(kernel * kernel * channels * filters)];
  const inputShape = [batch, size, size, channels];
  const filterShape = [kernel, kernel, channels, filters];
  const attrs = { strides: 1, pad: 'same', dilations: 1, dataFormat: 'NHWC' };
  const sum = (tensor) => tf.tidy(() => tf.sum(tensor).dataSync()[0]);
  const timed = async (run) => {
    const begin = performance.now();
    const results = [await run()].flat();
    const ms = performance.now() - begin;
    const sums = results.map((result) => (typeof result === 'number' ? result : sum(result)));
    tf.dispose(results.filter((result) => typeof result !== 'number'));
    return { ms, sums };
  };
  const best = async (run, times) => {
    let least = await timed(run);
    for (let i = 1; i < times; i++) {
      const next = await timed(run);
      if (next.ms < least.ms) least = next;
    }
    return least;
  };
  const onBackend = async (name, times, withFilter) => {
    await tf.setBackend(name);
    const [x, filter] = [tf.tensor(images, inputShape), tf.tensor(weights, filterShape)];
    const dy = tf.ones([batch, size, size, filters]);
    const forward = await best(() => call(tf.Conv2D, { x, filter }, attrs), times);
    const dx = () => call(tf.Conv2DBackpropInput, { dy, filter }, { ...attrs, inputShape });
    const dw = () => call(tf.Conv2DBackpropFilter, { x, dy }, { ...attrs, filterShape });
    const backward = await best(() => (withFilter ? [dx(), dw()] : [dx()]), times);
    tf.dispose([x, filter, dy]);
    return { forward, backward };
  };
  const undo = await tf.setBackend('wasm').then(trainingKernels);
  const ours = await onBackend('wasm', 20, true);
  undo();
  const other = await jax.convolution({ x: images, w: weights, ...shape });
  const results = {
    'tfjs-wasm, trainingKernels()': ours,
    'tfjs-wasm as shipped, without dW': await onBackend('wasm', 5, false),
    'tfjs cpu': await onBackend('cpu', 1, true),
    'jax-js, wasm': { forward: await best(other.forward, 2), backward: await best(other.backward, 2) },
  };
  for (const [rival, { forward, backward }] of Object.entries(results)) {
    const pairs = [...forward.sums.map((s) => [s, ours.forward.sums[0]]), ...backward.sums.map((s, i) => [s, ours.backward.sums[i]])];
    // Long sums in different orders.
    check(
      pairs.every(([a, b]) => Math.abs(a - b) < 0.5 + 1e-2 * Math.abs(b)),
      `${rival}: ${pairs.join('; ')}`,
    );
  }
  await tf.setBackend('wasm');
  return { shape, results };
}

export async function run({ short }) {
  const how = short ? { warmup: 1, rounds: 2 } : { warmup: 3, rounds: 30 };
  const small = (shape) => (short ? { ...shape, batch: 2 } : shape);
  const peak = peakGflops();
  const products = SHAPES.map(small).map((shape) => ({ shape, ...kernels(shape, short ? 20 : 450) }));
  await tf.setBackend('wasm');
  const layers = [];
  for (const [shapes, runsOf] of [
    [SHAPES, convRuns],
    [DEPTHWISE, depthwiseRuns],
    [[POOL], poolRuns],
  ]) {
    for (const shape of shapes.map(small)) {
      const runs = runsOf(shape, short);
      const times = await layer(runs, how);
      layers.push({ shape, times });
      tf.dispose(Object.values(runs).flatMap(({ inputs }) => Object.values(inputs)));
    }
  }
  const percent = (share) => `${(100 * share).toFixed(0)} %`;
  const kernelRows = products.map(({ shape, batch, shares }) => [name({ ...shape, batch }), ...Object.values(shares).map(percent)]);
  const layerRows = layers.flatMap(({ shape, times }) =>
    Object.entries(times).map(([kernel, { shipped, ours, backend }]) => [
      `${kernel} of ${name(shape)}`,
      `${shipped.toFixed(2)}${backend === 'cpu' ? ' (cpu)' : ''}`,
      ours.toFixed(2),
      `${(shipped / ours).toFixed(1)}×`,
    ]),
  );
  const others = await rivals(short);
  const rivalRows = Object.entries(others.results).map(([rival, { forward, backward }]) => [
    rival,
    forward.ms.toFixed(1),
    backward.ms.toFixed(1),
  ]);
  const text = [
    `Shares of the multiply-add peak of the same process (${peak.toFixed(1)} GFLOP/s, ${memory().variant}), products with padding counted; as many images as the operations have in wasm memory at once, measured with the core to ourselves.`,
    markdown(['', 'forward', 'input gradient', 'filter gradient'], kernelRows),
    "tfjs's kernels on its wasm backend, ms: as shipped (where it has none, on cpu, once) and after `trainingKernels()`, copies included.",
    markdown(['', 'as shipped', 'with ours', ''], layerRows),
    `Other libraries beside it, ms for ${name(others.shape)}; the slow ones once.`,
    markdown(['', 'forward', 'both gradients'], rivalRows),
  ].join('\n\n');
  console.log(text);
  if (!short) record('conv_dense', { peakGflops: peak, products, layers, rivals: others }, text);
}
