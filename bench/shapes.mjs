// Beyond the one network of `step`: a small one, a published one, cost against work, a layer too large for a dense one, the fixed cost, denormals.

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-wasm';
import { layers, memory, optimizers, Random, randomPattern } from '../dist/index.js';
import { fuseLoss } from '../dist/losses.js';
import * as kernels from '../dist/wasm/kernels.js';
import { WasmArray } from '../dist/wasm/memory.js';
import { Panels } from '../dist/wasm/panels.js';
import { data, sparseStep, WIDTHS } from './ours.mjs';
import * as jax from './rivals/jax.mjs';
import { check, interleaved, markdown, record } from './support.mjs';

const ms = (t) => `${t.median.toFixed(2)} (${t.min.toFixed(2)})`;
const ratio = (a, b) => `${(a.median / b.median).toFixed(2)}× (${(a.min / b.min).toFixed(2)}×)`;

/** Times steps in turns, and checks that each has learnt meanwhile. */
async function timed(steps, how, { warmup = 4 * how.turn } = {}) {
  const first = {};
  for (const [name, step] of Object.entries(steps)) first[name] = await step();
  await interleaved(steps, { warmup: 0, rounds: 2, turn: warmup / 2 });
  const times = await interleaved(steps, { warmup: 0, ...how });
  for (const [name, step] of Object.entries(steps)) {
    const last = await step();
    check(Number.isFinite(last) && last < first[name], `${name}: loss went from ${first[name]} to ${last}`);
  }
  return times;
}

async function lenet(short) {
  const widths = [784, 300, 100, 10];
  const { x, y } = data(64, widths);
  const ours = await sparseStep({ widths, density: 0.1, x, y });
  const steps = { ours, 'jax-js, dense': await jax.denseStep({ widths, optimizer: 'sgd', x, y }) };
  const times = await timed(steps, short ? { rounds: 5, turn: 40 } : { rounds: 20, turn: 150 }, { warmup: short ? 200 : 2000 });
  ours.free();
  const rows = Object.entries(times).map(([name, t]) => [name, ms(t), ratio(t, times.ours)]);
  return {
    results: times,
    text: `**LeNet-300-100**, batch 64, SGD, ours at density 0.1. Milliseconds per step, median (minimum).\n\n${markdown(['', 'ms', 'against ours'], rows)}`,
  };
}

/** Wesselink et al., arXiv 2407.17437: MLP for CIFAR-10, seconds per epoch of 50 000 samples; from the authors' logs, 4 threads of MKL. */
const NERVA = { 0.1: 7.39, 0.05: 4.9, 0.01: 2.86 };

async function nerva(short) {
  const widths = [3072, 1024, 512, 10];
  const [batch, samples] = [100, 50_000];
  const { x, y } = data(batch, widths);
  const steps = {};
  for (const density of short ? ['0.01'] : Object.keys(NERVA))
    steps[density] = await sparseStep({ widths, density: Number(density), optimizer: 'nesterov', rate: 0.001, x, y });
  const times = await timed(steps, short ? { rounds: 3, turn: 50 } : { rounds: 15, turn: 250 });
  const epoch = (t) => (t * samples) / batch / 1000;
  const rows = Object.entries(times).map(([density, { median, min }]) => [
    density,
    `${epoch(median).toFixed(2)} (${epoch(min).toFixed(2)})`,
    NERVA[density],
  ]);
  for (const step of Object.values(steps)) step.free();
  return {
    results: times,
    text: `**Nerva's network**, MLP ${widths.join('-')}, batch ${batch}, Nesterov momentum 0.9: seconds per epoch of ${samples} samples (${samples / batch} steps, made-up data), median (minimum); one thread of ours beside what Nerva's authors measured with four threads of MKL on another machine (arXiv 2407.17437).\n\n${markdown(['density', 'ours', 'Nerva, published'], rows)}`,
  };
}

