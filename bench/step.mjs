// One training step of a perceptron, beside every dense rival in JavaScript, interleaved in one run.

import * as tf from '@tensorflow/tfjs-core';
import { data, sparseStep, WIDTHS } from './ours.mjs';
import * as jax from './rivals/jax.mjs';
import * as tfjs from './rivals/tfjs.mjs';
import { check, interleaved, markdown, record } from './support.mjs';

const DENSITY = 0.1;

export async function run({ short }) {
  tf.enableProdMode();
  const results = [];
  const tables = [];
  for (const optimizer of ['sgd', 'adam']) {
    for (const batch of short ? [64] : [64, 128]) {
      const { x, y } = data(batch);
      const dense = { widths: WIDTHS, optimizer, x, y };
      const steps = {
        'ours, wasm backend': await sparseStep({ backend: 'wasm', density: DENSITY, optimizer, x, y }),
        'ours, cpu backend': await sparseStep({ backend: 'cpu', density: DENSITY, optimizer, x, y }),
        'jax-js 0.1.25, wasm': await jax.denseStep(dense),
        'tfjs-wasm with fastDense()': await tfjs.denseStep({ ...dense, backend: 'wasm', fast: true }),
        'tfjs-wasm, routed to SIMD': await tfjs.denseStep({ ...dense, backend: 'wasm', route: true }),
        'tfjs-wasm as shipped': await tfjs.denseStep({ ...dense, backend: 'wasm' }),
        'tfjs-cpu': await tfjs.denseStep({ ...dense, backend: 'cpu' }),
      };
      const first = {};
      for (const [name, step] of Object.entries(steps)) first[name] = await step();
      // Three seconds each for the fast ones, so that the engine has compiled all of them for good.
      const quick = Object.fromEntries(Object.entries(steps).slice(0, 5));
      await interleaved(quick, { warmup: 0, rounds: 10, turn: short ? 30 : 300 });
      const times = await interleaved(steps, short ? { warmup: 0, rounds: 2, turn: 60 } : { warmup: 2, rounds: 10, turn: 120 });
      for (const [name, step] of Object.entries(steps)) {
        const last = await step();
        check(Number.isFinite(last) && last < first[name], `${name}: loss went from ${first[name]} to ${last}`);
      }
      const ours = times['ours, wasm backend'].median;
      results.push({ optimizer, batch, density: DENSITY, times });
      const rows = Object.entries(times).map(([name, t]) => [
        name,
        t.median.toFixed(2),
        t.min.toFixed(2),
        `${(t.median / ours).toFixed(1)}×`,
      ]);
      tables.push(`**${optimizer}, batch ${batch}**\n\n${markdown(['', 'median ms', 'min ms', 'against ours'], rows)}`);
      console.log(tables.at(-1), '\n');
    }
  }
  const text = `One training step of an MLP ${WIDTHS.join('-')}, ours at density ${DENSITY} in all layers and with fuseLoss(), the rivals dense; \`trainOnBatch\`, loss read back. tfjs-wasm as shipped runs both products of back-propagation in a scalar loop: compare with the routed row, and with \`fastDense()\`, which gives tfjs this package's dense kernel.\n\n${tables.join('\n\n')}`;
  if (!short) record('step', { widths: WIDTHS, results }, text);
}
