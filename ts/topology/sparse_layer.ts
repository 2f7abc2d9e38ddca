// What a training method needs of a layer: the only way from this room to the layers.

import type * as tf from '@tensorflow/tfjs-core';
import type { Probe } from '../ops/probe.js';
import type { CsrPattern } from '../pattern/csr.js';
import type { KernelShape } from '../pattern/kernel_shape.js';
import type { Decay } from '../wasm/kernels.js';

export interface SparseLayer {
  readonly name: string;
  readonly pattern: CsrPattern;
  /** `[nnz]`, in the pattern's order: weights, or φ where `alpha` is not 1. */
  readonly values: tf.Variable;
  /** The shape of the kernel of its twin in tfjs, which says how the pattern lies. */
  readonly kernelShape: KernelShape;
  /** One number for each unit or filter, if the layer has them. */
  readonly bias: tf.Variable | undefined;
  readonly density: number;
  readonly backwardDensity: number | undefined;
  readonly alpha: number;
  trainable: boolean;
  decay: Decay;
  probe: Probe | undefined;
  owner: { readonly name: string } | undefined;
  /** Whether it is a Top-KAST layer that trains and no method explores. */
  readonly orphaned: boolean;
  /** Name and options of the method that trained it last, as JSON. */
  method: string | undefined;
  getClassName(): string;
  /** The whole vector of a Top-KAST layer `[rows·cols]`, a copy. */
  theta(): Float32Array;
  /** Top-KAST's sets as the weights stand, which it is to be given by `edit`. */
  largest(forwardNnz?: number): { pattern: CsrPattern; values: Float32Array };
  /** Values for grown entries, as the layer's initializer would draw them. */
  fresh(pattern: CsrPattern, positions: Uint32Array, key: number): Float32Array;
  /** One bit for each position where a weight has ever been. */
  explored(): Uint32Array;
  edit(pattern: CsrPattern, values: Float32Array): void;
}

/** What a layer holds: a model several layers, a wrapper such as timeDistributed one, others none. */
export function layersIn(node: unknown): unknown[] {
  const { layers = [], layer } = node as { layers?: unknown[]; layer?: unknown };
  return layer ? [...layers, layer] : layers;
}

/** The sparse layers of a model, in order, those of models within it and in wrappers included; each once. */
export function sparseLayers(model: unknown): SparseLayer[] {
  const found = new Set<SparseLayer>();
  const visit = (node: unknown): void => {
    if (isSparse(node)) found.add(node);
    layersIn(node).forEach(visit);
  };
  visit(model);
  return [...found];
}

export function isSparse(layer: unknown): layer is SparseLayer {
  return typeof (layer as SparseLayer).edit === 'function' && 'backwardDensity' in (layer as object);
}

/** The classes of tfjs, and of ours with whole kernels, that have a sparse twin, and its class. */
const TWINS: Record<string, string> = { Dense: 'SparseDense', PowerDense: 'SparseDense', Conv2D: 'SparseConv2D', Conv1D: 'SparseConv1D' };

/** The class of the sparse layer that computes what this one does. Nothing for sparse layers, and where there is none. */
export function sparseTwinOf(layer: { getClassName(): string }): string | undefined {
  const { dataFormat, padding } = layer as { dataFormat?: string; padding?: string };
  return dataFormat === 'channelsFirst' || padding === 'causal' ? undefined : TWINS[layer.getClassName()];
}

/** Whether a layer has a whole kernel and could be sparse: tfjs's dense layers and convolutions, and `layers.powerDense`. */
export function isDense(layer: { getClassName(): string }): boolean {
  return sparseTwinOf(layer) !== undefined;
}

/** The class of tfjs that a sparse layer is the twin of. */
export function denseTwinOf(layer: SparseLayer): string {
  return layer.getClassName().slice('Sparse'.length);
}
