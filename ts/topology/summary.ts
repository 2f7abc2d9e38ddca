// What a model is made of, as tfjs's `model.summary()` tells it, with what matters of a sparse one.

import type { LayersModel, layers } from '@tensorflow/tfjs-layers';
import { layerBytes, sizeOf } from './bytes.js';
import { isDense, isSparse } from './sparse_layer.js';
import { grouped, percent, table } from './table.js';

/** A row of a {@link summary}. */
export interface LayerSummary {
  /** The layer's name, after that of a model within the model and a slash. */
  name: string;
  /** The class: 'SparseDense', 'SparseConv2D', 'Dense', …; of a wrapper 'TimeDistributed of SparseDense'. */
  type: string;
  /** null where a size is open, as the batch's; undefined for a layer that is used with several shapes. */
  outputShape: (number | null)[] | undefined;
  /** Numbers that are trained, or kept beside them as the means of a batch normalization. Of a sparse layer values and bias, without pattern. */
  params: number;
  /** Weights in the forward pass over positions; 1 for a dense layer or convolution of tfjs. Undefined for layers that have no sparse twin. */
  density: number | undefined;
  /** Weights in the forward pass, biases not counted. Of a Top-KAST layer the set A, where `params` counts B. */
  nnz: number | undefined;
  /**
   * Held between two steps: weights of 4 bytes and, of a sparse layer, its pattern in JavaScript and in wasm memory (there from the first product on),
   * Top-KAST's vector and the record of explored positions. Not gradients, nor what an optimizer keeps.
   */
  bytes: number;
  /**
   * Multiplications with a weight in the forward pass of one sample, in a convolution those with the padding around an image included. Undefined where a
   * size is open, and for layers that have no sparse twin.
   */
  multiplyAdds: number | undefined;
}

export interface Summary {
  /** In the model's order, those of models within it included; a layer used twice once. */
  layers: LayerSummary[];
  /** Sums. `density` over all positions of sparse and dense layers (1 where there are none); what is undefined in a row counts as none. */
  total: { params: number; density: number; nnz: number; bytes: number; multiplyAdds: number };
}

/**
 * Prints a model's layers with output shape, parameters, density, nnz, bytes and multiply-adds per sample, and returns the same as numbers. Like tfjs's
 * `model.summary()`; columns are as wide as they need to be.
 *
 * `printFn` is called with each line. Default: `console.log`. To print nothing: `summary(model, () => {})`.
 */
export function summary(model: LayersModel, printFn: (line: string) => void = console.log): Summary {
  const found = summarise(model);
  for (const line of summaryText(found)) printFn(line);
  return found;
}

/** See {@link summary}. */
export function summarise(model: LayersModel): Summary {
  const rows: LayerSummary[] = [];
  const total = { params: 0, density: 1, nnz: 0, bytes: 0, multiplyAdds: 0 };
  let positions = 0;
  for (const [name, outer] of allLayers(model)) {
    const layer = within(outer);
    const size = positionsOf(layer);
    const row = rowOf(name, outer, layer, size);
    rows.push(row);
    positions += size ?? 0;
    total.params += row.params;
    total.nnz += row.nnz ?? 0;
    total.bytes += row.bytes;
    total.multiplyAdds += row.multiplyAdds ?? 0;
  }
  if (positions > 0) total.density = total.nnz / positions;
  return { layers: rows, total };
}

/** Each layer once, by name: after that of a model within the model and a slash. */
export function allLayers(model: LayersModel): Map<string, layers.Layer> {
  const found = new Map<string, layers.Layer>();
  const seen = new Set<layers.Layer>();
  const visit = (inner: LayersModel, prefix: string) => {
    for (const layer of inner.layers) {
      if (seen.has(layer)) continue;
      seen.add(layer);
      if ('layers' in layer) visit(layer as unknown as LayersModel, `${prefix}${layer.name}/`);
      else found.set(`${prefix}${layer.name}`, layer);
    }
  };
  visit(model, '');
  return found;
}

/** The layer in a wrapper such as timeDistributed, if it is one that is sparse or could be; else the layer itself. */
function within(layer: layers.Layer): layers.Layer {
  const { layer: inner } = layer as { layer?: Partial<layers.Layer> };
  return typeof inner?.getClassName === 'function' && (isSparse(inner) || isDense(inner as layers.Layer)) ? (inner as layers.Layer) : layer;
}

/** Positions where a weight could be. Nothing for layers that are neither sparse nor dense. */
function positionsOf(layer: layers.Layer): number | undefined {
  if (isSparse(layer)) return layer.pattern.rows * layer.pattern.cols;
  return isDense(layer) ? sizeOf(layer.weights[0].shape) : undefined;
}

function rowOf(name: string, outer: layers.Layer, layer: layers.Layer, positions: number | undefined): LayerSummary {
  const sparse = isSparse(layer) ? layer : undefined;
  const nnz = sparse ? sparse.pattern.forwardNnz : positions;
  const outputShape = outputShapeOf(outer);
  // The kernel is used once for each place in the dimensions between, of a dense layer as of a convolution.
  const places = outputShape?.slice(1, -1).reduce((n: number, dim) => n * (dim ?? Number.NaN), 1) ?? Number.NaN;
  const biased = sparse?.bias?.size ?? 0;
  return {
    name,
    type: outer === layer ? layer.getClassName() : `${outer.getClassName()} of ${layer.getClassName()}`,
    outputShape,
    params: sparse ? sparse.values.size + biased : layer.weights.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    density: nnz === undefined || positions === undefined ? undefined : nnz / positions,
    nnz,
    bytes: layerBytes(layer),
    multiplyAdds: nnz === undefined || Number.isNaN(places) ? undefined : nnz * places,
  };
}

function outputShapeOf(layer: layers.Layer): (number | null)[] | undefined {
  try {
    // Several outputs: a list of shapes, of which none is the layer's.
    const shape = layer.outputShape as (number | null)[] | (number | null)[][];
    return Array.isArray(shape[0]) ? undefined : (shape as (number | null)[]);
  } catch {
    // tfjs's way to say that there are several.
    return undefined;
  }
}

/** The lines of a summary. */
export function summaryText({ layers, total }: Summary): string[] {
  const shown = (count: number | undefined) => (count === undefined ? '' : grouped(count));
  const rows = table([
    ['Layer (type)', 'Output shape', 'Param #', 'Density', 'nnz', 'Bytes', 'Multiply-adds'],
    ...layers.map(({ name, type, outputShape, params, density, nnz, bytes, multiplyAdds }) => [
      `${name} (${type})`,
      outputShape ? JSON.stringify(outputShape) : 'multiple',
      grouped(params),
      density === undefined ? '' : percent(density),
      shown(nnz),
      grouped(bytes),
      shown(multiplyAdds),
    ]),
    ['Total', '', grouped(total.params), percent(total.density), grouped(total.nnz), grouped(total.bytes), grouped(total.multiplyAdds)],
  ]).split('\n');
  const width = Math.max(...rows.map((row) => row.length));
  const [head, ...rest] = rows;
  return [head, '='.repeat(width), ...rest.slice(0, -1), '='.repeat(width), ...rest.slice(-1)];
}
