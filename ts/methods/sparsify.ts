// A sparse model from a trained dense one.

import * as tf from '@tensorflow/tfjs-core';
import { type LayersModel, models } from '@tensorflow/tfjs-layers';
import { OptionError } from '../errors.js';
import { thetaOf } from '../ops/powerprop.js';
import { CsrPattern } from '../pattern/csr.js';
import { type SparseLayer, sparseLayers } from '../topology/sparse_layer.js';
import { type PruneArgs, pruned } from './prune.js';

const GLOROT = { class_name: 'GlorotNormal', config: {} };

interface LayerConfig {
  class_name: string;
  config: Record<string, unknown> & { name: string; layers?: LayerConfig[] };
}

interface DenseLayer {
  name: string;
  units: number;
  alpha?: number;
  getClassName(): string;
  getWeights(): { dataSync(): ArrayLike<number>; shape: number[] }[];
}

/**
 * A copy of a model in which `tf.layers.dense` and `layers.powerDense` have become sparse layers that hold their largest weights: pruned at once, as
 * `prune` does. Other layers keep what they are. Not compiled. Costs a copy of the model for a moment.
 */
export async function sparsify(model: LayersModel, args: Omit<PruneArgs, 'optimizer'>): Promise<LayersModel> {
  const inner = model.layers.find((layer) => 'layers' in layer);
  if (inner) throw new OptionError('sparsify model', 'one without models inside', inner.name);
  const dense = model.layers.filter((layer) => ['Dense', 'PowerDense'].includes(layer.getClassName())) as unknown as DenseLayer[];
  if (dense.length === 0)
    throw new OptionError(
      'sparsify model',
      'one with dense layers',
      model.layers.map((layer) => layer.name),
    );
  const found = dense.map((layer) => {
    // tfjs's kernel is [in, units]; W is [units, in].
    const [kernel, bias] = layer.getWeights();
    const cols = kernel.shape[0];
    const stored = kernel.dataSync();
    const phi = new Float32Array(stored.length);
    for (let row = 0; row < layer.units; row++)
      for (let col = 0; col < cols; col++) phi[row * cols + col] = stored[col * layer.units + row];
    const alpha = layer.alpha ?? 1;
    return {
      name: layer.name,
      rows: layer.units,
      cols,
      phi,
      alpha,
      weights: thetaOf(phi, alpha),
      size: phi.length,
      bias: bias?.dataSync() as Float32Array | undefined,
    };
  });
  const kept = pruned('sparsify', found, args);
  const json = model.toJSON(null, false) as unknown as LayerConfig;
  for (const layer of json.config.layers ?? []) {
    const i = found.findIndex(({ name }) => name === layer.config.name);
    if (i < 0) continue;
    const { alpha } = found[i];
    layer.class_name = 'SparseDense';
    // A layer of its own needs an initializer that draws weights one by one; none is asked here.
    const { kernel_initializer: drawn } = layer.config as { kernel_initializer?: { class_name?: string } };
    if (['Identity', 'Orthogonal'].includes(drawn?.class_name ?? '')) layer.config.kernel_initializer = GLOROT;
    layer.config = { ...layer.config, density: args.density, alpha, seed: 0, state: { nnz: kept[i].length } };
  }
  const sparse = await models.modelFromJSON({ modelTopology: json as never });
  for (const layer of sparse.layers) {
    const i = found.findIndex(({ name }) => name === layer.name);
    if (i < 0) {
      layer.setWeights(model.getLayer(layer.name).getWeights());
      continue;
    }
    const { rows, cols, phi, bias } = found[i];
    const target = sparseLayers({ layers: [layer] })[0] as SparseLayer & { bias: tf.Variable | undefined };
    target.edit(
      CsrPattern.fromFlat(rows, cols, kept[i]),
      Float32Array.from(kept[i], (at) => phi[at]),
    );
    if (bias) tf.tidy(() => target.bias?.assign(tf.tensor1d(bias)));
  }
  return sparse;
}
