// Exact top-k by magnitude; the streamed top-k and reductions of a gradient against the dense product alone; the fused optimizers.

import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import { CsrPattern, Random, topK } from '../dist/index.js';
import * as kernels from '../dist/wasm/kernels.js';
import { WasmArray } from '../dist/wasm/memory.js';
import { check, interleaved, markdown, peakGflops, record, shareOfPeak } from './support.mjs';

export async function run({ short }) {
  const how = short ? { warmup: 3, rounds: 5 } : { warmup: 20, rounds: 40 };
  const random = new Random(2);
  const n = 1_000_000;
  const values = Float32Array.from({ length: n }, () => random.next() + random.next() + random.next() - 1.5);
  await tf.setBackend('wasm');
  const [signed, magnitudes] = [tf.tensor1d(values), tf.tensor1d(values.map(Math.abs))];
  const rows = [];
  const results = [];
  for (const k of [1, 100, 1000, 10_000, 100_000, 500_000]) {
    const found = kernels.topK(values, k).slice();
    const smallest = found.reduce((least, i) => Math.min(least, Math.abs(values[i])), Infinity);
    check(values.reduce((count, v) => count + Number(Math.abs(v) > smallest), 0) < k, 'topK');
    const times = await interleaved(
      {
        ours: () => kernels.topK(values, k),
        'as an op': () => tf.dispose(topK(signed, k)),
        'tf.topk on wasm': () => tf.tidy(() => tf.topk(magnitudes, k, false).indices.dataSync()),
      },
      // Long enough for what a rival's garbage and caches cost to be over.
      { ...how, turn: short ? 0 : 25 },
    );
    results.push({ n, k, times });
    const { min, median } = times.ours;
    rows.push([
      k,
      median.toFixed(2),
      (n / median / 1e6).toFixed(2),
      (n / min / 1e6).toFixed(2),
      times['as an op'].median.toFixed(2),
      times['tf.topk on wasm'].median.toFixed(1),
    ]);
  }
  tf.dispose([signed, magnitudes]);
  let text = `topK of ${n} values by magnitude, median ms; the indices from a typed array, and as an op with its values, tensor in, tensors out.\n\n${markdown(
    ['k', 'ours', 'G values/s', 'at best', 'op', 'tf.topk, wasm'],
    rows,
  )}`;

  const [batch, size] = [128, 1024];
  const empty = new CsrPattern({ cols: size, rowOffsets: new Uint32Array(size + 1), colIndices: new Uint16Array(0) });
  const [x, dy] = [0, 1].map(() => Float32Array.from({ length: batch * size }, () => random.next() - 0.5));
  const best = kernels.gradientTopK(empty, batch, x, dy, 1000);
  const gradient = (row, col) => {
    let sum = 0;
    for (let b = 0; b < batch; b++) sum += dy[b * size + row] * x[b * size + col];
    return sum;
  };
  check(Math.abs(best.gradients[7] - gradient(best.rows[7], best.cols[7])) < 1e-3, 'gradientTopK');
  const peak = peakGflops();
  const rivals = { 'the product alone': () => kernels.gradientProduct(size, size, batch, x, dy) };
  for (const k of [1, 1000, 31_000]) rivals[`top ${k}`] = () => kernels.gradientTopK(empty, batch, x, dy, k);
  rivals.reductions = () => kernels.gradientReduce(empty, batch, x, dy, 1);
  const times = await interleaved(rivals, how);
  const alone = times['the product alone'].min;
  const share = shareOfPeak(rivals['the product alone'], 2 * batch * size * size, short ? 20 : 300);
  const lines = Object.entries(times).map(([name, { min, median }]) => [
    name,
    median.toFixed(2),
    (min / alone).toFixed(2),
    `${((100 * share * alone) / min).toFixed(0)} %`,
  ]);
  text += `\n\nOf the gradient of a ${size}×${size} layer, batch ${batch}.\n\n${markdown(['', 'median ms', 'times the product', 'of the multiply-add peak'], lines)}`;

  // The peak does sixteen operations a cycle, two multiply-adds of four lanes, on the machines of our records.
  const gigahertz = peak / 16;
  const optimizers = await cycles(gigahertz, short, how, random);
  text += `\n\nFused optimizers, cycles a value at ${gigahertz.toFixed(2)} GHz (the peak over 16); new values in an array of their own.\n\n${markdown(
    ['values', ...Object.keys(optimizers[0].cycles)],
    optimizers.map((o) => [o.size, ...Object.values(o.cycles)]),
  )}`;
  console.log(text);
  if (!short) record('top_k', { results, gradient: { times, peakGflops: peak }, optimizers }, text);
}

/** Cycles a value of one step of each optimizer, at best. */
async function cycles(gigahertz, short, how, random) {
  const all = [];
  for (const size of short ? [10_000] : [10_000, 100_000, 1_000_000]) {
    // In training all of them are in wasm memory already.
    const arrays = ['values', 'gradients', 'm', 'v', 'steps', 'mixed'].map(() => new WasmArray(size));
    const [values, gradients, m, v, steps, mixed] = arrays;
    for (const array of [values, gradients]) array.floats.set(Float32Array.from({ length: size }, () => random.next() - 0.5));
    mixed.words.set(Uint32Array.from({ length: size }, () => 500 * random.next()));
    const constants = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 };
    const times = await interleaved(
      {
        sgd: () => kernels.sgd(values, gradients, 1e-3).free(),
        momentum: () => kernels.momentum(values, gradients, m, { learningRate: 1e-3, momentum: 0.9, nesterov: false }).free(),
        adam: () => kernels.adam(values, gradients, { m, v, steps }, constants).free(),
        'adam, ages mixed': () => kernels.adam(values, gradients, { m, v, steps: mixed }, constants).free(),
      },
      { ...how, turn: short ? 0 : 2 },
    );
    check(steps.words[size - 1] > 0 && steps.words[0] === steps.words[size - 1], 'adam counts its steps');
    all.push({
      size,
      times,
      cycles: Object.fromEntries(Object.entries(times).map(([name, { min }]) => [name, ((min * 1e6 * gigahertz) / size).toFixed(1)])),
    });
    for (const array of arrays) array.free();
  }
  return all;
}
