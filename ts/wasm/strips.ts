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

/** What a lane holds: number `i` of it is number `shift + i` of an array of images where `begin ≤ i < end`, and else 0. */
interface Lane {
  shift: number;
  begin: number;
  end: number;
}

const clamp = (value: number, least: number, most: number): number => Math.min(Math.max(value, least), most);

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
    const { height, outHeight } = whole;
    // A row of output takes as long as packing five rows of x and dx.
    const work = (strips: number, rows: number, reach: number) => Math.ceil((images * strips) / LANES) * (5 * rows + reach);
    const most = images < LANES ? Math.min(outHeight, LANES) : 1;
    let [least, best] = [work(1, outHeight, height), 1];
    for (let strips = 2; strips <= most; strips++) {
      const rows = Math.ceil(outHeight / strips);
      const reach = reachOf(whole, rows);
      const own = work(strips, rows, reach);
      // There is room for a whole image in each lane, not for more.
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
      const [begin, end] = [first, first + window.height].map((at) => (clamp(at, 0, whole.height) - first) * row);
      return { shift: image * inputSize(whole) + first * row, begin, end };
    });
  }

  /** Where they go. */
  outputs(panel: number): Lane[] {
    const { whole, window } = this;
    const row = whole.outWidth * whole.filters;
    return this.#lanes(panel, (image, strip) => {
      const first = strip * window.outHeight;
      const count = Math.min(window.outHeight, whole.outHeight - first);
      return { shift: image * outputSize(whole) + first * row, begin: 0, end: count * row };
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

/** The part of a piece that a lane has: where it begins in the piece and in the array of images, and how long it is. */
function partOf({ shift, begin, end }: Lane, first: number, count: number): { within: number; source: number; size: number } {
  const [from, to] = [begin, end].map((at) => clamp(at, first, first + count));
  return { within: from - first, source: shift + from, size: to - from };
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
  eachRows(to - from, 1, (done, count) => {
    bring(values, stage, from + done, count);
    if (y) {
      const second = stage + LINE * PIECE;
      bring(y, second, from + done, count);
      rust.wherePositive(stage, second, lanes.length * count);
    }
    rust.pack(stage, panel + LINE * done, lanes.length, count);
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
  eachRows(to - from, 1, (done, count) => {
    rust.unpack(panel + LINE * done, stage, lanes.length, count);
    const rows = floats(stage, lanes.length * count);
    for (const [s, lane] of lanes.entries()) {
      const { within, source, size } = partOf(lane, from + done, count);
      const own = s * count + within;
      if (add) for (let i = 0; i < size; i++) values[source + i] += rows[own + i];
      // Nothing, of a lane that ends before the piece, has no place in the array.
      else values.subarray(source, source + size).set(rows.subarray(own, own + size));
    }
  });
}
