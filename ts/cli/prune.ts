// `tfjs-sparse prune`: the largest weights of a saved model as a sparse one.

import * as tf from '@tensorflow/tfjs-core';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { OptionError } from '../errors.js';
import { copyWith, type Replacement } from '../methods/copy.js';
import { type PruneArgs, prune } from '../methods/prune.js';
import { sparsify } from '../methods/sparsify.js';
import { forwardWeights } from '../topology/forward_weights.js';
import { type SparseLayer, sparseLayers } from '../topology/sparse_layer.js';
import { useInstalledBackend } from './backend.js';
import type { PruneOptions } from './options.js';
import { checkNewModel } from './out.js';
import { loadModel, saveModel } from './saved_model.js';
import { told } from './told.js';

export async function pruneSaved(path: string, out: string, { density, scope, outputFactor, json }: PruneOptions): Promise<void> {
  if (outputFactor !== undefined && scope !== 'layer') throw new OptionError('--output-factor', '--scope layer', scope);
  await checkNewModel(out);
  await useInstalledBackend();
  const pruned = await prunedCopy(await loadModel(path), { density, scope, outputFactor });
  await saveModel(out, pruned);
  told(out, pruned, json);
}

/** The sparse layers of a model pruned or, where there are none, the dense ones. */
async function prunedCopy(model: LayersModel, args: PruneArgs): Promise<LayersModel> {
  if (sparseLayers(model).length === 0) return sparsify(model, args);
  const plain = await withoutTopKast(model);
  await prune(plain, args);
  return plain;
}

/** Top-KAST layers become ordinary ones that hold the forward set. A model without any stays what it is, with its optimizer. */
async function withoutTopKast(model: LayersModel): Promise<LayersModel> {
  const kast = sparseLayers(model).filter(({ backwardDensity }) => backwardDensity !== undefined);
  if (kast.length === 0) return model;
  return copyWith('prune', model, new Map(kast.map((layer) => [layer.name, ordinary(layer)])));
}

function ordinary(layer: SparseLayer): Replacement {
  const { pattern, phi } = forwardWeights(layer);
  return {
    className: layer.getClassName(),
    config: (old) => ({ ...old, backward_density: null, theta: null, max_frozen: null, state: { nnz: pattern.nnz } }),
    fill(copy) {
      const target = copy as unknown as SparseLayer;
      target.edit(pattern, phi);
      tf.tidy(() => layer.bias && target.bias?.assign(layer.bias));
    },
  };
}
