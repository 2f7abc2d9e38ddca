// The three products as shares of the multiply-add peak of the same process: whole calls, copies and packing included.

import { Random, randomPattern } from '../dist/index.js';
import * as kernels from '../dist/wasm/kernels.js';
import { check, interleaved, markdown, peakGflops, record } from './support.mjs';

const [ROWS, COLS] = [1024, 1024];

/** One output and one weight gradient by the definition. */
function checkAnswers(pattern, batch, { x, values, dy }, y, dValues) {
  const [sample, row] = [batch - 1, ROWS >> 1];
  let sum = 0;
  for (let i = pattern.rowOffsets[row]; i < pattern.rowOffsets[row + 1]; i++) sum += values[i] * x[sample * COLS + pattern.colIndices[i]];
  check(Math.abs(y[sample * ROWS + row] - Math.max(sum, 0)) < 1e-3, 'forward');
  const entry = pattern.rowOffsets[row];
  let gradient = 0;
  for (let b = 0; b < batch; b++) if (y[b * ROWS + row] > 0) gradient += dy[b * ROWS + row] * x[b * COLS + pattern.colIndices[entry]];
  check(Math.abs(dValues[entry] - gradient) < 1e-3, 'backward');
}

export async function run({ short }) {
  const how = short ? { warmup: 20, rounds: 20 } : { warmup: 150, rounds: 150 };
  const peak = peakGflops();
  const rows = [];
  const results = [];
  for (const batch of [64, 128]) {
    for (const density of short ? [0.1] : [0.01, 0.05, 0.1, 0.2, 0.5]) {
      const random = new Random(1);
      const numbers = (n) => Float32Array.from({ length: n }, () => random.next() - 0.5);
      const pattern = randomPattern(ROWS, COLS, Math.round(ROWS * COLS * density), 1);
      const operands = { x: numbers(batch * COLS), values: numbers(pattern.nnz), dy: numbers(batch * ROWS), y: undefined };
      const y = kernels.forward(pattern, batch, operands.x, operands.values, undefined, true).slice();
      operands.y = y;
      const none = { forward: 0, rest: 0 };
      checkAnswers(pattern, batch, operands, y, kernels.backward(pattern, batch, operands, true, none).dValues);
      const times = await interleaved(
        {
          forward: () => kernels.forward(pattern, batch, operands.x, operands.values, undefined, true),
          backward: () => kernels.backward(pattern, batch, operands, true, none),
          'backward, first layer': () => kernels.backward(pattern, batch, operands, false, none),
        },
        how,
      );
      const work = 2 * pattern.nnz * batch;
      const share = (name, products) => (products * work) / times[name].min / 1e6 / peak;
      const shares = { forward: share('forward', 1), backward: share('backward', 2), firstLayer: share('backward, first layer', 1) };
      results.push({ batch, density, times, shares });
      rows.push([batch, density, ...Object.values(shares).map((s) => `${(100 * s).toFixed(0)} %`)]);
      kernels.releasePattern(pattern);
    }
  }
  const text = `Whole calls on typed arrays (copy in, pack, product, unpack) at 1024×1024, share of the multiply-add peak of ${peak.toFixed(1)} GFLOP/s; minimum of ${how.rounds} rounds.\n\n${markdown(['batch', 'density', 'forward', 'backward', 'backward without dX'], rows)}`;
  console.log(text);
  if (!short) record('kernels', { peakGflops: peak, results }, text);
}
