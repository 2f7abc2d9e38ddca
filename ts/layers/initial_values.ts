// Initial values of a sparse layer from the initializers of tfjs.

import * as tf from '@tensorflow/tfjs-core';
import type { initializers } from '@tensorflow/tfjs-layers';
import { OptionError } from '../errors.js';
import { draw, type Spread } from '../ops/whole_layer.js';
import type { CsrPattern } from '../pattern/csr.js';
import { featuresOf, fromKernel, type KernelShape, unitsAreRows } from '../pattern/kernel_shape.js';

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
  // tfjs takes a seed of 0 for none.
  return new Same({ ...config, seed: seed || 2 ** 31 });
}

interface Scaling {
  mode: 'fanIn' | 'fanOut' | 'fanAvg';
  scale: number;
  distribution: 'normal' | 'uniform';
}

/** How glorot, he, leCun and varianceScaling scale; nothing for others. */
function scalingOf(initializer: Initializer): Scaling | undefined {
  const config = initializer.getConfig() as Partial<Scaling>;
  return config.mode && config.scale !== undefined ? (config as Scaling) : undefined;
}

/** The deviation that such an initializer gives a weight of a unit with these fans. */
function deviation({ mode, scale }: Scaling, fanIn: number, fanOut: number): number {
  return Math.sqrt(scale / Math.max(1, { fanIn, fanOut, fanAvg: (fanIn + fanOut) / 2 }[mode]));
}

/**
 * Values `[nnz]` for a random pattern of a kernel. Initializers that scale by fan-in or fan-out (glorot, he, leCun, varianceScaling) see the real ones: each
 * unit's own number of connections in, and the mean number out of a feature; a dense layer's would leave a sparse unit's output too small.
 * Others (randomNormal, constant, zeros, …) are drawn as they are. `identity` and `orthogonal` mean a dense matrix and are refused.
 */
export function valuesFor(initializer: Initializer, pattern: CsrPattern, shape: KernelShape): Float32Array {
  refuseMatrices(initializer, shape);
  const { nnz } = pattern;
  // tfjs reads the fans off the shape: [nnz, 1] means fan-in nnz, fan-out 1.
  const values = drawn(initializer, [nnz, 1]);
  const scaling = scalingOf(initializer);
  if (!scaling) return values;
  const factors = factorsOf(scaling, pattern, shape, deviation(scaling, nnz, 1));
  const byRow = unitsAreRows(shape);
  pattern.forEach((i, row, col) => {
    values[i] *= factors[byRow ? row : col];
  });
  return values;
}

/** For each unit the deviation of its weights over `unit`. */
function factorsOf(scaling: Scaling, { nnz, rows, cols, rowOffsets, colIndices }: CsrPattern, shape: KernelShape, unit: number) {
  const byRow = unitsAreRows(shape);
  const counts = new Float64Array(byRow ? rows : cols);
  if (byRow) for (let row = 0; row < rows; row++) counts[row] = rowOffsets[row + 1] - rowOffsets[row];
  else for (let i = 0; i < nnz; i++) counts[colIndices[i]]++;
  const fanOut = nnz / featuresOf(shape);
  return counts.map((fanIn) => deviation(scaling, fanIn, fanOut) / unit);
}

function refuseMatrices(initializer: Initializer, shape: KernelShape): void {
  const name = initializer.getClassName();
  if (name === 'Identity' || name === 'Orthogonal') {
    const kind = unitsAreRows(shape) ? 'dense' : 'convolution';
    throw new OptionError(`sparse ${kind} kernelInitializer`, 'one that draws weights one by one', name);
  }
}

/**
 * Values for entries that have just been grown, `positions` of `pattern` by flat index: what the initializer would have given a unit with as many
 * connections. Drawn by a hash of `key` and position where the initializer's spread is known, else by the initializer, with `key` as seed.
 */
export function freshValues(
  initializer: Initializer,
  pattern: CsrPattern,
  positions: Uint32Array,
  key: number,
  shape: KernelShape,
): Float32Array {
  const spread = spreadOf(initializer, 1, 1);
  const values = spread ? draw(positions, key, spread, 1).slice() : drawn(seeded(initializer, key), [positions.length, 1]);
  const scaling = scalingOf(initializer);
  if (!scaling) return values;
  const factors = factorsOf(scaling, pattern, shape, deviation(scaling, 1, 1));
  const byRow = unitsAreRows(shape);
  const { cols } = pattern;
  for (let i = 0; i < values.length; i++) {
    const at = positions[i];
    values[i] *= factors[byRow ? Math.floor(at / cols) : at % cols];
  }
  return values;
}

/** How a layer with these fans is spread, for initializers that draw each weight alike; nothing for others. */
export function spreadOf(initializer: Initializer, fanIn: number, fanOut: number): Spread | undefined {
  const scaling = scalingOf(initializer);
  if (scaling) {
    const sigma = deviation(scaling, fanIn, fanOut);
    // As tfjs: its normal is cut at two deviations.
    return scaling.distribution === 'normal'
      ? { kind: 'truncatedNormal', mean: 0, deviation: sigma }
      : { kind: 'uniform', low: -Math.sqrt(3) * sigma, high: Math.sqrt(3) * sigma };
  }
  const { minval, maxval, mean, stddev } = initializer.getConfig() as Record<string, number | undefined>;
  switch (initializer.getClassName()) {
    case 'RandomUniform':
      return { kind: 'uniform', low: minval as number, high: maxval as number };
    case 'RandomNormal':
      return { kind: 'normal', mean: mean as number, deviation: stddev as number };
    case 'TruncatedNormal':
      return { kind: 'truncatedNormal', mean: mean as number, deviation: stddev as number };
    default:
      return undefined;
  }
}

/** Values of a whole layer by flat index, drawn as tfjs would for its kernel. */
export function wholeLayer(initializer: Initializer, shape: KernelShape): Float32Array {
  return fromKernel(drawn(initializer, [...shape]), shape);
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
