// Layers with given weights, and steps with given gradients.

import { dense, type SparseDense, type SparseDenseLayerArgs } from '../../ts/layers/index.js';
import { CsrPattern } from '../../ts/pattern/csr.js';
import { tf, tfl } from './tf.js';

export interface Start {
  rows?: number;
  /** Flat, [rows·cols]; where `mask` is 0 they are not stored. */
  w: number[];
  /** As digits. Default: all 1. */
  mask?: string;
  args?: Partial<SparseDenseLayerArgs>;
}

export interface Forced {
  model: tfl.LayersModel;
  layers: SparseDense[];
  /** A step of the optimizer in which layer i has the dense gradient `gradients[i]`, [rows·cols]. */
  step(optimizer: tf.Optimizer, gradients: ArrayLike<number>[]): void;
}

/** Sparse layers side by side, each with an input and an output of its own. */
export function forced(starts: Start[]): Forced {
  const layers = starts.map(({ rows = 1, w, mask, args }) => {
    const on = mask ?? '1'.repeat(w.length);
    const nnz = [...on].filter((digit) => digit === '1').length;
    return dense({ units: rows, density: Math.max(nnz, 1) / w.length, useBias: false, seed: 1, ...args });
  });
  const inputs = starts.map(({ rows = 1, w }) => tfl.input({ shape: [w.length / rows] }));
  const outputs = layers.map((layer, i) => layer.apply(inputs[i]) as tfl.SymbolicTensor);
  const model = tfl.model({ inputs, outputs });
  starts.forEach(({ rows = 1, w, mask }, i) => {
    if (layers[i].backwardDensity !== undefined) return;
    const flat = [...w.keys()].filter((at) => (mask ?? '1'.repeat(w.length))[at] === '1');
    layers[i].edit(
      CsrPattern.fromFlat(rows, w.length / rows, Uint32Array.from(flat)),
      Float32Array.from(flat, (at) => w[at]),
    );
  });
  const step = (optimizer: tf.Optimizer, gradients: ArrayLike<number>[]) => {
    optimizer.minimize(
      () => {
        // With the identity as batch y is Wᵀ, and Σ y ⊙ Gᵀ has the gradient G.
        const parts = layers.map((layer, i) => {
          const { rows, cols } = layer.pattern;
          const g = tf.transpose(tf.tensor2d(Float32Array.from(gradients[i]), [rows, cols]));
          return tf.sum(tf.mul(layer.apply(tf.eye(cols)) as tf.Tensor, g));
        });
        return tf.addN(parts) as tf.Scalar;
      },
      false,
      layers.map((layer) => layer.values),
    );
  };
  return { model, layers, step };
}

/** A pattern as digits, [rows·cols]. */
export function digits({ pattern }: { pattern: CsrPattern }): string {
  const mask = new Array<number>(pattern.rows * pattern.cols).fill(0);
  for (const at of pattern.flat()) mask[at] = 1;
  return mask.join('');
}

/** Weights by flat index, 0 where there is none. */
export function whole(layer: SparseDense): number[] {
  const { pattern } = layer;
  const all = new Array<number>(pattern.rows * pattern.cols).fill(0);
  const values = layer.values.dataSync();
  pattern.flat().forEach((at, i) => {
    all[at] = values[i];
  });
  return all;
}

/** The slots of an optimizer for a layer, by name. */
export async function slotsOf(optimizer: tf.Optimizer, layer: Pick<SparseDense, 'values'>): Promise<Record<string, number[]>> {
  const weights = await optimizer.getWeights();
  const prefix = `${layer.values.name}/`;
  const own = weights.filter(({ name }) => name.startsWith(prefix));
  const slots = Object.fromEntries(own.map(({ name, tensor }) => [name.slice(prefix.length), Array.from(tensor.dataSync())]));
  // Ours keep theirs; tfjs makes the count for each call.
  if (!('carrySlots' in optimizer)) weights[0].tensor.dispose();
  return slots;
}