/** Widths of 784-W-W-10 and densities for about `nnz` weights: at one density, or with so many connections for each unit. */
const families = {
  'density 0.1': (nnz) => {
    const width = Math.round((-794 + Math.sqrt(794 ** 2 + 40 * nnz)) / 2);
    return { widths: [784, width, width, 10], density: 0.1 };
  },
  '64 connections for each unit': (nnz) => {
    const width = Math.round(nnz / 128);
    return { widths: [784, width, width, 10], density: [784, width, width].map((inputs) => Math.min(1, 64 / inputs)) };
  },
};

/** t = fixed + slope·n, least squares of the relative errors. */
function line(points) {
  // Minimises Σ (f/t + s·n/t − 1)².
  let [a, b, c, d, e] = [0, 0, 0, 0, 0];
  for (const { n, t } of points) {
    const [u, v] = [1 / t, n / t];
    a += u * u;
    b += u * v;
    c += v * v;
    d += u;
    e += v;
  }
  const determinant = a * c - b * b;
  return { fixed: (d * c - b * e) / determinant, slope: (a * e - b * d) / determinant };
}

async function work(short) {
  const batch = 64;
  const sizes = short ? [1e4, 1e5] : [1e4, 3e4, 1e5, 3e5, 1e6, 3e6, 1e7];
  const rows = sizes.map((nnz) => [nnz.toExponential(0)]);
  const results = {};
  const verdicts = [];
  for (const [family, shape] of Object.entries(families)) {
    const steps = {};
    for (const nnz of sizes) {
      const { widths, density } = shape(nnz);
      // So many inputs to a unit ask for a small rate.
      steps[nnz] = await sparseStep({ widths, density, rate: 1e-3, ...data(batch, widths) });
    }
    const times = await timed(steps, short ? { rounds: 3, turn: 10 } : { rounds: 8, turn: 80 });
    const points = Object.entries(steps).map(([nnz, step]) => ({ n: step.nnz, t: times[nnz].min }));
    const { fixed, slope } = line(points);
    const off = points.map(({ n, t }) => t / (fixed + slope * n));
    results[family] = { points, fixed, slope, off };
    points.forEach(({ t }, i) => {
      rows[i].push(t.toFixed(3), off[i].toFixed(2));
    });
    const most = Math.max(...off.map((r) => Math.max(r, 1 / r)));
    verdicts.push(
      `${family}: ${fixed.toFixed(3)} ms + ${(1e6 * slope).toFixed(2)} ms per million weights; at most ${most.toFixed(2)}× off the line.`,
    );
    for (const step of Object.values(steps)) step.free();
  }
  const head = ['weights', ...Object.keys(families).flatMap((family) => [`ms, ${family}`, '/ line'])];
  return {
    results,
    text: `**Cost against work**, MLP 784-W-W-10 with growing W, batch ${batch}, SGD; minimum ms, and its ratio to a fitted line.\n\n${markdown(head, rows)}\n\n${verdicts.join('\n\n')}`,
  };
}

/** One layer whose dense matrix would hold 9e10 numbers. In a process of its own, whose memory is only this. */
async function largeLayer(size, nnz) {
  await tf.setBackend('wasm');
  const rss = () => process.memoryUsage().rss;
  const started = performance.now();
  const rssBefore = rss();
  const layer = layers.dense({ inputShape: [size], units: size, density: nnz / size / size, activation: 'relu', seed: 1 });
  const model = tfl.sequential({ layers: [layer] });
  const built = performance.now() - started;
  model.compile({ optimizer: optimizers.momentum(size / 10, 0.9), loss: 'meanSquaredError' });
  const random = new Random(1);
  const ones = (batch) => tf.ones([batch, size]);
  const times = {};
  let [live, rssThen] = [0, 0];
  for (const batch of [1, 16]) {
    const x = tf.tensor2d(
      Float32Array.from({ length: batch * size }, () => random.next()),
      [batch, size],
    );
    const y = ones(batch);
    const all = [];
    const losses = [];
    for (let i = 0; i < 12; i++) {
      const begin = performance.now();
      losses.push(await model.trainOnBatch(x, y));
      all.push(performance.now() - begin);
    }
    check(losses.at(-1) < losses[0], `loss of the large layer went from ${losses[0]} to ${losses.at(-1)}`);
    times[batch] = { min: Math.min(...all.slice(2)), median: all.slice(2).sort((a, b) => a - b)[5] };
    if (batch === 1) [live, rssThen] = [memory().liveBytes, rss()];
    tf.dispose([x, y]);
  }
  check(layer.pattern.nnz === nnz, `${layer.pattern.nnz} connections`);
  return { nnz, built, times, live, rss: { 1: rssThen - rssBefore, 16: rss() - rssBefore } };
}

