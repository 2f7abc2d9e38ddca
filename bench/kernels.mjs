// The products as shares of the multiply-add peak of the same process: the kernels alone, and whole operations from row-major numbers to such.

import { Random, randomPattern } from '../dist/index.js';
import * as kernels from '../dist/wasm/kernels.js';
import { Panels } from '../dist/wasm/panels.js';
import { checkAnswers, inWasm, NONE, numbers, sharesOnPanels } from './products.mjs';
import { quietCosts } from './reference.mjs';
import { markdown, peakGflops, record } from './support.mjs';

const [ROWS, COLS] = [1024, 1024];

/** The kernels on panels, without what the backward pass does once per call. */
function alone(pattern, batch, ms) {
  const { forward, products, firstLayer } = sharesOnPanels(pattern, batch, ms, { firstLayer: true });
  return { forward, backward: products, firstLayer };
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
