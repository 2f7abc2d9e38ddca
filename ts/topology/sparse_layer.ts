// What a training method needs of a layer: the only way from this room to the layers.

import type * as tf from '@tensorflow/tfjs-core';
import type { CsrPattern } from '../pattern/csr.js';
import type { Decay } from '../wasm/kernels.js';
import type { WasmArray } from '../wasm/memory.js';

export interface SparseLayer {
  readonly name: string;
  readonly pattern: CsrPattern;
  /** `[nnz]`, in the pattern's order. */
  readonly values: tf.Variable;
  readonly density: number;
  readonly backwardDensity: number | undefined;
  /** The whole vector `[rows·cols]` of a Top-KAST layer, up to date. */
  readonly theta: WasmArray;
  trainable: boolean;
  decay: Decay;
  edit(pattern: CsrPattern, values: Float32Array): void;
}

interface Container {
  layers?: unknown[];
}

/** The sparse layers of a model, in order, models within it included; each once. */
export function sparseLayers(model: unknown): SparseLayer[] {
  const found = new Set<SparseLayer>();
  const visit = (node: unknown): void => {
    if (isSparse(node)) found.add(node);
    for (const inner of (node as Container).layers ?? []) visit(inner);
  };
  visit(model);
  return [...found];
}

function isSparse(layer: unknown): layer is SparseLayer {
  return typeof (layer as SparseLayer).edit === 'function' && 'backwardDensity' in (layer as object);
}