function large(short) {
  const [size, nnz] = short ? [100_000, 200_000] : [300_000, 3_000_000];
  const child = execFileSync(process.execPath, [fileURLToPath(import.meta.url), String(size), String(nnz)], { encoding: 'utf8' });
  const result = JSON.parse(child.trim().split('\n').at(-1));
  const rows = [
    ['made in, s', (result.built / 1000).toFixed(2)],
    ...Object.entries(result.times).map(([batch, t]) => [`step at batch ${batch}, ms`, ms(t)]),
    ['bytes per connection in our wasm memory, batch 1', (result.live / nnz).toFixed(1)],
    ...[1, 16].map((batch) => [`bytes per connection in the process, batch ${batch}`, (result.rss[batch] / nnz).toFixed(1)]),
  ];
  return {
    results: result,
    text: `**A layer ${size}×${size}** with ${nnz} connections, momentum: its dense twin would hold ${((4 * size * size) / 1e9).toFixed(0)} GB of weights. Our wasm memory holds the pattern, the moments and the working memory of the largest call; the process also tensors, activations and garbage.\n\n${markdown(['', ''], rows)}`,
  };
}

/** The steps of `model.fit` as a rival: an epoch of `count` batches, its time shared out. */
function throughFit(model, widths, batch, count) {
  const { x, y } = data(batch, widths);
  const repeated = (values, width) => tf.tidy(() => tf.tile(tf.tensor2d(values, [batch, width]), [count, 1]));
  const [xs, ys] = [repeated(x, widths[0]), repeated(y, widths.at(-1))];
  const epoch = async () => (await model.fit(xs, ys, { batchSize: batch, epochs: 1, shuffle: false, verbose: 0 })).history.loss[0];
  const turn = async (ms) => {
    const spent = [];
    const start = performance.now();
    do {
      const begin = performance.now();
      await epoch();
      spent.push((performance.now() - begin) / count);
    } while (performance.now() - start < ms);
    return spent;
  };
  return Object.assign(epoch, { turn, free: () => tf.dispose([xs, ys]) });
}

/** Before a sparse layer replaces it. */
const gatherOfTfjs = tf.getKernel(tf.GatherV2, 'wasm');

