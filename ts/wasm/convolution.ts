// Sparse convolutions as calls. A batch goes through working memory in groups of 16 images, so that what it takes does not grow with the batch, and those in
// rows: what is read or written once, x and dx or y, is packed and unpacked while it is in the caches.

import * as rust from '../../wasm/kernels.js';
import { OptionError } from '../errors.js';
import type { CsrPattern } from '../pattern/csr.js';
import { inputSize, outputSize, type Window, windowNumbers } from '../pattern/window.js';
import type { Decay } from './kernels.js';
import { carve, floats, type Numbers, placed, room, WasmArray } from './memory.js';
import { inWasm, whenReleased } from './patterns.js';
import { Cut, eachRows, LANES, packLanes, STAGE, together, unpackLanes } from './strips.js';
import { withTile } from './tiles.js';

/** Widths of image and output for which a pattern keeps its lists: a layer that sees more of them makes lists anew. A call uses two at once at most. */
const KEPT = 4;

const prepared = new WeakMap<CsrPattern, Map<string, rust.Convolution>>();

/** The lists of a pattern. They do not depend on heights. */
function listsOf(pattern: CsrPattern, window: Window): rust.Convolution {
  let known = prepared.get(pattern);
  if (!known) {
    known = new Map();
    prepared.set(pattern, known);
    whenReleased(pattern, () => releaseLists(pattern));
  }
  const { height, outHeight, top, left, ...rest } = window;
  const key = Object.values(rest).join();
  let lists = known.get(key);
  if (!lists) {
    const { channels, filters } = window;
    const most = 1 << 16;
    if (Math.max(channels, filters) > most)
      throw new OptionError('convolution channels and filters', `at most ${most}`, [channels, filters]);
    lists = new rust.Convolution(inWasm(pattern), windowNumbers(window));
  } else {
    known.delete(key);
  }
  // The latest last.
  known.set(key, lists);
  if (known.size > KEPT) {
    const [oldest, unused] = known.entries().next().value as [string, rust.Convolution];
    unused.free();
    known.delete(oldest);
  }
  return lists;
}

function releaseLists(pattern: CsrPattern): void {
  for (const lists of prepared.get(pattern)?.values() ?? []) lists.free();
  prepared.delete(pattern);
}

/** Runs `call` for each panel of each group of a batch. */
function eachPanel(window: Window, batch: number, call: (cut: Cut, panel: number) => void): void {
  for (let first = 0; first < batch; first += LANES) {
    const images = Math.min(LANES, batch - first);
    const cut = new Cut(turned(window, images), first, images);
    for (let panel = 0; panel < cut.panels; panel++) call(cut, panel);
  }
}

/** Images are cut into strips of rows where they are few. Those of a convolution in one dimension are one row: it is turned to a column. */
function turned(window: Window, images: number): Window {
  const { height, outHeight, kernelHeight } = window;
  if (images === LANES || height * outHeight * kernelHeight > 1) return window;
  return {
    ...window,
    height: window.width,
    width: 1,
    outHeight: window.outWidth,
    outWidth: 1,
    kernelHeight: window.kernelWidth,
    kernelWidth: 1,
    strideHeight: window.strideWidth,
    strideWidth: 1,
    dilationHeight: window.dilationWidth,
    dilationWidth: 1,
    top: window.left,
    left: 0,
  };
}

/** act(x ∗ W + bias) to `y [batch, outHeight, outWidth, filters]`, of `x [batch, height, width, channels]`. */
export function forward(
  pattern: CsrPattern,
  window: Window,
  batch: number,
  x: Float32Array,
  values: Numbers,
  bias: Numbers | undefined,
  relu: boolean,
  y: Float32Array,
): void {
  const [twin, { forwardNnz }] = [inWasm(pattern), pattern];
  // Rows of a window that is turned are shorter, but all of its image go together.
  const [atX, atY, ordered, stage, roomValues, roomBias] = carve(
    LANES * inputSize(window),
    LANES * together(window.outWidth * window.filters, outputSize(window)),
    forwardNnz,
    STAGE,
    room(values),
    room(bias),
  );
  const atBias = bias ? placed(bias, roomBias) : 0;
  rust.Convolution.forwardOrder(twin, placed(values, roomValues), ordered);
  const run = (tile: number) =>
    eachPanel(window, batch, (cut, panel) => {
      const lists = listsOf(pattern, cut.whole);
      const [numbers, outputs, row] = [windowNumbers(cut.window), cut.outputs(panel), cut.window.outWidth * window.filters];
      packLanes(x, cut.inputs(panel), 0, inputSize(cut.window), atX, stage);
      eachRows(cut.window.outHeight, row, (first, count) => {
        lists.forward(numbers, first, count, atX, ordered, atBias, atY, relu, tile);
        unpackLanes(atY, outputs, first * row, (first + count) * row, y, false, stage);
      });
    });
  // Tiles differ in how many neighbours in a row they take.
  if (turned(window, Math.min(batch, LANES)).outWidth === 1) run(0);
  else withTile('convolution', pattern, batch * window.outHeight * window.outWidth, run);
}

export interface BackwardOperands {
  x: Float32Array;
  values: Numbers;
  /** The layer's output, where it ended in relu. */
  y: Float32Array | undefined;
  dy: Float32Array;
}

/** All gradients of {@link forward} in one pass: that of x to `dx`, where there is one. */
export function backward(
  pattern: CsrPattern,
  window: Window,
  batch: number,
  { x, values, y, dy }: BackwardOperands,
  dx: Float32Array | undefined,
  decay: Decay,
): { dValues: WasmArray; dBias: WasmArray } {
  const [twin, { nnz, cols }] = [inWasm(pattern), pattern];
  const some = LANES * together(window.width * window.channels, inputSize(window));
  const [atX, atDx, atDy, ordered, partial, stage, roomValues] = carve(
    some,
    dx ? some : 0,
    LANES * outputSize(window),
    nnz,
    4 * nnz,
    STAGE,
    room(values),
  );
  const atValues = placed(values, roomValues);
  const [dValues, dBias] = [new WasmArray(nnz, false), new WasmArray(cols)];
  // A window that is turned meets the weights in the same order.
  const ofFirst = turned(window, Math.min(batch, LANES));
  const order = { lists: listsOf(pattern, ofFirst), numbers: windowNumbers(ofFirst) };
  order.lists.backwardOrder(twin, order.numbers, atValues, ordered);
  floats(partial, 4 * nnz).fill(0);
  eachPanel(window, batch, (cut, panel) => {
    const lists = listsOf(pattern, cut.whole);
    const [numbers, inputs, output] = [windowNumbers(cut.window), cut.inputs(panel), outputSize(cut.window)];
    packLanes(dy, cut.outputs(panel), 0, output, atDy, stage, y);
    rust.addBias(atDy, dBias.at, output / cols, cols);
    const [row, shared] = [cut.window.width * window.channels, cut.strips > 1];
    if (shared && panel === 0) dx?.fill(0, cut.first * inputSize(window), (cut.first + cut.images) * inputSize(window));
    eachRows(cut.window.height, row, (first, count) => {
      const [from, to] = [first * row, (first + count) * row];
      packLanes(x, inputs, from, to, atX, stage);
      lists.backward(numbers, first, count, atX, atDy, ordered, dx ? atDx : 0, partial);
      if (dx) unpackLanes(atDx, inputs, from, to, dx, shared, stage);
    });
  });
  order.lists.weightGradient(twin, order.numbers, partial, atValues, dValues.at, decay.forward, decay.rest);
  return { dValues, dBias };
}
