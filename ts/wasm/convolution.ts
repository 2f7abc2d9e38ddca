// Sparse convolutions as calls: a batch goes through working memory in groups of 16 images, so that what it takes does not grow with the batch.

import * as rust from '../../wasm/kernels.js';
import { OptionError } from '../errors.js';
import type { CsrPattern } from '../pattern/csr.js';
import { numbersOf, type Window } from '../pattern/window.js';
import { type Decay, inWasm, whenReleased } from './kernels.js';
import { carve, floats, type Numbers, placed, room, WasmArray } from './memory.js';
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

const inputOf = ({ height, width, channels }: Window) => height * width * channels;
const outputOf = ({ outHeight, outWidth, filters }: Window) => outHeight * outWidth * filters;

/** Runs `call(first, images)` for each group of a batch. */
function eachGroup(batch: number, call: (first: number, images: number) => void): void {
  for (let first = 0; first < batch; first += GROUP) call(first, Math.min(GROUP, batch - first));
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
  const [lists, twin, numbers] = [listsOf(pattern, window), inWasm(pattern), numbersOf(window)];
  const [input, output, images] = [inputOf(window), outputOf(window), Math.min(batch, GROUP)];
  const [atX, atY, roomValues, roomBias] = carve(images * input, images * output, room(values), room(bias));
  const [atValues, atBias] = [placed(values, roomValues), bias ? placed(bias, roomBias) : 0];
  const places = window.outHeight * window.outWidth;
  const shape = { rows: pattern.rows, cols: pattern.cols, nnz: pattern.nnz };
  withTile(shape, batch, places, (tile) =>
    eachGroup(batch, (first, images) => {
      floats(atX, images * input).set(x.subarray(first * input, (first + images) * input));
      lists.forward(twin, numbers, images, atX, atValues, atBias, atY, relu, tile);
      y.set(floats(atY, images * output), first * output);
    }),
  );
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
  const [lists, twin, numbers] = [listsOf(pattern, window), inWasm(pattern), numbersOf(window)];
  const [input, output, images] = [inputOf(window), outputOf(window), Math.min(batch, GROUP)];
  const [dValues, dBias] = [new WasmArray(pattern.nnz), new WasmArray(pattern.cols)];
  const [atX, atDy, atY, atDx, roomValues] = carve(
    images * input,
    images * output,
    y ? images * output : 0,
    dx ? images * input : 0,
    room(values),
  );
  const atValues = placed(values, roomValues);
  eachGroup(batch, (first, images) => {
    const ends = [first === 0, first + images === batch] as const;
    floats(atX, images * input).set(x.subarray(first * input, (first + images) * input));
    floats(atDy, images * output).set(dy.subarray(first * output, (first + images) * output));
    if (y) floats(atY, images * output).set(y.subarray(first * output, (first + images) * output));
    const [toDx, ofY] = [dx ? atDx : 0, y ? atY : 0];
    lists.backward(twin, numbers, images, atX, atValues, ofY, atDy, toDx, dValues.at, dBias.at, ...ends, decay.forward, decay.rest);
    dx?.set(floats(atDx, images * input), first * input);
    seen?.(images, floats(atX, images * input), floats(atDy, images * output));
  });
  return { dValues, dBias };
}
