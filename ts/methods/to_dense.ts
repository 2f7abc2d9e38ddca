// A plain model of tfjs from a sparse one: the opposite of sparsify.

import * as tf from '@tensorflow/tfjs-core';
import type { LayersModel, layers } from '@tensorflow/tfjs-layers';
import { OptionError } from '../errors.js';
import { thetaOf } from '../ops/powerprop.js';
import { forwardWeights } from '../topology/forward_weights.js';
import { isSparse, type SparseLayer } from '../topology/sparse_layer.js';
import { copyWith, type Replacement } from './copy.js';

/** What `tf.layers.dense` does not know. */
const OWN = ['density', 'backward_density', 'theta', 'max_frozen', 'alpha', 'seed', 'state'];

/**
 * A copy of a model in which sparse layers, and `layers.powerDense`, have become `tf.layers.dense` that compute the same: kernels `[in, units]` hold the
 * weights θ of the forward pass and 0 elsewhere. Other layers keep what they are. Saved, it loads in plain tfjs without this package. Not compiled.
 * Costs the dense kernels, 4·in·units bytes each.
 *
 * Throws an OptionError for a model with neither kind of layer, with models inside, or with a sparse layer inside a wrapper such as timeDistributed.
 */
export async function toDense(model: LayersModel): Promise<LayersModel> {
  const replacements = new Map<string, Replacement>();
  for (const layer of model.layers) {
    if (isSparse(layer))
      replacements.set(
        layer.name,
        denseFrom(() => [scattered(layer), layer.bias]),
      );
    else if (layer.getClassName() === 'PowerDense')
      replacements.set(
        layer.name,
        denseFrom(() => powered(layer)),
      );
    else refuseWrapped('toDense', layer);
  }
  if (replacements.size === 0) {
    const names = model.layers.map((layer) => layer.name);
    throw new OptionError('toDense model', 'one with sparse layers or layers.powerDense', names);
  }
  return copyWith('toDense', model, replacements);
}

/** Refuses what a wrapper hides from those who go through the layers of a model. `method` is named in the OptionError. */
export function refuseWrapped(method: string, layer: layers.Layer): void {
  const { layer: wrapped } = layer as Wrapper;
  if (wrapped && holdsOurs(wrapped)) {
    throw new OptionError(`${method} model`, 'sparse layers outside of wrappers', `${layer.name}, a ${layer.getClassName()}`);
  }
}

/** A wrapper has a layer, a model has several. */
interface Wrapper {
  layer?: layers.Layer;
  layers?: layers.Layer[];
}

function holdsOurs(layer: layers.Layer): boolean {
  const { layer: wrapped, layers: several = [] } = layer as Wrapper;
  return (
    isSparse(layer) || layer.getClassName() === 'PowerDense' || several.some(holdsOurs) || (wrapped !== undefined && holdsOurs(wrapped))
  );
}

/** `weights` are the kernel and, where there is one, the bias. Called in a tidy. */
function denseFrom(weights: () => (tf.Tensor | undefined)[]): Replacement {
  return {
    className: 'Dense',
    config: (old) => Object.fromEntries(Object.entries(old).filter(([name]) => !OWN.includes(name))),
    fill: (layer) => tf.tidy(() => layer.setWeights(weights().filter((tensor) => tensor !== undefined))),
  };
}

function scattered(layer: SparseLayer): tf.Tensor {
  const { pattern, weights } = forwardWeights(layer);
  const { rows, cols } = pattern;
  const kernel = new Float32Array(rows * cols);
  pattern.forEach((i, row, col) => {
    kernel[col * rows + row] = weights[i];
  });
  return tf.tensor2d(kernel, [cols, rows]);
}

function powered(layer: layers.Layer): tf.Tensor[] {
  const [kernel, ...bias] = layer.getWeights();
  const { alpha } = layer as unknown as { alpha: number };
  return [tf.tensor(thetaOf(kernel.dataSync() as Float32Array, alpha).slice(), kernel.shape), ...bias];
}
