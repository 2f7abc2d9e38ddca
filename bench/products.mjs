// What the benches of sparse products share: operands, and answers by the definition.

import { Random } from '../dist/index.js';
import * as kernels from '../dist/wasm/kernels.js';
import { WasmArray } from '../dist/wasm/memory.js';
import { Panels } from '../dist/wasm/panels.js';
import { quietCosts } from './reference.mjs';
import { check } from './support.mjs';

/** No decay of weights. */
export const NONE = { forward: 0, rest: 0 };

export const numbers = (random, n) => Float32Array.from({ length: n }, () => random.next() - 0.5);

export function inWasm(values) {
  const array = new WasmArray(values.length);
  array.floats.set(values);
  return array;
}

/** What an object holds. */
export const free = (results) => Object.values(results).forEach((result) => void result?.free());

/** One output, one weight's gradient and one input's by the definition. */
export function checkAnswers(pattern, batch) {
  const random = new Random(1);
  const { rows, cols, rowOffsets, colIndices } = pattern;
  const [x, values, dy] = [batch * cols, pattern.nnz, batch * rows].map((n) => numbers(random, n));
  const [packed, packedDy] = [Panels.pack(x, batch, cols), Panels.pack(dy, batch, rows)];
  const panels = kernels.forward(pattern, packed, values, undefined, true);
  const y = panels.unpack().slice();
  const { dx, dValues, dBias } = kernels.backward(pattern, { x: packed, values, y: panels, dy: packedDy }, true, NONE);
  const [sample, row] = [batch - 1, rows >> 1];
  const entry = rowOffsets[row];
  const col = colIndices[entry];
  const through = (b, r) => (y[b * rows + r] > 0 ? dy[b * rows + r] : 0);
  let [output, gradient, input] = [0, 0, 0];
  for (let i = entry; i < rowOffsets[row + 1]; i++) output += values[i] * x[sample * cols + colIndices[i]];
  for (let b = 0; b < batch; b++) gradient += through(b, row) * x[b * cols + col];
  for (let r = 0; r < rows; r++)
    for (let i = rowOffsets[r]; i < rowOffsets[r + 1]; i++) if (colIndices[i] === col) input += values[i] * through(sample, r);
  check(Math.abs(y[sample * rows + row] - Math.max(output, 0)) < 1e-3, 'forward');
  check(Math.abs(dValues.floats[entry] - gradient) < 1e-3, 'gradient of a weight');
  check(Math.abs(dx.unpack()[sample * cols + col] - input) < 1e-3, 'gradient of an input');
  free({ packed, packedDy, panels, dx, dValues, dBias });
}

/**
 * Products on panels as shares of the peak: `forward`; `backward`, a whole call; `products`, without what a call does once (weights in column order, sums of
 * lanes, gradients in row order), which falls out of the difference to twice the batch (of smaller ones what happens once is too large a part, and its noise);
 * and where `firstLayer`, this of a backward pass without dX.
 */
export function sharesOnPanels(pattern, batch, ms, { firstLayer = false } = {}) {
  const random = new Random(2);
  const { rows, cols, nnz } = pattern;
  const values = inWasm(numbers(random, nnz));
  const panels = (samples) => [cols, rows].map((features) => Panels.pack(numbers(random, samples * features), samples, features));
  const [[x, dy], [x2, dy2]] = [panels(batch), panels(2 * batch)];
  const backward = (x, dy, wantDx) => () => free(kernels.backward(pattern, { x, values, dy, y: undefined }, wantDx, NONE));
  const forward = () => kernels.forward(pattern, x, values, undefined, true).free();
  // Until the tile is chosen.
  for (let [calls, begin] = [0, performance.now()]; calls < 150 || performance.now() - begin < 300; calls++) forward();
  const costs = quietCosts(
    {
      forward,
      once: backward(x, dy, true),
      twice: backward(x2, dy2, true),
      ...(firstLayer && { onceWithoutDx: backward(x, dy, false), twiceWithoutDx: backward(x2, dy2, false) }),
    },
    ms,
  );
  free({ values, x, dy, x2, dy2 });
  const work = 2 * nnz * batch;
  return {
    forward: work / costs.forward,
    backward: (2 * work) / costs.once,
    products: (2 * work) / (costs.twice - costs.once),
    ...(firstLayer && { firstLayer: work / (costs.twiceWithoutDx - costs.onceWithoutDx) }),
  };
}
