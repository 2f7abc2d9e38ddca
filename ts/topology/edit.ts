// The one way in which a layer's pattern changes: values and the optimizer's slots go where their weights go.

import type * as tf from '@tensorflow/tfjs-core';
import type { CsrPattern } from '../pattern/csr.js';
import { releasePattern, sources } from '../wasm/kernels.js';
import { carrySlots } from './carry.js';
import type { SparseLayer } from './sparse_layer.js';

/**
 * Gives `layer` the pattern `next` with `values()`, in its order, and carries the slots that `optimizer` has for it. A pattern that is the same as
 * before changes nothing, and `values` is not asked. Resolves to whether anything moved.
 */
export async function edit(layer: SparseLayer, next: CsrPattern, values: () => Float32Array, optimizer: tf.Optimizer): Promise<boolean> {
  const source = sources(layer.pattern, next);
  if (!source) {
    releasePattern(next);
    return false;
  }
  layer.edit(next, values());
  await carrySlots(optimizer, layer.values.name, source);
  return true;
}
