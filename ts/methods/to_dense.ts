// A plain model of tfjs from a sparse one: the opposite of sparsify.

import * as tf from '@tensorflow/tfjs-core';
import type { LayersModel, layers } from '@tensorflow/tfjs-layers';
import { OptionError } from '../errors.js';
import { thetaOf } from '../ops/powerprop.js';
import { toKernel } from '../pattern/kernel_shape.js';
import { forwardWeights } from '../topology/forward_weights.js';
import { denseTwinOf, isSparse, layersIn, type SparseLayer } from '../topology/sparse_layer.js';
import { copyWith, type Replacement, refuseInner } from './copy.js';

/** What the layers of tfjs do not know. */
const OWN = ['density', 'backward_density', 'theta', 'max_frozen', 'alpha', 'seed', 'state'];

/**
 * A copy of a model in which sparse layers, and `layers.powerDense`, have become `tf.layers.dense`, `conv2d` and `conv1d` that compute the same: their kernels
 * hold the weights θ of the forward pass and 0 elsewhere. Other layers keep what they are. Saved, it loads in plain tfjs without this package. Not
 * compiled. Costs the whole kernels, 4 bytes for each of their positions.
 *
 * Throws an OptionError for a model with neither kind of layer, with models inside, or with a sparse layer inside a wrapper such as timeDistributed.
 */
export async function toDense(model: LayersModel): Promise<LayersModel> {
  const replacements = new Map<string, Replacement>();
  for (const layer of model.layers) {
    if (isSparse(layer))
      replacements.set(
        layer.name,
        denseFrom(denseTwinOf(layer), () => [scattered(layer), layer.bias]),
      );
    else if (layer.getClassName() === 'PowerDense')
      replacements.set(
        layer.name,
        denseFrom('Dense', () => powered(layer)),
      );
    else refuseWrapped('toDense', layer);
  }
  if (replacements.size === 0) {
    refuseInner('toDense', model);
    const names = model.layers.map((layer) => layer.name);
    throw new OptionError('toDense model', 'one with sparse layers or layers.powerDense', names);
  }
  return copyWith('toDense', model, replacements);
}

/** Refuses what a wrapper hides from those who go through the layers of a model. `method` is named in the OptionError. */
export function refuseWrapped(method: string, layer: layers.Layer): void {
  const { layer: wrapped } = layer as { layer?: layers.Layer };
  if (wrapped && holdsOurs(wrapped)) {
    throw new OptionError(`${method} model`, 'sparse layers outside of wrappers', `${layer.name}, a ${layer.getClassName()}`);
  }
}

const holdsOurs = (layer: unknown): boolean =>
  isSparse(layer) || (layer as layers.Layer).getClassName() === 'PowerDense' || layersIn(layer).some(holdsOurs);

/** `weights` are the kernel and, where there is one, the bias. Called in a tidy. */
function denseFrom(className: string, weights: () => (tf.Tensor | undefined)[]): Replacement {
  return {
    className,
    config: (old) => Object.fromEntries(Object.entries(old).filter(([name]) => !OWN.includes(name))),
    fill: (layer) => tf.tidy(() => layer.setWeights(weights().filter((tensor) => tensor !== undefined))),
  };
}

function scattered(layer: SparseLayer): tf.Tensor {
  const { pattern, weights } = forwardWeights(layer);
  const { kernelShape } = layer;
  const whole = new Float32Array(pattern.rows * pattern.cols);
  pattern.flat().forEach((position, i) => {
    whole[position] = weights[i];
  });
  return tf.tensor(toKernel(whole, kernelShape), [...kernelShape]);
}

function powered(layer: layers.Layer): tf.Tensor[] {
  const [kernel, ...bias] = layer.getWeights();
  const { alpha } = layer as unknown as { alpha: number };
  return [tf.tensor(thetaOf(kernel.dataSync() as Float32Array, alpha).slice(), kernel.shape), ...bias];
}
