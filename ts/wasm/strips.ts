// How images lie in panels of 16 lanes: a whole one in each lane or, where there are few, a strip of its rows, with the rows that its windows reach into. And
// the way in and out, in pieces that stay in the caches between the copy and the transposition.

import * as rust from '../../wasm/kernels.js';
import { inputSize, outputSize, type Window } from '../pattern/window.js';
import { floats } from './memory.js';

/** Lanes of a panel. */
export const LANES = 16;
/** Bytes of a number of all lanes. */
const LINE = 4 * LANES;

/** Numbers of a lane that are moved at once. With 2048 a whole backward pass of 16×16×128 is 7 % slower, with 8192 as fast. */
const PIECE = 6144;
/** Numbers of working memory for {@link packLanes} and {@link unpackLanes}. */
export const STAGE = 2 * LANES * PIECE;

/** What a lane holds: of its numbers those from `skip` on, `length` of them, lie from `start` on in an array of images; the others are 0. */
interface Lane {
  skip: number;
  start: number;
  length: number;
}

/** How up to 16 images of a batch, from `first` on, lie in panels. */
export class Cut {
  /** Of what a lane holds. */
  readonly window: Window;
  /** For each image. */
  readonly strips: number;

  /** Of all ways to cut, the one with the least work. Strips have their padding as rows of zeros, whole images do without. */
  constructor(
    readonly whole: Window,
    readonly first: number,
    readonly images: number,
  ) {
    const { height, outHeight, kernelHeight } = whole;
    // A row of taps takes as long as packing five rows of x and dx.
    const work = (strips: number, taps: number, rows: number) =>
      Math.ceil((images * strips) / LANES) * (Math.floor((5 * taps) / kernelHeight) + rows);
    const most = images < LANES ? Math.min(outHeight, LANES) : 1;
    let [least, best] = [most > 1 ? work(1, tapsInside(whole), height) : 0, 1];
    for (let strips = 2; strips <= most; strips++) {
      const rows = Math.ceil(outHeight / strips);
      const reach = reachOf(whole, rows);
      const own = work(strips, rows * kernelHeight, reach);
      if (reach < height && own < least) [least, best] = [own, strips];
    }
    const rows = Math.ceil(outHeight / best);
    this.strips = Math.ceil(outHeight / rows);
    this.window = this.strips === 1 ? whole : { ...whole, height: reachOf(whole, rows), outHeight: rows, top: 0 };
  }

  get panels(): number {
    return Math.ceil((this.images * this.strips) / LANES);
  }

  /** Where the lanes of a panel come from. */
  inputs(panel: number): Lane[] {
    const { whole, window, strips } = this;
    const row = whole.width * whole.channels;
    return this.#lanes(panel, (image, strip) => {
      const first = strips === 1 ? 0 : strip * window.outHeight * whole.strideHeight - whole.top;
      // A window may lie in the padding altogether.
      const inside = (at: number) => Math.min(Math.max(at, 0), whole.height);
      const [from, to] = [inside(first), inside(first + window.height)];
      return { skip: (from - first) * row, start: image * inputSize(whole) + from * row, length: (to - from) * row };
    });
  }

  /** Where they go. */
  outputs(panel: number): Lane[] {
    const { whole, window } = this;
    const row = whole.outWidth * whole.filters;
    return this.#lanes(panel, (image, strip) => {
      const first = strip * window.outHeight;
      const count = Math.min(window.outHeight, whole.outHeight - first);
      return { skip: 0, start: image * outputSize(whole) + first * row, length: count * row };
    });
  }

  #lanes(panel: number, lane: (image: number, strip: number) => Lane): Lane[] {
    const { strips, images } = this;
    const count = Math.min(LANES, images * strips - panel * LANES);
    return Array.from({ length: count }, (_, s) => {
      const at = panel * LANES + s;
      return lane(this.first + Math.floor(at / strips), at % strips);
    });
  }
}

