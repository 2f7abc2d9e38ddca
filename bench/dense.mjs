// The dense product as a share of the multiply-add peak of the same process: the kernel with its packing, and whole calls on typed arrays.

import { Random } from '../dist/index.js';
import * as kernels from '../dist/wasm/kernels.js';
import { carve, floats } from '../dist/wasm/memory.js';
import * as rust from '../wasm/kernels.js';
import { check, interleaved, markdown, peakGflops, record } from './support.mjs';

/** What a training step asks for: forward, dX and dW; and a big square. */
const SHAPES = [
  { m: 64, n: 1024, k: 784 },
  { m: 128, n: 1024, k: 1024 },
  { m: 128, n: 1024, k: 1024, transposeB: true },
  { m: 1024, n: 1024, k: 128, transposeA: true },
  { m: 1024, n: 1024, k: 1024 },
].map((shape) => ({ transposeA: false, transposeB: false, ...shape }));

/** A few elements by the definition. */
function checkAnswer({ m, n, k, transposeA, transposeB }, a, b, c) {
  for (const [i, j] of [
    [0, 0],
    [m - 1, n - 1],
    [m >> 1, n >> 1],
  ]) {
    let sum = 0;
    for (let p = 0; p < k; p++) sum += (transposeA ? a[p * m + i] : a[i * k + p]) * (transposeB ? b[j * k + p] : b[p * n + j]);
    check(Math.abs(c[i * n + j] - sum) < 1e-3, `element ${i}, ${j} of ${m}×${n}×${k}`);
  }
}

export async function run({ short }) {
  const how = short ? { warmup: 3, rounds: 5 } : { warmup: 60, rounds: 100 };
  let peak = 0;
  const results = [];
  for (const shape of SHAPES) {
    const { m, n, k, transposeA, transposeB } = shape;
    const random = new Random(1);
    const [a, b] = [m * k, k * n].map((size) => Float32Array.from({ length: size }, () => random.next() - 0.5));
    checkAnswer(shape, a, b, kernels.dense(shape, 1, a, b, undefined, false));
    const [atA, atB, atC] = carve(a.length, b.length, m * n);
    floats(atA, a.length).set(a);
    floats(atB, b.length).set(b);
    // The machine's clock moves: the best of all is the peak.
    peak = Math.max(peak, peakGflops());
    const times = await interleaved({ kernel: () => rust.dense(m, n, k, transposeA, transposeB, atA, atB, 0, false, atC) }, how);
    Object.assign(times, await interleaved({ call: () => kernels.dense(shape, 1, a, b, undefined, false).slice() }, how));
    results.push({ ...shape, times });
  }
  const rows = results.map(({ m, n, k, transposeA, transposeB, times }) => {
    const share = ({ min }) => `${((200 * m * n * k) / min / 1e6 / peak).toFixed(0)} %`;
    const name = (x, y, transposed) => (transposed ? `[${y}, ${x}]ᵀ` : `[${x}, ${y}]`);
    return [`${name(m, k, transposeA)} · ${name(k, n, transposeB)}`, share(times.kernel), share(times.call)];
  });
  const text = `Share of the multiply-add peak of ${peak.toFixed(1)} GFLOP/s; minimum of ${how.rounds} rounds. The kernel packs its operands; a call also copies them in, and its result out.\n\n${markdown(['', 'kernel with packing', 'call'], rows)}`;
  console.log(text);
  if (!short) record('dense', { peakGflops: peak, results }, text);
}
