// Where sparse stops paying: one training step at rising density beside the fastest dense ones in JavaScript, jax-js and tfjs with our own fastDense(),
// until we lose.

import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import { data, sparseStep, WIDTHS } from './ours.mjs';
import * as jax from './rivals/jax.mjs';
import * as tfjs from './rivals/tfjs.mjs';
import { check, crossing, interleaved, markdown, record } from './support.mjs';

const JAX = 'jax-js 0.1.25, dense';
const FAST = 'tfjs-wasm with fastDense()';

export async function run({ short }) {
  tf.enableProdMode();
  await tf.setBackend('wasm');
  const results = [];
  const tables = [];
  for (const optimizer of short ? ['sgd'] : ['sgd', 'adam']) {
    for (const batch of short ? [64] : [64, 128]) {
      const { x, y } = data(batch);
      const dense = { widths: WIDTHS, optimizer, x, y };
      const steps = {
        [JAX]: await jax.denseStep(dense),
        [FAST]: await tfjs.denseStep({ ...dense, backend: 'wasm', fast: true, fused: true }),
      };
      const densities = short ? [0.1, 1] : [0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1];
      for (const density of densities) steps[density] = await sparseStep({ density, optimizer, x, y });
      const first = {};
      for (const [name, step] of Object.entries(steps)) first[name] = await step();
      await interleaved(steps, { warmup: 0, rounds: 2, turn: short ? 100 : 1000 });
      const times = await interleaved(steps, short ? { warmup: 0, rounds: 3, turn: 60 } : { warmup: 1, rounds: 10, turn: 150 });
      for (const [name, step] of Object.entries(steps)) {
        const last = await step();
        check(Number.isFinite(last) && last < first[name], `${name}: loss went from ${first[name]} to ${last}`);
      }
      const at = (rival, which) =>
        crossing(
          densities.map((d) => [d, times[d][which]]),
          times[rival][which],
        );
      const say = (rival) => `${at(rival, 'median')?.toFixed(2) ?? 'none'} (by minima ${at(rival, 'min')?.toFixed(2) ?? 'none'})`;
      const rows = [JAX, FAST, ...densities].map((name) => {
        const { median, min } = times[name];
        const gain = (rival) => `${(times[rival].median / median).toFixed(2)}×`;
        return [typeof name === 'string' ? name : `ours at ${name}`, median.toFixed(2), min.toFixed(2), gain(JAX), gain(FAST)];
      });
      results.push({ optimizer, batch, times, crossing: { jax: at(JAX, 'median') ?? null, fastDense: at(FAST, 'median') ?? null } });
      tables.push(
        `**${optimizer}, batch ${batch}**: crossing with jax-js ${say(JAX)}, with fastDense() ${say(FAST)}\n\n${markdown(['', 'median ms', 'min ms', 'jax-js / this', 'fastDense / this'], rows)}`,
      );
      console.log(tables.at(-1), '\n');
      for (const density of densities) steps[density].free();
    }
  }
  const text = `One training step of an MLP ${WIDTHS.join('-')}, ours (wasm backend) at one density in all layers beside dense ones; ours, and tfjs with fastDense(), with fuseLoss() as well; loss read back. Below 1× we lose. Crossing: the density at which a step takes as long as the dense one, on straight lines between those measured; none: ours is faster at every density.\n\n${tables.join('\n\n')}`;
  if (!short) record('crossing', { widths: WIDTHS, results }, text);
}
