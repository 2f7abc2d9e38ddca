// Initial values of a sparse layer from the initializers of tfjs.

import * as tf from '@tensorflow/tfjs-core';
import type { initializers } from '@tensorflow/tfjs-layers';
import { OptionError } from '../errors.js';
import type { CsrPattern } from '../pattern/csr.js';

/** What tfjs's initializers have in common. */
export interface Initializer {
  apply(shape: number[], dtype?: tf.DataType): tf.Tensor;
  getConfig(): tf.serialization.ConfigDict;
  getClassName(): string;
}

/** The same initializer with a seed, where it takes one and has none of its own. */
export function seeded<T extends Initializer>(initializer: T, seed: number): T {
  const config = initializer.getConfig();
  if (!('seed' in config) || config.seed != null) return initializer;
  const Same = initializer.constructor as new (config: object) => T;
  return new Same({ ...config, seed });
}

/**
 * Values `[nnz]` for a random pattern. Initializers that scale by fan-in or fan-out (glorot, he, leCun, varianceScaling) see the real ones: each
 * unit's own number of connections in, and the mean number out of a feature; a dense layer's would leave a sparse unit's output too small.
 * Others (randomNormal, constant, zeros, …) are drawn as they are. `identity` and `orthogonal` mean a dense matrix and are refused.
 */
export function valuesFor(initializer: Initializer, pattern: CsrPattern): Float32Array {
  const name = initializer.getClassName();
  if (name === 'Identity' || name === 'Orthogonal') {
    throw new OptionError('sparse dense kernelInitializer', 'one that draws weights one by one', name);
  }
  const { nnz, rows, cols, rowOffsets } = pattern;
  // tfjs reads the fans off the shape: [nnz, 1] means fan-in nnz, fan-out 1.
  const values = drawn(initializer, [nnz, 1]);
  const { mode, scale } = initializer.getConfig() as { mode?: 'fanIn' | 'fanOut' | 'fanAvg'; scale?: number };
  if (!mode || scale === undefined) return values;
  const fan = (fanIn: number, fanOut: number) => Math.max(1, { fanIn, fanOut, fanAvg: (fanIn + fanOut) / 2 }[mode]);
  for (let row = 0; row < rows; row++) {
    const start = rowOffsets[row];
    const end = rowOffsets[row + 1];
    const factor = Math.sqrt(fan(nnz, 1) / fan(end - start, nnz / cols));
    for (let i = start; i < end; i++) values[i] *= factor;
  }
  return values;
}

/** Values of a whole layer W `[rows, cols]`, drawn as tfjs would for its kernel `[cols, rows]`. */
export function wholeLayer(initializer: Initializer, rows: number, cols: number): Float32Array {
  const kernel = drawn(initializer, [cols, rows]);
  const values = new Float32Array(rows * cols);
  for (let row = 0; row < rows; row++) for (let col = 0; col < cols; col++) values[row * cols + col] = kernel[col * rows + row];
  return values;
}

function drawn(initializer: Initializer, shape: number[]): Float32Array {
  const tensor = initializer.apply(shape, 'float32');
  const values = tensor.dataSync().slice() as Float32Array;
  tensor.dispose();
  return values;
}

/** An initializer, as tfjs's `addWeight` takes it, of values that were computed already. */
export function ready(values: () => Float32Array): ReturnType<typeof initializers.zeros> {
  return { apply: (shape: number[]) => tf.tensor(values(), shape) } as unknown as ReturnType<typeof initializers.zeros>;
}
