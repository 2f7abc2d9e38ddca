// Top-KAST: always sparse training (Jayakumar et al. 2021, https://arxiv.org/abs/2106.03517).

import * as tf from '@tensorflow/tfjs-core';
import { Callback, type LayersModel } from '@tensorflow/tfjs-layers';
import { checkCount, checkNumber, OptionError } from '../errors.js';
import { gather, largest } from '../ops/whole_layer.js';
import { edit } from '../topology/edit.js';
import { type SparseLayer, sparseLayers } from '../topology/sparse_layer.js';

export interface TopKastArgs {
  /** Refresh the sets A and B after every so many optimizer steps. Default 1, as published; 100 costs less and is reported to do as well. */
  every?: number;
  /** λ of the exploration penalty λ/2·θ² on A and λ/(2·density)·θ² on B∖A. Default 1e-4. */
  regularization?: number;
  /** Apply the penalty to the weights after the step, scaled by the learning rate, instead of to the gradient. Default false. */
  decoupled?: boolean;
}

/** As tfjs's `yieldEvery: 'auto'` aims at: about one frame. */
const YIELD_MS = 16;

/**
 * Trains every layer of a model that has a `backwardDensity`. The forward pass uses the largest weights A; gradients reach the larger set B;
 * everything outside B stays as it is, bit for bit. The sets are refreshed by exact top-k over the whole layer, and the optimizer's slots
 * follow their weights.
 *
 * As a callback of `model.fit`:
 * ```js
 * await model.fit(xs, ys, { epochs: 10, callbacks: [topKast({ every: 1 })] });
 * ```
 * In a loop of your own: `const method = topKast().attach(model, optimizer)`, then `await method.step()` after each optimizer step, and
 * `method.detach()` at the end.
 *
 * Two choices that the paper leaves open: the penalty is squared (its text says L2, its equation |θ|), and it joins the gradient of the weights,
 * not the reported loss. Within momentum or Adam it acts through the moments; `decoupled` avoids that. A layer that one loss uses k times
 * gets its penalty k times. The schedule follows the optimizer's step count, so that a resumed run refreshes when an uninterrupted one would.
 */
export class TopKast extends Callback {
  readonly every: number;
  readonly regularization: number;
  readonly decoupled: boolean;
  #layers: SparseLayer[] = [];
  #optimizer: tf.Optimizer | undefined;
  #yielded = 0;

  constructor({ every = 1, regularization = 1e-4, decoupled = false }: TopKastArgs = {}) {
    super();
    this.every = checkCount('topKast every', every, 1);
    this.regularization = checkNumber('topKast regularization', regularization, 0, Infinity);
    this.decoupled = decoupled;
  }

  /** Takes charge of a model's Top-KAST layers. `optimizer` defaults to the one the model was compiled with. */
  attach(model: LayersModel, optimizer: tf.Optimizer | undefined = model.optimizer): this {
    if (!optimizer) throw new OptionError('topKast attach', 'a compiled model, or an optimizer', optimizer);
    const layers = sparseLayers(model).filter((layer) => layer.backwardDensity !== undefined);
    if (layers.length === 0) {
      throw new OptionError(
        'topKast attach',
        'a model with layers that have a backwardDensity',
        model.layers.map((layer) => layer.name),
      );
    }
    this.#layers = layers;
    this.#optimizer = optimizer;
    for (const layer of layers) {
      const rate = this.decoupled ? 0 : this.regularization;
      layer.decay = { forward: rate, rest: rate / layer.density };
    }
    return this;
  }

  /** Leaves the layers as they are, without penalty or refresh. */
  detach(): void {
    for (const layer of this.#layers) layer.decay = { forward: 0, rest: 0 };
    this.#layers = [];
    this.#optimizer = undefined;
  }

  /** To be called after each step of the optimizer. */
  async step(): Promise<void> {
    const optimizer = this.#optimizer;
    if (!optimizer) throw new Error('topKast: attach(model) before step()');
    const active = this.#layers.filter((layer) => layer.trainable);
    if (this.decoupled) for (const layer of active) this.#shrink(layer, optimizer);
    if (optimizer.iterations % this.every !== 0) return;
    for (const layer of active) await refresh(layer, optimizer);
  }

  /** `θ −= learningRate·λ·θ` on A, by λ/density on B∖A. */
  #shrink(layer: SparseLayer, optimizer: tf.Optimizer): void {
    const { learningRate } = optimizer as { learningRate?: number };
    if (typeof learningRate !== 'number') throw new OptionError('topKast decoupled', 'an optimizer with a learningRate', learningRate);
    const values = layer.values.dataSync().slice() as Float32Array;
    const rate = learningRate * this.regularization;
    layer.pattern.forEach((i, _row, _col, inA) => {
      values[i] -= rate * (inA ? 1 : 1 / layer.density) * values[i];
    });
    layer.edit(layer.pattern, values);
  }

  override setModel(model: Parameters<Callback['setModel']>[0]): void {
    super.setModel(model);
    this.attach(model as LayersModel);
  }

  override async onBatchEnd(): Promise<void> {
    await this.step();
    // With a callback of this kind in the list, tfjs itself no longer yields to the page.
    if (tf.util.now() - this.#yielded > YIELD_MS) {
      await tf.nextFrame();
      this.#yielded = tf.util.now();
    }
  }

  override async onTrainEnd(): Promise<void> {
    this.detach();
  }
}

/** Selects A and B anew and moves values and slots there. */
async function refresh(layer: SparseLayer, optimizer: tf.Optimizer): Promise<void> {
  const { pattern, theta } = layer;
  let next: SparseLayer['pattern'];
  try {
    next = largest(theta, pattern.rows, pattern.cols, pattern.forwardNnz, pattern.nnz);
  } catch (cause) {
    throw new OptionError(`topKast ${layer.name} weights`, 'numbers (has the training diverged?)', (cause as Error).message, { cause });
  }
  await edit(layer, next, () => gather(next, theta).slice(), optimizer);
}

/** See {@link TopKast}. */
export function topKast(args?: TopKastArgs): TopKast {
  return new TopKast(args);
}
