// Bytes per weight that training holds, measured: beyond the values that tfjs holds.

import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-cpu';
import { layers, memory, optimizers } from '../dist/index.js';
import { patternBytesInWasm } from '../dist/topology/bytes.js';
import { check, markdown, record } from './support.mjs';

const WIDTHS = [784, 1024, 1024, 10];

async function trained(makeOptimizer, density) {
  const model = tfl.sequential();
  WIDTHS.slice(1).forEach((units, i) => {
    model.add(layers.dense({ units, density, useBias: false, seed: i, ...(i ? {} : { inputShape: [WIDTHS[0]] }) }));
  });
  const optimizer = makeOptimizer();
  model.compile({ optimizer, loss: 'meanSquaredError' });
  const [x, y] = [tf.ones([16, WIDTHS[0]]), tf.ones([16, 10])];
  for (let i = 0; i < 3; i++) await model.trainOnBatch(x, y);
  tf.dispose([x, y]);
  const free = () => {
    model.dispose();
    optimizer.dispose();
  };
  return { model, free };
}

export async function run({ short }) {
  await tf.setBackend('cpu');
  const rows = [];
  const results = [];
  const kinds = { sgd: () => optimizers.sgd(0.01), momentum: () => optimizers.momentum(0.01, 0.9), adam: () => optimizers.adam(0.001) };
  for (const [name, make] of Object.entries(kinds)) {
    for (const density of [0.01, 0.05, 0.1, 0.2]) {
      // Once before, so that working memory has its size and what remains is what this model holds.
      (await trained(make, density)).free();
      const before = memory().liveBytes;
      const { model, free } = await trained(make, density);
      const patterns = model.layers.map((layer) => layer.pattern);
      const inJs = patterns.flatMap((p) => [p.rowOffsets, p.rowSplits, p.colIndices]).reduce((sum, array) => sum + array.byteLength, 0);
      const nnz = patterns.reduce((sum, p) => sum + p.nnz, 0);
      // After a step of our optimizers the values are in wasm memory too.
      const inWasm = memory().liveBytes - before - 4 * nnz;
      const predicted = patterns.reduce((sum, p) => sum + patternBytesInWasm(p), 0) + nnz * { sgd: 0, momentum: 4, adam: 12 }[name];
      // Borders of the forward product's blocks, which not every pattern has: 8 bytes for 24 entries or more.
      const borders = nnz / 3;
      const [least, most] = [0.99 * predicted - 4096, 1.01 * predicted + 4096 + borders];
      check(inWasm > least && inWasm < most, `measured ${inWasm} bytes in wasm, the arrays add up to ${predicted}`);
      const perWeight = (inWasm + inJs) / nnz;
      results.push({ optimizer: name, density, nnz, bytesInWasm: inWasm, bytesInJs: inJs, perWeight });
      rows.push([name, density, nnz, perWeight.toFixed(2)]);
      free();
    }
  }
  const text = `Bytes per stored weight beyond the 4 of its value: patterns in JavaScript and wasm, and the optimizer's slots. MLP ${WIDTHS.join('-')}.\n\n${markdown(['optimizer', 'density', 'weights', 'bytes per weight'], rows)}`;
  console.log(text);
  if (!short) record('memory', { widths: WIDTHS, results }, text);
}
