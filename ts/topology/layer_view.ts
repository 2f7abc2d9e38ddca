// A sparse layer as a drop/grow rule sees it.

import { checkCount, OptionError } from '../errors.js';
import { thetaOf } from '../ops/powerprop.js';
import { type Candidates, gradientAt, gradientNorm, type Probe, type Samples, steepest } from '../ops/probe.js';
import { refusingNaN } from '../ops/refusing_nan.js';
import { releasePattern } from '../ops/sparse_dense.js';
import { freePositions, lowest } from '../ops/whole_layer.js';
import { CsrPattern } from '../pattern/csr.js';
import { unitsOf } from '../pattern/kernel_shape.js';
import { mixedSeed, Random } from '../pattern/random.js';
import type { SparseLayer } from './sparse_layer.js';

/**
 * One layer at an edit. Positions are flat indices row·cols + col of W `[rows, cols]` = `[out, in]`, in a convolution of the kernel
 * `[height·width·channels, filters]`; lists of them ascend.
 *
 * Gradients are those of the step at hand, at the weights before its update, or of the last `accumulate` steps together. The dense gradient is
 * never formed, but in a convolution, where it is as large as the kernel.
 */
export class LayerView {
  readonly rows: number;
  readonly cols: number;
  /** Units, or filters of a convolution: its outputs at one place. Rows of a dense layer, columns of a convolution. */
  readonly units: number;
  /** Numbers for this layer at this step alone: the same in a resumed run. */
  readonly random: Random;
  #open: CsrPattern;
  #weights: Float32Array | undefined;

  constructor(
    readonly layer: SparseLayer,
    /** Its place among the layers of the method. */
    readonly index: number,
    readonly step: number,
    readonly seed: number,
  ) {
    this.rows = layer.pattern.rows;
    this.cols = layer.pattern.cols;
    this.units = unitsOf(layer.kernelShape);
    this.random = new Random(mixedSeed(seed, step, index, 1));
    this.#open = layer.pattern;
  }

  get name(): string {
    return this.layer.name;
  }

  get pattern(): CsrPattern {
    return this.layer.pattern;
  }

  get nnz(): number {
    return this.layer.pattern.nnz;
  }

  get density(): number {
    return this.nnz / (this.rows * this.cols);
  }

  /** Positions where a weight may grow: without a weight or, where the method allows it, just dropped. */
  get free(): number {
    return this.rows * this.cols - this.#open.nnz;
  }

  /** Makes the positions of dropped weights free; `kept` is the pattern without them. */
  release(kept: CsrPattern): void {
    this.#open = kept;
  }

  /** The weights θ `[nnz]`, in the pattern's order, after the step's update. */
  get weights(): Float32Array {
    if (!this.#weights) {
      const { values, alpha } = this.layer;
      const phi = values.dataSync() as Float32Array;
      // A copy: on the cpu backend the other would be the tensor itself.
      this.#weights = alpha === 1 ? phi.slice() : thetaOf(phi, alpha);
    }
    return this.#weights;
  }

  /** |θ| `[nnz]`. */
  get magnitudes(): Float32Array {
    const { weights } = this;
    const sizes = new Float32Array(weights.length);
    for (let i = 0; i < sizes.length; i++) sizes[i] = Math.abs(weights[i]);
    return sizes;
  }

  /** What went through the layer, as one batch. Throws where a convolution has seen images of several sizes; see {@link LayerView.passes}. */
  get samples(): Samples {
    return this.#recorded.samples as Samples;
  }

  /** The same, one batch for each size of images. */
  get passes(): readonly Samples[] {
    return this.#recorded.passes;
  }

  get #recorded(): Probe {
    const { probe } = this.layer;
    if (!probe || probe.passes.length === 0)
      throw new Error(`${this.name}: no gradient was seen at step ${this.step}; is the layer part of the loss?`);
    return probe;
  }

  /** The k free positions with the largest |gradient| of those that reach `floor`, and these. One dense product; O(k) memory, in a convolution O(positions). */
  steepest(k: number, floor = 0): Candidates {
    checkCount(`steepest k in ${this.name}`, k, 0);
    return refusingNaN(`gradients of ${this.name}`, () => steepest(this.#open, this.#recorded, k, floor));
  }

  /** The gradients at `positions`. */
  gradientsAt(positions: Uint32Array): Float32Array {
    const asked = CsrPattern.fromFlat(this.rows, this.cols, positions);
    try {
      return this.#gradients(asked);
    } finally {
      releasePattern(asked);
    }
  }

  /** The gradients of the weights `[nnz]`, in the pattern's order. */
  get gradients(): Float32Array {
    return this.#gradients(this.pattern);
  }

  #gradients(pattern: CsrPattern): Float32Array {
    const gradients = gradientAt(pattern, this.#recorded);
    const at = gradients.findIndex((g) => !Number.isFinite(g));
    if (at >= 0) {
      throw new OptionError(`gradients of ${this.name}`, 'finite numbers (has the training diverged?)', `${gradients[at]} at index ${at}`);
    }
    return gradients;
  }

  /** The L2 norm of the layer's whole gradient. */
  get gradientNorm(): number {
    const norm = gradientNorm(this.pattern, this.#recorded);
    if (!Number.isFinite(norm)) throw new OptionError(`gradients of ${this.name}`, 'finite numbers (has the training diverged?)', norm);
    return norm;
  }

  /** k random free positions (all, if there are fewer), each subset equally likely. `salt` tells several draws of a step apart. */
  randomFree(k: number, salt = 0): Uint32Array {
    checkCount(`randomFree k in ${this.name}`, k, 0);
    return freePositions(this.#open, k, mixedSeed(this.seed, this.step, this.index, 2, salt));
  }

  /** Those of `positions` that are free. */
  onlyFree(positions: Uint32Array): Uint32Array {
    const taken = this.#open.flat();
    let t = 0;
    return positions.filter((position) => {
      while (t < taken.length && taken[t] < position) t++;
      return taken[t] !== position;
    });
  }
}

/** The k best of candidates: the highest scores; of equal ones the lower position. */
export function best({ positions, scores }: Candidates, k: number): Uint32Array {
  if (checkCount('best k', k, 0) >= positions.length) return positions;
  // Asked for those that go, since of equal scores the lower position stays.
  const out = lowest(scores, positions.length - k);
  let o = 0;
  return positions.filter((_, i) => (out[o] === i ? !++o : true));
}

/** Two ascending lists of positions without common members, as one. */
export function union(a: Uint32Array, b: Uint32Array): Uint32Array {
  const all = new Uint32Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all.sort();
}
