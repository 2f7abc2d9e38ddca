import { Random, randomPattern } from '../dist/index.js';
import { gradientTopK } from '../dist/wasm/kernels.js';

const r = new Random(1);
const g = () => Math.sqrt(-2 * Math.log(1 - r.next())) * Math.cos(2 * Math.PI * r.next());
const x = Float32Array.from({ length: 128 * 1024 }, g),
  dy = Float32Array.from({ length: 128 * 1024 }, g);
const p = randomPattern(1024, 1024, 104858, 1);
for (const k of [100, 1000, 10000, 31457, 100000]) {
  const t = [];
  for (let i = 0; i < 9; i++) {
    const b = performance.now();
    gradientTopK(p, 128, x, dy, k);
    t.push(performance.now() - b);
  }
  t.sort((a, b) => a - b);
  console.log(k, t[4].toFixed(2), ((2 * 1024 * 1024 * 128) / t[4] / 1e6).toFixed(1) + ' GF');
}
