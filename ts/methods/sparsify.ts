// A sparse model from a trained dense one.

import * as tf from '@tensorflow/tfjs-core';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { checkOptions, OptionError } from '../errors.js';
import { thetaOf } from '../ops/powerprop.js';
import { CsrPattern } from '../pattern/csr.js';
import { fromKernel, patternShape } from '../pattern/kernel_shape.js';
import { isDense, type SparseLayer, sparseTwinOf } from '../topology/sparse_layer.js';
import { copyWith, type Replacement } from './copy.js';
import { keptBy, type Prunable, type PruneArgs } from './prune.js';

const GLOROT = { class_name: 'GlorotNormal', config: {} };

export interface SparsifyArgs extends Partial<Omit<PruneArgs, 'optimizer'>> {
  /** Names of layers that stay what they are, such as a first convolution of few weights. Default: none. */
  except?: readonly string[] | undefined;
}

/** A layer with a whole kernel, by flat index in the pattern of its sparse twin. */
interface DenseWeights extends Prunable {
  className: string;
  shape: number[];
  phi: Float32Array;
  alpha: number;
  bias: Float32Array | undefined;
}

/**
 * A copy of a model in which `tf.layers.dense`, `conv2d` and `conv1d` and `layers.powerDense` have become sparse layers that hold their largest weights:
 * pruned at once, as `prune` does. Other layers keep what they are, also convolutions with `channelsFirst` or 'causal' padding. Not compiled. Costs a copy
 * of the model for a moment.
 *
 * Of a convolutional network take scope 'lamp' or 'global', or except the first convolution: few of its few weights can go.
 *
 * Without a `density`, every weight stays that is not exactly 0, and a layer without a 0 stays what it is: for models that were pruned elsewhere.
 *
 * Throws an OptionError for a model without such layers or with models inside, for weights that are NaN, and where no layer has a weight to drop.
 */
export async function sparsify(model: LayersModel, args: SparsifyArgs = {}): Promise<LayersModel> {
  checkOptions('sparsify', args, ['density', 'scope', 'outputFactor', 'except']);
  const { density, except = [] } = args;
  const names = model.layers.map((layer) => layer.name);
  const unknown = except.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new OptionError('sparsify except', `layers among ${names.join(', ')}`, unknown);
  const dense = model.layers.filter((layer) => isDense(layer) && !except.includes(layer.name));
  if (dense.length === 0) {
    throw new OptionError(
      'sparsify model',
      except.length > 0 ? 'other dense layers or convolutions' : 'one with dense layers or convolutions',
      names,
    );
  }
  const all = dense.map(weightsOf);
  const found = density === undefined ? all.filter(({ weights }) => weights.includes(0)) : all;
  if (found.length === 0) throw new OptionError('sparsify model', 'a density, or layers in which some weights are exactly 0', 'neither');
  const kept = density === undefined ? found.map(nonzeros) : keptBy('sparsify', found, { ...args, density });
  const sparse = found.map((layer, i) => [layer.name, sparseFrom(layer, kept[i])] as const);
  return copyWith('sparsify', model, new Map(sparse));
}

function weightsOf(layer: LayersModel['layers'][number]): DenseWeights {
  const [kernel, bias] = layer.getWeights();
  const { shape } = kernel;
  const phi = fromKernel(kernel.dataSync(), shape);
  const alpha = (layer as { alpha?: number }).alpha ?? 1;
  const weights = thetaOf(phi, alpha);
  const className = sparseTwinOf(layer) as string;
  return { name: layer.name, className, shape, phi, alpha, weights, size: phi.length, bias: bias?.dataSync() as Float32Array | undefined };
}

function nonzeros({ name, weights }: DenseWeights): Uint32Array {
  if (weights.some(Number.isNaN)) throw new OptionError(`sparsify weights of ${name}`, 'numbers', Number.NaN);
  return Uint32Array.from(weights.keys()).filter((at) => weights[at] !== 0);
}

function sparseFrom({ className, shape, phi, alpha, size, bias }: DenseWeights, kept: Uint32Array): Replacement {
  return {
    className,
    config(old) {
      // A layer of its own needs an initializer that draws weights one by one; none is asked here.
      const { class_name: drawn = '' } = (old['kernel_initializer'] ?? {}) as { class_name?: string };
      const initializer = ['Identity', 'Orthogonal'].includes(drawn) ? { kernel_initializer: GLOROT } : {};
      return { ...old, ...initializer, density: Math.max(1, kept.length) / size, alpha, seed: 0, state: { nnz: kept.length } };
    },
    fill(layer) {
      const target = layer as unknown as SparseLayer;
      const { rows, cols } = patternShape(shape);
      target.edit(
        CsrPattern.fromFlat(rows, cols, kept),
        Float32Array.from(kept, (at) => phi[at]),
      );
      if (bias) tf.tidy(() => target.bias?.assign(tf.tensor1d(bias)));
    },
  };
}
