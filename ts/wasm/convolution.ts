// Sparse convolutions as calls: a batch goes through working memory in groups of 16 images, so that what it takes does not grow with the batch.

import * as rust from '../../wasm/kernels.js';
import { OptionError } from '../errors.js';
import type { CsrPattern } from '../pattern/csr.js';
import { inputSize, numbersOf, outputSize, type Window } from '../pattern/window.js';
import { copyImages } from './conv.js';
import type { Decay } from './kernels.js';
import { carve, floats, type Numbers, placed, room, WasmArray } from './memory.js';
import { inWasm, whenReleased } from './patterns.js';
import { withTile } from './tiles.js';

/** Images in a panel. */
const GROUP = 16;

/** Widths of image and output for which a pattern keeps its lists: a layer that sees more of them makes lists anew. */
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
    lists = new rust.Convolution(inWasm(pattern), numbersOf(window));
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

/** Runs `call(first, images)` for each group of a batch; one of no images for an empty one. */
function eachGroup(batch: number, call: (first: number, images: number) => void): void {
  let first = 0;
  do {
    call(first, Math.min(GROUP, batch - first));
    first += GROUP;
  } while (first < batch);
}

/** Images are cut into strips of rows where they are few. Those of a convolution in one dimension are one row: it is turned to a column. */
function turned(window: Window, images: number): Window {
  const { height, outHeight, kernelHeight } = window;
  if (images === GROUP || height * outHeight * kernelHeight > 1) return window;
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
  const twin = inWasm(pattern);
  const [input, output, most] = [inputSize(window), outputSize(window), Math.min(batch, GROUP)];
  const panels = GROUP * (input + output);
  const [atX, atY, roomValues, roomBias, work] = carve(most * input, most * output, room(values), room(bias), panels + pattern.nnz);
  const [atValues, atBias] = [placed(values, roomValues), bias ? placed(bias, roomBias) : 0];
  const run = (tile: number) =>
    eachGroup(batch, (first, images) => {
      const own = turned(window, images);
      copyImages(atX, x, input, first, images);
      listsOf(pattern, own).forward(twin, numbersOf(own), images, atX, atValues, atBias, atY, relu, tile, work);
      y.set(floats(atY, images * output), first * output);
    });
  // Tiles differ in how many neighbours in a row they take.
  if (turned(window, most).outWidth === 1) run(0);
  else withTile('convolution', pattern, batch * window.outHeight * window.outWidth, run);
}

export interface BackwardOperands {
  x: Float32Array;
  values: Numbers;
  /** The layer's output, where it ended in relu. */
  y: Float32Array | undefined;
  dy: Float32Array;
}

/** All gradients of {@link forward} in one pass: that of x to `dx`, where there is one. `seen` is called with each group, and dy through relu: views. */
export function backward(
  pattern: CsrPattern,
  window: Window,
  batch: number,
  { x, values, y, dy }: BackwardOperands,
  dx: Float32Array | undefined,
  decay: Decay,
  seen?: (images: number, x: Float32Array, dy: Float32Array) => void,
): { dValues: WasmArray; dBias: WasmArray } {
  const twin = inWasm(pattern);
  const [input, output, most] = [inputSize(window), outputSize(window), Math.min(batch, GROUP)];
  const panels = GROUP * (2 * input + output);
  const [atX, atDy, atY, atDx, roomValues, work] = carve(
    most * input,
    most * output,
    y ? most * output : 0,
    dx ? most * input : 0,
    room(values),
    panels + 5 * pattern.nnz,
  );
  const [dValues, dBias] = [new WasmArray(pattern.nnz, false), new WasmArray(pattern.cols, false)];
  const atValues = placed(values, roomValues);
  const [toDx, ofY] = [dx ? atDx : 0, y ? atY : 0];
  eachGroup(batch, (first, images) => {
    const own = turned(window, images);
    // Sums begin with the first group, and end with the last; these are in the order of its lists.
    const [begins, ends] = [first === 0, first + images === batch];
    copyImages(atX, x, input, first, images);
    copyImages(atDy, dy, output, first, images);
    if (y) copyImages(atY, y, output, first, images);
    const { forward, rest } = decay;
    const [numbers, lists] = [numbersOf(own), listsOf(pattern, own)];
    lists.backward(twin, numbers, images, atX, atValues, ofY, atDy, toDx, dValues.at, dBias.at, begins, ends, forward, rest, work);
    dx?.set(floats(atDx, images * input), first * input);
    seen?.(images, floats(atX, images * input), floats(atDy, images * output));
  });
  return { dValues, dBias };
}