/** What a step costs that has no work: next to tfjs with three layers of 8 units. */
async function fixed(short) {
  const tiny = [8, 8, 8, 10];
  const batch = 64;
  const dense = () => {
    const model = tfl.sequential();
    tiny.slice(1).forEach((units, i) => {
      const activation = i === 2 ? 'softmax' : 'relu';
      model.add(tfl.layers.dense({ units, activation, ...(i ? {} : { inputShape: [tiny[0]] }) }));
    });
    model.compile({ optimizer: tf.train.sgd(0.05), loss: 'categoricalCrossentropy' });
    return model;
  };
  const { x, y } = data(batch, tiny);
  const [xs, ys] = [tf.tensor2d(x, [batch, tiny[0]]), tf.tensor2d(y, [batch, 10])];
  const [model, fused] = [dense(), dense()];
  fuseLoss(fused);
  const steps = {
    'tfjs, 8-8-8-10, dense': () => model.trainOnBatch(xs, ys),
    'ours, 8-8-8-10 at density 0.5': await sparseStep({ widths: tiny, density: 0.5, x, y }),
    'ours, 784-1024-1024-10 at density 0.0005': await sparseStep({ widths: WIDTHS, density: 0.0005, ...data(batch) }),
  };
  const [tfjs, ...ours] = Object.keys(steps);
  steps['tfjs, 8-8-8-10, dense, with fuseLoss()'] = () => fused.trainOnBatch(xs, ys);
  const other = await sparseStep({ widths: WIDTHS, density: 0.0005, ...data(batch) });
  const trained = { [tfjs]: [dense(), tiny], [ours[1]]: [other.model, WIDTHS] };
  for (const [name, [model, widths]] of Object.entries(trained)) steps[`${name}, fit`] = throughFit(model, widths, batch, 20);
  const times = await timed(steps, short ? { rounds: 5, turn: 20 } : { rounds: 30, turn: 100 }, { warmup: short ? 200 : 2000 });
  // What fit does for each batch, which tfjs's wasm backend does number by number.
  const [whole, indices] = [tf.tile(tf.tensor2d(data(batch).x, [batch, WIDTHS[0]]), [20, 1]), tf.range(0, batch, 1, 'int32')];
  const gathers = { "a batch of 784 from the data, by tfjs's gather": gatherOfTfjs, 'by ours': tf.getKernel(tf.GatherV2, 'wasm') };
  for (const [name, kernel] of Object.entries(gathers)) {
    tf.unregisterKernel(tf.GatherV2, 'wasm');
    tf.registerKernel(kernel);
    Object.assign(
      times,
      await interleaved({ [name]: () => tf.dispose(tf.gather(whole, indices)) }, short ? { rounds: 20 } : { rounds: 300 }),
    );
  }
  tf.dispose([whole, indices]);
  const rows = Object.entries(times).map(([name, t]) => [
    name,
    `${t.median.toFixed(3)} (${t.min.toFixed(3)})`,
    name in gathers ? '' : (t.median - times[name.endsWith(', fit') ? `${tfjs}, fit` : tfjs].median).toFixed(3),
  ]);
  for (const name of Object.keys(steps)) steps[name].free?.();
  trained[tfjs][0].dispose();
  other.free();
  tf.dispose([xs, ys]);
  model.dispose();
  fused.dispose();
  return {
    results: times,
    text: `**Fixed cost** of a step (\`trainOnBatch\`, and of one in \`fit\`; batch ${batch}, SGD, wasm backend), milliseconds, median (minimum). Tensors and autograd are tfjs's in all rows; ours has \`fuseLoss()\`; batches of \`fit\` come by our gather in all, which sparse layers bring along.\n\n${markdown(['', 'ms', 'beyond tfjs'], rows)}`,
  };
}

const TINY = 1e-40;

