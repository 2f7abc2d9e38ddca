// The sparse twins of tf.layers.conv2d and tf.layers.conv1d, which is a convolution of images one pixel high.

import * as tf from '@tensorflow/tfjs-core';
import { layers, type Shape } from '@tensorflow/tfjs-layers';
import { checkCount, OptionError, ShapeError } from '../errors.js';
import { sparseConv2d } from '../ops/sparse_conv2d.js';
import { featuresOf, type KernelShape } from '../pattern/kernel_shape.js';
import { outputLength, type Pair, type WindowArgs } from '../pattern/window.js';
import { type Operands, oneShape, type SparseArgs, SparseBase } from './sparse_base.js';

/** What of tfjs's options holds for a sparse layer. */
type Possible<Args> = Omit<Args, 'padding' | 'dataFormat'> & { padding?: 'same' | 'valid'; dataFormat?: 'channelsLast' };

/** Everything that `tf.layers.conv2d` takes but 'channelsFirst' and constraints other than 'nonNeg', and how sparse the layer is. */
export type SparseConv2DLayerArgs = Possible<Parameters<typeof layers.conv2d>[0]> & SparseArgs;
/** Everything that `tf.layers.conv1d` takes but 'causal' padding, 'channelsFirst' and constraints other than 'nonNeg', and how sparse the layer is. */
export type SparseConv1DLayerArgs = Possible<Parameters<typeof layers.conv1d>[0]> & SparseArgs;

/** What both read of their options; saved ones have null where there was nothing. */
interface ConvArgs {
  filters: number;
  kernelSize: number | number[];
  strides?: number | number[] | null;
  padding?: string | null;
  dilationRate?: number | number[] | null;
  dataFormat?: string | null;
  groups?: number | null;
}

/**
 * A convolution of which only some weights exist. Its pattern is that of tfjs's kernel `[height, width, channels, filters]` as a matrix
 * `[height·width·channels, filters]`, so that flat indices are positions in that kernel. Time and memory go with the weights that exist; images may have
 * another size at each call.
 */
abstract class SparseConv extends SparseBase {
  readonly filters: number;
  /** Of a layer in one dimension as of images one pixel high. */
  readonly window: WindowArgs;
  protected readonly axes = ['height·width·channels', 'filters'] as const;

  constructor(
    kind: string,
    readonly dimensions: 1 | 2,
    args: ConvArgs & SparseArgs,
    twin: (name: string) => unknown,
  ) {
    checkCount(`${kind} filters`, args.filters, 1);
    const window = windowArgs(kind, args, dimensions);
    super(kind, args as SparseArgs, twin);
    this.filters = args.filters;
    this.window = window;
    this.inputSpec = [{ ndim: dimensions + 2 }];
  }

  protected override kernelShapeFor(inputShape: Shape): number[] {
    const channels = inputShape[inputShape.length - 1];
    if (channels == null) throw new ShapeError(`${this.name} input`, ['…', 'channels'], inputShape);
    return [...this.window.kernelSize.slice(2 - this.dimensions), channels, this.filters];
  }

  protected override inputSpecFor(kernelShape: KernelShape): layers.Layer['inputSpec'] {
    return [{ ndim: this.dimensions + 2, axes: { [-1]: featuresOf(kernelShape) } }];
  }

  /** Throws a ShapeError for images that are smaller than a 'valid' window. */
  override computeOutputShape(inputShape: Shape | Shape[]): Shape {
    const shape = oneShape(inputShape);
    const { kernelSize, strides, padding, dilationRate } = this.window;
    const space = shape.slice(1, -1).map((size, i) => {
      if (size == null) return null;
      const axis = i + 2 - this.dimensions;
      return outputLength(size, kernelSize[axis], strides[axis], dilationRate[axis], padding);
    });
    if (space.some((size) => size === 0)) {
      const reach = [0, 1].map((axis) => `>= ${(kernelSize[axis] - 1) * dilationRate[axis] + 1}`).slice(2 - this.dimensions);
      throw new ShapeError(`${this.name} input`, ['batch', ...reach, 'channels'], shape);
    }
    return [shape[0], ...space, this.filters];
  }

