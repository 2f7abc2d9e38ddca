// One-shot magnitude pruning of a trained model.

import type * as tf from '@tensorflow/tfjs-core';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { checkNumber, checkOptions, OptionError } from '../errors.js';
import { round12 } from '../pattern/distribution.js';
import { carrierOf } from '../topology/carry.js';
import { editAll } from '../topology/edit.js';
import { LayerView } from '../topology/layer_view.js';
import { checkScope, keptOf, type Named, pruneTo, type Scope } from '../topology/select.js';
import { sparseLayers } from '../topology/sparse_layer.js';

export interface PruneArgs {
  /** Share of all positions that keeps its weight, in (0, 1]. A layer keeps ⌊density·size⌋, at least 1. */
  density: number;
  /** How layers share it. Default 'layer'. */
  scope?: Scope | undefined;
  /** With scope 'layer', the last layer keeps min(1, outputFactor·density). Default 2, as in Powerpropagation's notebook; 1 treats it as the others. */
  outputFactor?: number | undefined;
  /** Whose slots follow. Default: the optimizer the model was compiled with, if any. */
  optimizer?: tf.Optimizer | undefined;
}

/**
 * Takes the smallest |θ| out of the sparse layers of a model, once; to be trained on or used as it is. With Powerpropagation, ranking is by θ, not by
 * the stored φ. For models of `tf.layers.dense` or `layers.powerDense`, see `sparsify`.
 *
 * Throws an OptionError when a layer has fewer weights than the density asks for.
 */
export async function prune(model: LayersModel, args: PruneArgs = {} as PruneArgs): Promise<void> {
  checkOptions('prune', args, ['density', 'scope', 'outputFactor', 'optimizer']);
  const { optimizer = model.optimizer } = args;
  const layers = sparseLayers(model);
  if (layers.length === 0) {
    const names = model.layers.map((layer) => layer.name);
    throw new OptionError('prune model', 'one with sparse layers (for dense ones: sparsify)', names);
  }
  for (const layer of layers) {
    if (layer.backwardDensity !== undefined) throw new OptionError('prune model', 'layers without a backwardDensity', layer.name);
  }
  const named = layers.map((layer, i) => ({
    name: layer.name,
    weights: new LayerView(layer, i, 0, 0).weights,
    size: layer.pattern.rows * layer.pattern.cols,
  }));
  const kept = keptBy('prune', named, args);
  // Nothing grows: no record of explored positions is begun.
  editAll(pruneTo(layers, kept), optimizer ? await carrierOf(optimizer) : () => () => {}, false);
}

/** A layer's weights, among `size` positions. */
export interface Prunable extends Named {
  size: number;
}

/** Positions of the weights that stay in each layer. */
export function keptBy(
  name: string,
  layers: readonly Prunable[],
  { density, scope = 'layer', outputFactor = 2 }: PruneArgs,
): Uint32Array[] {
  checkNumber(`${name} density`, density, 0, 1, true);
  const large = layers.find(({ size }) => size >= 2 ** 32);
  if (large) throw new OptionError(`${name} model`, 'layers of fewer than 2^32 positions', `${large.name}, ${large.size}`);
  checkScope(`${name} scope`, scope);
  checkNumber(`${name} outputFactor`, outputFactor, 0, Infinity, true);
  const share = (i: number) => (scope === 'layer' && i === layers.length - 1 ? Math.min(1, outputFactor * density) : density);
  const targets = layers.map(({ size }, i) => Math.max(1, Math.floor(round12(share(i) * size))));
  const short = layers.findIndex(({ weights }, i) => weights.length < targets[i]);
  const total = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
  if (scope === 'layer' && short >= 0) {
    const { name: layer, size, weights } = layers[short];
    throw new OptionError(
      `${name} density for ${layer}`,
      `at most what it has, ${weights.length} of ${size} weights`,
      `${share(short)} (${targets[short]})`,
    );
  }
  if (scope !== 'layer' && total(layers.map(({ weights }) => weights.length)) < total(targets)) {
    throw new OptionError(
      `${name} density`,
      `at most what the model has, ${total(layers.map(({ weights }) => weights.length))} weights`,
      density,
    );
  }
  return keptOf(name, layers, targets, scope);
}
