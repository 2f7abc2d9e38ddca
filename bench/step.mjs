// One training step of a perceptron, beside every dense rival in JavaScript, interleaved in one run.

import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { layers, optimizers, Random } from '../dist/index.js';
import * as jax from './rivals/jax.mjs';
import * as tfjs from './rivals/tfjs.mjs';
import { check, interleaved, markdown, record } from './support.mjs';

const WIDTHS = [784, 1024, 1024, 10];
const DENSITY = 0.1;

function data(batch) {
  const random = new Random(3);
  const x = Float32Array.from({ length: batch * WIDTHS[0] }, () => random.next());
  const y = new Float32Array(batch * 10);
  for (let i = 0; i < batch; i++) y[i * 10 + (i % 10)] = 1;
  return { x, y };
}

async function sparseStep({ backend, density, optimizer, x, y }) {
  await tf.setBackend(backend);
  const model = tfl.sequential();
  WIDTHS.slice(1).forEach((units, i) => {
    const activation = i === WIDTHS.length - 2 ? 'softmax' : 'relu';
    model.add(
      layers.dense({ units, activation, density, kernelInitializer: 'heNormal', seed: i, ...(i ? {} : { inputShape: [WIDTHS[0]] }) }),
    );
  });
  const batch = x.length / WIDTHS[0];
  const [xs, ys] = [tf.tensor2d(x, [batch, WIDTHS[0]]), tf.tensor2d(y, [batch, 10])];
  checkAgainstDense(model, xs);
  model.compile({ optimizer: optimizer === 'sgd' ? optimizers.sgd(0.05) : optimizers.adam(0.001), loss: 'categoricalCrossentropy' });
  return async () => {
    await tf.setBackend(backend);
    return model.trainOnBatch(xs, ys);
  };
}

/** The first layer of the sparse network against a masked dense product of tfjs. */
function checkAgainstDense(model, xs) {
  tf.tidy(() => {
    const [layer] = model.layers;
    const dense = new Float32Array(WIDTHS[0] * WIDTHS[1]);
    const values = layer.values.dataSync();
    layer.pattern.forEach((i, row, col) => {
      dense[col * WIDTHS[1] + row] = values[i];
    });
    const expected = tf.relu(tf.matMul(xs, tf.tensor2d(dense, [WIDTHS[0], WIDTHS[1]])));
    const difference = tf.max(tf.abs(tf.sub(layer.apply(xs), expected))).dataSync()[0];
    check(difference < 1e-4, `sparse layer differs from a masked dense one by ${difference}`);
  });
}

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
  const text = `One training step of an MLP ${WIDTHS.join('-')}, ours at density ${DENSITY} in all layers, the rivals dense; \`trainOnBatch\`, loss read back. tfjs-wasm as shipped runs both products of back-propagation in a scalar loop: compare with the routed row, and with \`fastDense()\`, which gives tfjs this package's dense kernel.\n\n${tables.join('\n\n')}`;
  if (!short) record('step', { widths: WIDTHS, results }, text);
}