  protected override product(x: tf.Tensor, operands: Operands): tf.Tensor {
    const shape = this.computeOutputShape(x.shape);
    const [batch, ...rest] = x.shape;
    const images = this.dimensions === 2 ? x : tf.reshape(x, [batch, 1, ...rest]);
    const y = sparseConv2d({ x: images as tf.Tensor4D, ...operands, ...this.window });
    return this.dimensions === 2 ? y : tf.reshape(y, shape as number[]);
  }
}

function windowArgs(kind: string, args: ConvArgs, dimensions: 1 | 2): WindowArgs {
  const { padding, dataFormat, groups } = args;
  if (padding != null && padding !== 'same' && padding !== 'valid') throw new OptionError(`${kind} padding`, "'same' or 'valid'", padding);
  if (dataFormat != null && dataFormat !== 'channelsLast') throw new OptionError(`${kind} dataFormat`, "'channelsLast'", dataFormat);
  if (groups != null && groups !== 1) throw new OptionError(`${kind} groups`, '1: every filter sees all channels', groups);
  return {
    kernelSize: pairOf(`${kind} kernelSize`, args.kernelSize, dimensions),
    strides: pairOf(`${kind} strides`, args.strides ?? 1, dimensions),
    padding: padding ?? 'valid',
    dilationRate: pairOf(`${kind} dilationRate`, args.dilationRate ?? 1, dimensions),
  };
}

function pairOf(what: string, given: number | readonly number[], dimensions: 1 | 2): Pair {
  const all = Array.isArray(given) ? (given as readonly number[]) : [given as number, given as number].slice(2 - dimensions);
  if (all.length !== dimensions) throw new OptionError(what, `a number, or an array of ${dimensions === 1 ? 'one' : 'two'}`, given);
  for (const size of all) checkCount(what, size, 1);
  return dimensions === 1 ? [1, all[0]] : [all[0], all[1]];
}

/** See {@link conv2d}. Pattern: tfjs's kernel `[height, width, channels, filters]` as a matrix `[height·width·channels, filters]`. */
export class SparseConv2D extends SparseConv {
  static readonly className = 'SparseConv2D';

  constructor(args: SparseConv2DLayerArgs) {
    super('layers.conv2d', 2, args as ConvArgs & SparseArgs, (name) => layers.conv2d({ ...args, name }));
  }
}

/** See {@link conv1d}. Pattern: tfjs's kernel `[size, channels, filters]` as a matrix `[size·channels, filters]`. */
export class SparseConv1D extends SparseConv {
  static readonly className = 'SparseConv1D';

  constructor(args: SparseConv1DLayerArgs) {
    super('layers.conv1d', 1, args as ConvArgs & SparseArgs, (name) => layers.conv1d({ ...args, name }));
  }
}

tf.serialization.registerClass(SparseConv2D, 'tfjs-sparse');
tf.serialization.registerClass(SparseConv1D, 'tfjs-sparse');

/**
 * A sparse twin of `tf.layers.conv2d`, for images `[batch, height, width, channels]`. Only some of the weights of its kernel
 * `[kernelHeight, kernelWidth, channels, filters]` exist, any of them: a filter may look at other pixels in each channel.
 *
 * ```js
 * trainingKernels(); // for the first layer: tfjs's wasm backend has no gradient for its own convolutions
 * const model = tf.sequential({ layers: [
 *   tf.layers.conv2d({ inputShape: [28, 28, 1], filters: 32, kernelSize: 3, activation: 'relu' }),
 *   layers.conv2d({ filters: 64, kernelSize: 3, activation: 'relu', density: 0.1 }),
 *   tf.layers.globalAveragePooling2d({ dataFormat: 'channelsLast' }),
 *   tf.layers.dense({ units: 10, activation: 'softmax' }),
 * ] });
 * ```
 *
 * Height and width may be null in `inputShape` and change between calls. A stride beside a dilation is allowed, unlike in tfjs. `channelsFirst` and kernel
 * constraints other than 'nonNeg' are refused by an OptionError, images smaller than a 'valid' window by a ShapeError.
 */
export function conv2d(args: SparseConv2DLayerArgs): SparseConv2D {
  return new SparseConv2D(args);
}

/** A sparse twin of `tf.layers.conv1d`, for sequences `[batch, steps, channels]`. As {@link conv2d} otherwise; 'causal' padding is refused. */
export function conv1d(args: SparseConv1DLayerArgs): SparseConv1D {
  return new SparseConv1D(args);
}
