// Top-KAST: always sparse training (Jayakumar et al. 2021, https://arxiv.org/abs/2106.03517).

import { checkCount, checkNumber, OptionError } from '../errors.js';
import { refusingNaN } from '../ops/refusing_nan.js';
import type { Edit } from '../topology/edit.js';
import type { SparseLayer } from '../topology/sparse_layer.js';
import { Training, type TrainingArgs } from '../topology/training.js';

export interface TopKastArgs extends TrainingArgs {
  /** Refresh the sets A and B after every so many optimizer steps. Default 1, as published; 100 costs less and is reported to do as well. */
  every?: number | undefined;
  /** λ of the exploration penalty λ/2·θ² on A and λ/(2·density)·θ² on B∖A. Default 1e-4. */
  regularization?: number | undefined;
  /** Apply the penalty to the weights after the step, scaled by the learning rate, instead of to the gradient. Default false. */
  decoupled?: boolean | undefined;
}

/**
 * Trains every layer of a model that has a `backwardDensity`. The forward pass uses the largest weights A; gradients reach the larger set B;
 * everything outside B stays as it is, bit for bit. The sets are refreshed by exact top-k over the whole layer, and the optimizer's slots
 * follow their weights.
 *
 * Two choices that the paper leaves open: the penalty is squared (its text says L2, its equation |θ|), and it joins the gradient of the weights,
 * not the reported loss. Within momentum or Adam it acts through the moments; `decoupled` avoids that. A layer that one loss uses k times
 * gets its penalty once. The schedule follows the optimizer's step count, so that a resumed run refreshes when an uninterrupted one would.
 */
export class TopKast extends Training {
  readonly name = 'topKast';
  protected readonly savedAs = 'topKast';
  readonly every: number;
  readonly regularization: number;
  readonly decoupled: boolean;

  constructor(args: TopKastArgs = {}) {
    super(args);
    const { every = 1, regularization = 1e-4, decoupled = false } = args;
    this.every = checkCount('topKast every', every, 1);
    this.regularization = checkNumber('topKast regularization', regularization, 0, Infinity);
    this.decoupled = decoupled;
  }

  protected options(): Record<string, unknown> {
    const { every, regularization, decoupled } = this;
    return { every, regularization, decoupled };
  }

  protected refuses(layer: SparseLayer): string | undefined {
    return layer.backwardDensity === undefined ? 'a model with layers that have a backwardDensity' : undefined;
  }

  protected override begin(layers: readonly SparseLayer[]): void {
    for (const layer of layers) {
      const rate = this.decoupled ? 0 : this.regularization;
      layer.decay = { forward: rate, rest: rate / layer.density };
    }
  }

  protected override end(layers: readonly SparseLayer[]): void {
    for (const layer of layers) layer.decay = { forward: 0, rest: 0 };
  }

  protected async after(step: number, layers: readonly SparseLayer[]): Promise<void> {
    if (this.decoupled) for (const layer of layers) this.#shrink(layer);
    if (step % this.every !== 0) return;
    await this.prepare();
    // Layer by layer: what a layer knows of its weights outside B moves on with each refresh, and its pattern must follow.
    for (const layer of layers) await this.edit([refresh(this.name, layer, layer.pattern.forwardNnz)]);
  }

  /** `θ −= learningRate·λ·θ` on A, by λ/density on B∖A. */
  #shrink(layer: SparseLayer): void {
    const { learningRate } = this.optimizer as { learningRate?: number };
    if (typeof learningRate !== 'number') throw new OptionError('topKast decoupled', 'an optimizer with a learningRate', learningRate);
    const values = layer.values.dataSync().slice() as Float32Array;
    const rate = learningRate * this.regularization;
    // Of θ = φ·|φ|^(α−1) a factor takes its α-th root of φ.
    const [forward, rest] = [1, 1 / layer.density].map((weight) => root(1 - rate * weight, layer.alpha));
    layer.pattern.forEach((i, _row, _col, inA) => {
      values[i] *= inA ? forward : rest;
    });
    layer.edit(layer.pattern, values);
  }
}

/** The φ that stands for a factor of θ. */
function root(factor: number, alpha: number): number {
  return alpha === 1 ? factor : Math.sign(factor) * Math.abs(factor) ** (1 / alpha);
}

/** The edit to a layer's sets as its weights stand, `forwardNnz` of them in A. */
export function refresh(method: string, layer: SparseLayer, forwardNnz: number): Edit {
  const { pattern, values } = refusingNaN(`${method} ${layer.name} weights`, () => layer.largest(forwardNnz));
  return { layer, next: () => pattern, values: () => values };
}

/** See {@link TopKast}. */
export function topKast(args?: TopKastArgs): TopKast {
  return new TopKast(args);
}
