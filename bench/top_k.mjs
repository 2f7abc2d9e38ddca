// Exact top-k by magnitude, and the streamed top-k of a gradient against the dense product it replaces.

import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import { CsrPattern, Random } from '../dist/index.js';
import * as kernels from '../dist/wasm/kernels.js';
import { check, interleaved, markdown, peakGflops, record } from './support.mjs';

export async function run({ short }) {
  const how = short ? { warmup: 3, rounds: 5 } : { warmup: 20, rounds: 40 };
  const random = new Random(2);
  const n = 1_000_000;
  const values = Float32Array.from({ length: n }, () => random.next() + random.next() + random.next() - 1.5);
  await tf.setBackend('wasm');
  const magnitudes = tf.tensor1d(values.map(Math.abs));
  const rows = [];
  const results = [];
  for (const k of [100, 10_000, 100_000, 500_000]) {
    const found = kernels.topK(values, k).slice();
    const smallest = found.reduce((least, i) => Math.min(least, Math.abs(values[i])), Infinity);
    check(values.reduce((count, v) => count + Number(Math.abs(v) > smallest), 0) < k, 'topK');
    const times = await interleaved(
      { ours: () => kernels.topK(values, k), 'tf.topk on wasm': () => tf.tidy(() => tf.topk(magnitudes, k, false).indices.dataSync()) },
      how,
    );
    results.push({ n, k, times });
    rows.push([k, times.ours.median.toFixed(2), (n / times.ours.median / 1e6).toFixed(2), times['tf.topk on wasm'].median.toFixed(1)]);
  }
  magnitudes.dispose();
  let text = `topK of ${n} values by magnitude, median ms.\n\n${markdown(['k', 'ours', 'G values/s', 'tf.topk, wasm'], rows)}`;

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
  const times = await interleaved(
    {
      topK: () => kernels.gradientTopK(empty, batch, x, dy, 1000),
      reduce: () => kernels.gradientReduce(empty, batch, x, dy, 1),
    },
    how,
  );
  const peak = peakGflops();
  const share = (name) => (2 * batch * size * size) / times[name].min / 1e6 / peak;
  text += `\n\nOf the gradient of a 1024×1024 layer, batch ${batch}: top 1 000 at ${(100 * share('topK')).toFixed(0)} % of the multiply-add peak (${times.topK.median.toFixed(2)} ms), reductions at ${(100 * share('reduce')).toFixed(0)} % (${times.reduce.median.toFixed(2)} ms).`;
  console.log(text);
  if (!short) record('top_k', { results, gradient: { times, peakGflops: peak } }, text);
}
