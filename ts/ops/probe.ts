// What went through a layer during a step: enough to ask about its dense gradient, which is never formed.

import type { CsrPattern } from '../pattern/csr.js';
import { type Window, windowNumbers } from '../pattern/window.js';
import { convFilterGradient } from '../wasm/conv.js';
import * as kernels from '../wasm/kernels.js';
import { Panels } from '../wasm/panels.js';

/** Activations that came in, `[batch, in]`, and gradients of what went out before its activation, `[batch, out]`. */
export interface Samples {
  readonly batch: number;
  readonly x: Float32Array;
  readonly dy: Float32Array;
  /** Of a convolution: how its window lies over the images `x [batch, height, width, channels]`; `dy [batch, outHeight, outWidth, filters]`. */
  readonly window?: Window;
}

/** Flat indices, ascending, and |gradient| there. */
export interface Candidates {
  readonly positions: Uint32Array;
  readonly scores: Float32Array;
}

/**
 * Keeps x and dy of a layer's backward passes until it is cleared. Several passes (a layer used twice, gradients accumulated over steps) are one
 * longer batch, in a convolution one for each size of images: their gradients add up. Memory: 4·(|x| + |dy|) bytes a pass.
 */
export class Probe {
  #passes: Samples[] = [];
  #whole: Float32Array | undefined;

  /** `wanted`: whether passes still are. A fit that fails leaves its probes behind, and they must not take in what comes after. */
  constructor(readonly wanted: () => boolean = () => true) {}

  /** Takes a copy. Where the layer ended in relu, `y` is its output, and dy passes where it is positive. */
  record(x: Panels, dy: Panels, y: Panels | undefined): void {
    if (!this.wanted()) return;
    // Views of the same working memory, one after the other.
    const through = dy.unpack().slice();
    this.#passes.push({ batch: x.batch, dy: throughRelu(through, y?.unpack()), x: x.unpack().slice() });
  }

  /** The same of a convolution. */
  recordWindow(window: Window, batch: number, x: Float32Array, dy: Float32Array, y?: Float32Array): void {
    if (!this.wanted()) return;
    this.#passes.push({ batch, x: x.slice(), dy: throughRelu(dy.slice(), y), window });
    this.#whole = undefined;
  }

  /** Everything recorded: one batch, in a convolution one for each size of images, in the order in which they came. */
  get passes(): readonly Samples[] {
    const groups = new Map<string, Samples[]>();
    for (const pass of this.#passes) {
      const key = pass.window ? windowNumbers(pass.window).join() : '';
      groups.set(key, [...(groups.get(key) ?? []), pass]);
    }
    if (groups.size < this.#passes.length) this.#passes = [...groups.values()].map(oneBatch);
    return this.#passes;
  }

  /** Everything recorded, as one batch; nothing if there was no pass. Throws where a convolution has seen images of several sizes. */
  get samples(): Samples | undefined {
    const { passes } = this;
    if (passes.length > 1) throw new Error('a convolution has seen images of several sizes: ask for passes');
    return passes[0];
  }

  /** The gradient of a convolution's whole kernel by flat index, as large as the kernel; nothing for other layers. */
  get whole(): Float32Array | undefined {
    if (this.#whole) return this.#whole;
    for (const { window, batch, x, dy } of this.passes) {
      if (!window) return undefined;
      const own = convFilterGradient(window, batch, x, dy);
      if (!this.#whole) this.#whole = own.slice();
      else for (let i = 0; i < own.length; i++) this.#whole[i] += own[i];
    }
    return this.#whole;
  }
}

/** In place. */
function throughRelu(dy: Float32Array, y: Float32Array | undefined): Float32Array {
  if (y) for (let i = 0; i < dy.length; i++) if (y[i] <= 0) dy[i] = 0;
  return dy;
}

function oneBatch(passes: Samples[]): Samples {
  if (passes.length === 1) return passes[0];
  const batch = passes.reduce((sum, pass) => sum + pass.batch, 0);
  return { ...passes[0], batch, x: joined(passes.map((pass) => pass.x)), dy: joined(passes.map((pass) => pass.dy)) };
}

function joined(parts: Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The k positions outside `pattern` with the largest |gradient| of those that reach `floor`. Equal ones: the lower index wins. Throws on NaN. */
export function steepest(pattern: CsrPattern, probe: Probe, k: number, floor = 0): Candidates {
  if (probe.whole) return steepestOf(probe.whole, pattern, k, floor);
  const { batch, x, dy } = recorded(probe);
  const { rows, cols, gradients } = kernels.gradientTopK(pattern, batch, x, dy, k, floor);
  const positions = new Uint32Array(rows.length);
  const scores = new Float32Array(rows.length);
  for (let i = 0; i < rows.length; i++) {
    positions[i] = rows[i] * pattern.cols + cols[i];
    scores[i] = Math.abs(gradients[i]);
  }
  return { positions, scores };
}

function steepestOf(gradients: Float32Array, pattern: CsrPattern, k: number, floor: number): Candidates {
  const free = outside(pattern);
  const own = Float32Array.from(free, (position) => gradients[position]);
  const best = kernels.topK(own, Math.min(k, own.length)).filter((at) => Math.abs(own[at]) >= floor);
  return { positions: best.map((at) => free[at]), scores: Float32Array.from(best, (at) => Math.abs(own[at])) };
}

/** The flat indices that are not in a pattern, ascending. */
function outside(pattern: CsrPattern): Uint32Array {
  const taken = new Uint8Array(pattern.rows * pattern.cols);
  for (const position of pattern.flat()) taken[position] = 1;
  const free = new Uint32Array(taken.length - pattern.nnz);
  for (let position = 0, i = 0; position < taken.length; position++) if (!taken[position]) free[i++] = position;
  return free;
}

/** The gradients at the entries of a pattern, in its order: an SDDMM, 2·nnz·batch operations; of a convolution, read from the whole gradient. */
export function gradientAt(pattern: CsrPattern, probe: Probe): Float32Array {
  const { whole } = probe;
  if (whole) return Float32Array.from(pattern.flat(), (position) => whole[position]);
  const { batch, x, dy } = recorded(probe);
  const operands = { x: Panels.pack(x, batch, pattern.cols), dy: Panels.pack(dy, batch, pattern.rows), y: undefined };
  const { dValues, dBias } = kernels.backward(pattern, { ...operands, values: new Float32Array(pattern.nnz) }, false, {
    forward: 0,
    rest: 0,
  });
  const gradients = dValues.floats.slice();
  for (const used of [operands.x, operands.dy, dValues, dBias]) used.free();
  return gradients;
}

/** The L2 norm of the whole gradient of a layer. Costs two dense products, in a convolution none beside the whole gradient. */
export function gradientNorm(pattern: CsrPattern, probe: Probe): number {
  const square = (numbers: Float32Array) => numbers.reduce((sum, g) => sum + g * g, 0);
  if (probe.whole) return Math.sqrt(square(probe.whole));
  const { batch, x, dy } = recorded(probe);
  const outside = kernels.gradientReduce(pattern, batch, x, dy, 0)[2];
  return Math.sqrt(outside ** 2 + square(gradientAt(pattern, probe)));
}

function recorded({ samples }: Probe): Samples {
  if (!samples) throw new Error('the probe has recorded no pass');
  return samples;
}