/** Rows of taps that lie inside the image, over all rows of output. */
function tapsInside({ height, outHeight, kernelHeight, strideHeight, dilationHeight, top }: Window): number {
  let count = 0;
  for (let row = 0; row < outHeight; row++) {
    for (let tap = 0; tap < kernelHeight; tap++) {
      const seen = row * strideHeight + tap * dilationHeight - top;
      if (seen >= 0 && seen < height) count++;
    }
  }
  return count;
}

/** Input rows that some output rows look at, from the first window's beginning to the last one's end. */
const reachOf = ({ strideHeight, kernelHeight, dilationHeight }: Window, rows: number): number =>
  (rows - 1) * strideHeight + (kernelHeight - 1) * dilationHeight + 1;

/** Numbers of the rows that go together, where a row has `size`, all of them `total`. */
export const together = (size: number, total: number): number => Math.min(total, Math.max(size, PIECE));

/** Runs `call` for rows of `size` numbers that go together. */
export function eachRows(rows: number, size: number, call: (first: number, count: number) => void): void {
  const step = Math.max(1, Math.floor(PIECE / size));
  for (let first = 0; first < rows; first += step) call(first, Math.min(step, rows - first));
}

/** Calls `run(first, count)` for pieces of numbers of a lane. */
function eachPiece(from: number, to: number, run: (first: number, count: number) => void): void {
  for (let first = from; first < to; first += PIECE) run(first, Math.min(PIECE, to - first));
}

/** The part of a piece that a lane has: where it begins in the piece and in the array of images, and how long it is. */
function partOf({ skip, start, length }: Lane, first: number, count: number): { within: number; source: number; size: number } {
  const from = Math.min(Math.max(skip, first), first + count);
  const to = Math.min(Math.max(skip + length, from), first + count);
  // Of a lane that ends before the piece nothing, and of an array one may not even write nothing beyond its end.
  const size = to - from;
  return { within: from - first, source: size === 0 ? start : start + from - skip, size };
}

/**
 * The numbers `from` to `to` of each lane, to panels at the address `panel`; with `y`, of the same layout, those where it is positive, and else 0. `stage` is
 * the address of {@link STAGE} numbers of working memory.
 */
export function packLanes(
  values: Float32Array,
  lanes: Lane[],
  from: number,
  to: number,
  panel: number,
  stage: number,
  y?: Float32Array,
): void {
  const bring = (images: Float32Array, address: number, first: number, count: number) => {
    const rows = floats(address, lanes.length * count);
    for (const [s, lane] of lanes.entries()) {
      const { within, source, size } = partOf(lane, first, count);
      if (size < count) rows.fill(0, s * count, (s + 1) * count);
      rows.set(images.subarray(source, source + size), s * count + within);
    }
  };
  eachPiece(from, to, (first, count) => {
    bring(values, stage, first, count);
    if (y) {
      const second = stage + LINE * PIECE;
      bring(y, second, first, count);
      rust.wherePositive(stage, second, lanes.length * count);
    }
    rust.pack(stage, panel + LINE * (first - from), lanes.length, count);
  });
}

/** The reverse of {@link packLanes}. Lanes may share numbers, if theirs are to be added to what is there; else they overwrite it. */
export function unpackLanes(
  panel: number,
  lanes: Lane[],
  from: number,
  to: number,
  values: Float32Array,
  add: boolean,
  stage: number,
): void {
  eachPiece(from, to, (first, count) => {
    rust.unpack(panel + LINE * (first - from), stage, lanes.length, count);
    const rows = floats(stage, lanes.length * count);
    for (const [s, lane] of lanes.entries()) {
      const { within, source, size } = partOf(lane, first, count);
      const own = s * count + within;
      if (add) for (let i = 0; i < size; i++) values[source + i] += rows[own + i];
      else values.set(rows.subarray(own, own + size), source);
    }
  });
}
