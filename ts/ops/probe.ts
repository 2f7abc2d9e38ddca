// What went through a layer during a step: enough to ask about its dense gradient, which is never formed.

import type { CsrPattern } from '../pattern/csr.js';
import * as kernels from '../wasm/kernels.js';
import { Panels } from '../wasm/panels.js';

/** Activations that came in, `[batch, in]`, and gradients of what went out before its activation, `[batch, out]`. */
export interface Samples {
  readonly batch: number;
  readonly x: Float32Array;
  readonly dy: Float32Array;
}

/** Flat indices, ascending, and |gradient| there. */
export interface Candidates {
  readonly positions: Uint32Array;
  readonly scores: Float32Array;
}

/**
 * Keeps x and dy of a layer's backward passes until it is cleared. Several passes (a layer used twice, gradients accumulated over steps) are one
 * longer batch: their gradients add up. Memory: 4·batch·(in + out) bytes a pass.
 */
export class Probe {
  #passes: Samples[] = [];

  /** Takes a copy. Where the layer ended in relu, `y` is its output, and dy passes where it is positive. */
  record(x: Panels, dy: Panels, y: Panels | undefined): void {
    const through = dy.unpack().slice();
    const output = y?.unpack();
    if (output) for (let i = 0; i < through.length; i++) if (output[i] <= 0) through[i] = 0;
    this.#passes.push({ batch: x.batch, x: x.unpack().slice(), dy: through });
  }

  /** TEMPORARY */
  recordWindow(_window: unknown, _batch: number, _x: Float32Array, _dy: Float32Array): void {}

  /** Everything recorded, as one batch; nothing if there was no pass. */
  get samples(): Samples | undefined {
    if (this.#passes.length > 1) {
      const batch = this.#passes.reduce((sum, pass) => sum + pass.batch, 0);
      this.#passes = [{ batch, x: joined(this.#passes.map((pass) => pass.x)), dy: joined(this.#passes.map((pass) => pass.dy)) }];
    }
    return this.#passes[0];
  }
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

/** The k positions outside `pattern` with the largest |gradient| of those that reach `floor`. Equal ones: the lower index wins. */
export function steepest(pattern: CsrPattern, { batch, x, dy }: Samples, k: number, floor = 0): Candidates {
  const { rows, cols, gradients } = kernels.gradientTopK(pattern, batch, x, dy, k, floor);
  const positions = new Uint32Array(rows.length);
  const scores = new Float32Array(rows.length);
  for (let i = 0; i < rows.length; i++) {
    positions[i] = rows[i] * pattern.cols + cols[i];
    scores[i] = Math.abs(gradients[i]);
  }
  return { positions, scores };
}

/** The gradients at the entries of a pattern, in its order: an SDDMM, 2·nnz·batch operations. */
export function gradientAt(pattern: CsrPattern, { batch, x, dy }: Samples): Float32Array {
  const operands = { x: Panels.pack(x, batch, pattern.cols), dy: Panels.pack(dy, batch, pattern.rows), y: undefined };
  const { dValues, dBias } = kernels.backward(pattern, { ...operands, values: new Float32Array(pattern.nnz) }, false, {
    forward: 0,
    rest: 0,
  });
  const gradients = dValues.floats.slice();
  for (const used of [operands.x, operands.dy, dValues, dBias]) used.free();
  return gradients;
}

/** The L2 norm of the whole gradient of a layer `[rows, cols]`. Costs two dense products. */
export function gradientNorm(pattern: CsrPattern, samples: Samples): number {
  const outside = kernels.gradientReduce(pattern, samples.batch, samples.x, samples.dy, 0)[2];
  const inside = gradientAt(pattern, samples).reduce((sum, g) => sum + g * g, 0);
  return Math.sqrt(outside ** 2 + inside);
}
