// The products as shares of the multiply-add peak of the same process: the kernels alone, and whole operations from row-major numbers to such.

import { Random, randomPattern } from '../dist/index.js';
import * as kernels from '../dist/wasm/kernels.js';
import { Panels } from '../dist/wasm/panels.js';
import { checkAnswers, free, inWasm, NONE, numbers } from './products.mjs';
import { quietCosts } from './reference.mjs';
import { markdown, peakGflops, record } from './support.mjs';

const [ROWS, COLS] = [1024, 1024];

/** The kernels on panels. What the backward pass does once per call (weights in column order, sums of lanes, gradients in row order) falls out of the difference of two batches. */
function alone(pattern, batch, ms) {
  const random = new Random(2);
  const values = inWasm(numbers(random, pattern.nnz));
  const panels = (b, features) => Panels.pack(numbers(random, b * features), b, features);
  const [x, dy] = [panels(2 * batch, COLS), panels(2 * batch, ROWS)];
  const [half, halfDy] = [panels(batch, COLS), panels(batch, ROWS)];
  const backward = (operands, wantDx) => () => free(kernels.backward(pattern, { values, y: undefined, ...operands }, wantDx, NONE));
  const work = 2 * pattern.nnz * batch;
  const [once, twice] = [
    { x: half, dy: halfDy },
    { x, dy },
  ];
  const runs = {
    forward: () => kernels.forward(pattern, half, values, undefined, true).free(),
    backward: backward(once, true),
    backwardTwice: backward(twice, true),
    firstLayer: backward(once, false),
    firstLayerTwice: backward(twice, false),
  };
  const costs = quietCosts(runs, ms);
  const shares = {
    forward: work / costs.forward,
    backward: (2 * work) / (costs.backwardTwice - costs.backward),
    firstLayer: work / (costs.firstLayerTwice - costs.firstLayer),
  };
  for (const used of [x, dy, half, halfDy, values]) used.free();
  return shares;
}

/** From row-major numbers to row-major numbers: copy in, pack, product, unpack, copy out. In training, x is packed once for both passes and stays. */
function whole(pattern, batch, ms) {
  const random = new Random(3);
  const [x, dy] = [numbers(random, batch * COLS), numbers(random, batch * ROWS)];
  const [outY, outDx, outValues] = [new Float32Array(batch * ROWS), new Float32Array(batch * COLS), new Float32Array(pattern.nnz)];
  const values = inWasm(numbers(random, pattern.nnz));
  const work = 2 * pattern.nnz * batch;
  const forward = () => {
    const packed = Panels.pack(x, batch, COLS);
    const y = kernels.forward(pattern, packed, values, undefined, true);
    outY.set(y.unpack());
    packed.free();
    y.free();
  };
  const packed = Panels.pack(x, batch, COLS);
  const backward = (wantDx) => () => {
    const packedDy = Panels.pack(dy, batch, ROWS);
    const { dx, dValues, dBias } = kernels.backward(pattern, { x: packed, values, y: undefined, dy: packedDy }, wantDx, NONE);
    if (dx) outDx.set(dx.unpack());
    outValues.set(dValues.floats);
    for (const used of [packedDy, dx, dValues, dBias]) used?.free();
  };
  const costs = quietCosts({ forward, backward: backward(true), firstLayer: backward(false) }, ms);
  const shares = { forward: work / costs.forward, backward: (2 * work) / costs.backward, firstLayer: work / costs.firstLayer };
  packed.free();
  values.free();
  return shares;
}

export async function run({ short }) {
  const ms = short ? 20 : 300;
  const peak = peakGflops();
  const results = [];
  const rows = [];
  for (const batch of short ? [128] : [64, 128]) {
    for (const density of short ? [0.1] : [0.01, 0.05, 0.1, 0.2, 0.5]) {
      const pattern = randomPattern(ROWS, COLS, Math.round(ROWS * COLS * density), 1);
      checkAnswers(pattern, batch);
      const result = { batch, density, alone: alone(pattern, batch, ms), whole: whole(pattern, batch, ms) };
      results.push(result);
      const cells = [result.alone, result.whole].flatMap((shares) => Object.values(shares));
      rows.push([batch, density, ...cells.map((share) => `${(100 * share).toFixed(0)} %`)]);
      kernels.releasePattern(pattern);
    }
  }
  const head = ['batch', 'density', 'forward', 'backward', 'without dX', 'whole op: forward', 'backward', 'without dX'];
  const text = `Products of a layer 1024×1024, share of the multiply-add peak of the same process (${peak.toFixed(1)} GFLOP/s). First the kernels alone; then whole operations from row-major numbers to row-major numbers: copies, packing, unpacking, sums of lanes and reordering included. Measured with the core to ourselves.\n\n${markdown(head, rows)}`;
  console.log(text);
  if (!short) record('kernels', { peakGflops: peak, results }, text);
}