/** wasm cannot tell a processor to flush denormals to zero: what they cost in each kernel. */
async function denormals(short) {
  const [size, batch] = [1024, 64];
  const random = new Random(1);
  const normal = (n) => Float32Array.from({ length: n }, () => random.next() + 0.5);
  const tiny = (n) => new Float32Array(n).fill(TINY);
  const fill = (number) => new Float32Array(nnz).fill(number);
  const pattern = randomPattern(size, size, Math.round(0.1 * size * size), 1);
  const { nnz } = pattern;
  const packed = (rows) => Panels.pack(rows, batch, size);
  const operands = { x: packed(normal(batch * size)), values: normal(nnz), dy: packed(normal(batch * size)), y: undefined };
  const small = { x: packed(tiny(batch * size)), values: tiny(nnz), dy: packed(tiny(batch * size)) };
  const none = { forward: 0, rest: 0 };
  const slot = (values) => {
    const array = new WasmArray(nnz);
    array.floats.set(values);
    return array;
  };
  const constants = { learningRate: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 };
  const adam = (gradient, m, v) => {
    const [slots, gradients] = [{ m: slot(fill(m)), v: slot(fill(v)), steps: new WasmArray(nnz) }, fill(gradient)];
    return () => kernels.adam(operands.values, gradients, slots, constants).free();
  };
  // 0.9·m rounds to m at the fourth of the smallest numbers: there the moments of a unit that died stay for ever.
  const silent = adam(0, 1e-3, 1e-6);
  for (let i = 0; i < 1000; i++) silent();
  const momentum = (numbers) => {
    const m = slot(numbers.map((g) => 10 * g));
    return () => kernels.momentum(operands.values, numbers, m, { learningRate: 0, momentum: 0.9, nesterov: false }).free();
  };
  const forward = (o) => () => kernels.forward(pattern, o.x, o.values, undefined, true).free();
  const backward = (o) => () => {
    for (const result of Object.values(kernels.backward(pattern, o, true, none))) result.free();
  };
  const [usual, rare] = [normal(nnz), tiny(nnz)];
  const samples = normal(batch * size);
  // Some are left to be told apart: where all gradients are 0, all are candidates.
  const rareSamples = samples.map((number, i) => (i % 2 ? number : TINY));
  const steepest = (dy) => () => kernels.gradientTopK(pattern, batch, samples, dy, 1000);
  /** @type {[string, () => unknown, () => unknown][]} */
  const pairs = [
    ['forward, activations', forward(operands), forward({ ...operands, x: small.x })],
    ['forward, weights', forward(operands), forward({ ...operands, values: small.values })],
    ['backward, activations', backward(operands), backward({ ...operands, x: small.x })],
    ['backward, weights', backward(operands), backward({ ...operands, values: small.values })],
    ['backward, gradients', backward(operands), backward({ ...operands, dy: small.dy })],
    ['gradientTopK, every other gradient', steepest(samples), steepest(rareSamples)],
    ['SGD, gradients', () => kernels.sgd(usual, usual, 0).free(), () => kernels.sgd(usual, rare, 0.1).free()],
    ['momentum, gradients and moments', momentum(usual), momentum(rare)],
    // The square of 1e-20 is denormal, as v is.
    ['Adam, first moments', adam(1, 1, 1), adam(TINY, TINY, 1)],
    ['Adam, second moments', adam(1, 1, 1), adam(1e-20, 1e-20, TINY)],
    ['Adam, gradients of 0 for 1000 steps', adam(1, 1, 1), silent],
  ];
  const y = kernels.forward(pattern, small.x, operands.values, undefined, true);
  check(y.unpack()[5] === 0, 'denormals came through');
  const runs = Object.fromEntries(
    pairs.flatMap(([name, a, b]) => [
      [`${name}: normal`, a],
      [`${name}: denormal`, b],
    ]),
  );
  const times = await interleaved(runs, short ? { warmup: 2, rounds: 4, turn: 4 } : { warmup: 5, rounds: 25, turn: 15 });
  const rows = pairs.map(([name]) => {
    const [a, b] = [times[`${name}: normal`], times[`${name}: denormal`]];
    return [name, `${a.median.toFixed(3)} (${a.min.toFixed(3)})`, `${b.median.toFixed(3)} (${b.min.toFixed(3)})`, ratio(b, a)];
  });
  for (const used of [y, operands.x, operands.dy, small.x, small.dy]) used.free();
  kernels.releasePattern(pattern);
  return {
    results: times,
    text: `**Denormals**: 1e-40 in place of ordinary numbers, layer ${size}×${size} at density 0.1, batch ${batch}. Milliseconds, median (minimum).\n\n${markdown(['kernel, what is denormal', 'ordinary', 'denormal', 'ratio'], rows)}`,
  };
}

export async function run({ short }) {
  tf.enableProdMode();
  await tf.setBackend('wasm');
  const parts = { lenet, nerva, work, large, fixed, denormals };
  const results = {};
  const texts = [];
  for (const [name, part] of Object.entries(parts)) {
    const { results: found, text } = await part(short);
    results[name] = found;
    texts.push(text);
    console.log(`${text}\n`);
  }
  if (!short) record('shapes', results, texts.join('\n\n'));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [size, nnz] = process.argv.slice(2).map(Number);
  console.log(JSON.stringify(await largeLayer(size, nnz)));
}
