// Bytes that training holds for its parameters: counted from the arrays themselves, and for the dense twin from its size.

import type * as tf from '@tensorflow/tfjs-core';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { unitsOf } from '../pattern/kernel_shape.js';
import { layerBytes, sizeOf } from '../topology/bytes.js';
import { isDense, isSparse } from '../topology/sparse_layer.js';
import { grouped } from '../topology/table.js';

/** Arrays of a parameter's size that an optimizer keeps. */
const SLOTS: Record<string, number> = { SparseSgd: 0, SparseMomentum: 1, SparseAdam: 3 };
const FLOAT = 4;

export interface LayerFootprint {
  name: string;
  density: number;
  nnz: number;
  /** What the layer holds, its gradient and the optimizer's moments. */
  bytes: number;
  /** The same of a layer with every weight. */
  denseBytes: number;
}

/** What sparse and dense layers cost while they train: what they hold, the gradient, which is there at the end of each step, and the slots. */
export function footprint(model: LayersModel, optimizer: tf.Optimizer): LayerFootprint[] {
  // Adam counts steps by weight; a dense Adam has two moments.
  const slots = SLOTS[optimizer.getClassName()] ?? 0;
  const denseSlots = Math.min(slots, 2);
  return model.layers
    .filter((layer) => isSparse(layer) || isDense(layer))
    .map((layer) => {
      const shape = isSparse(layer) ? layer.kernelShape : (layer.weights[0].shape as number[]);
      const [size, biases] = [sizeOf(shape), hasBias(layer) ? unitsOf(shape) : 0];
      const denseBytes = FLOAT * (size + biases) * (2 + denseSlots);
      if (!isSparse(layer)) return { name: layer.name, density: 1, nnz: size, bytes: denseBytes, denseBytes };
      const { nnz, forwardNnz } = layer.pattern;
      const bytes = layerBytes(layer) + FLOAT * (nnz + biases) * (1 + slots);
      return { name: layer.name, density: forwardNnz / size, nnz: forwardNnz, bytes, denseBytes };
    });
}

function hasBias(layer: LayersModel['layers'][number]): boolean {
  return isSparse(layer) ? layer.bias !== undefined : layer.weights.length > 1;
}

export function kilobytes(bytes: number): string {
  return `${grouped(Math.round(bytes / 1024))} kB`;
}
