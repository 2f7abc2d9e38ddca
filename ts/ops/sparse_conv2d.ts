// A convolution with a sparse kernel, and its gradients: the op of the sparse convolutional layers.

import type * as tf from '@tensorflow/tfjs-core';
import { checkCount, OptionError, ShapeError } from '../errors.js';
import type { CsrPattern } from '../pattern/csr.js';
import { type Pair, type Window, windowOver } from '../pattern/window.js';
import * as convolution from '../wasm/convolution.js';
import { type Decay, NO_DECAY } from '../wasm/kernels.js';
import { abroad, defineGradient, defineKernel, numbers, runKernel } from './kernel.js';
import { defineOnePass } from './one_pass.js';
import type { Probe } from './probe.js';
import { checkFused, type FusedActivation } from './sparse_dense.js';

export interface SparseConv2dArgs {
  /** `[batch, height, width, channels]`, float32. */
  x: tf.Tensor4D;
  /** `[nnz]`, float32, in the pattern's order. */
  values: tf.Tensor1D;
  /** `[filters]`, float32. Default: none. */
  bias?: tf.Tensor1D | undefined;
  /** Where the values sit: `[kernelHeight·kernelWidth·channels, filters]`, so that flat indices are those of tfjs's kernel. Up to 65 536 channels and filters. */
  pattern: CsrPattern;
  /** Rows and columns of the kernel. */
  kernelSize: Pair;
  /** Default: [1, 1]. */
  strides?: Pair;
  /** 'same' adds the odd row or column at the bottom or right, as tfjs does. Default: 'valid'. */
  padding?: 'same' | 'valid';
  /** Beside strides above 1 as well. Default: [1, 1]. */
  dilationRate?: Pair;
  /** Default: 'linear'. */
  activation?: FusedActivation;
  /** Adds `decay·values` to the gradient of the values, one factor for the forward set and one for the rest. Default: nothing. */
  decay?: Decay;
  /** Keeps x and dy of the backward pass, for methods that ask about the dense gradient. Default: none. */
  probe?: Probe | undefined;
}

interface Attrs {
  pattern: CsrPattern;
  window: Window;
  activation: FusedActivation;
  decay: Decay;
  probe: Probe | undefined;
  biased: boolean;
  gradient: tf.GradFunc;
}

/** Of a kernel, a stride or a dilation. */
const MOST = 65_535;

/**
 * `act(x ∗ W + bias)`, `[batch, outHeight, outWidth, filters]`, where W, tfjs's kernel `[kernelHeight, kernelWidth, channels, filters]`, has `values` at the
 * places of `pattern`. Only the forward set takes part; the gradient of `values` covers the whole pattern. Costs 2·nnz·outHeight·outWidth·batch operations
 * forward and twice that backward, in one pass. Beside x and y it takes working memory, whatever the batch: for 16 images all
 * of x or, backward, of dy, of the others as many rows as make some 6000 numbers an image; 0.8 MB; and 4 bytes a weight, backward 20. It stays.
 *
 * Throws a {@link ShapeError} when shapes and pattern disagree, or the window is larger than the image with 'valid'.
 *
 * ```js
 * const pattern = randomPattern(3 * 3 * 64, 128, 7373, 1); // taps·channels, filters, nnz, seed
 * const y = sparseConv2d({ x, values, pattern, kernelSize: [3, 3], padding: 'same', activation: 'relu' });
 * ```
 */
export function sparseConv2d(args: SparseConv2dArgs): tf.Tensor4D {
  const { x, values, bias, pattern, activation = 'linear', decay = NO_DECAY, probe } = args;
  checkFused('sparseConv2d', activation);
  const window = windowOf(args);
  if (values.rank !== 1 || values.size !== pattern.nnz) throw new ShapeError('sparseConv2d values', [pattern.nnz], values.shape);
  if (bias && (bias.rank !== 1 || bias.size !== pattern.cols)) throw new ShapeError('sparseConv2d bias', [pattern.cols], bias.shape);
  const attrs: Attrs = { pattern, window, activation, decay, probe, biased: bias !== undefined, gradient };
  // Under the tape a key whose value is undefined fails inside tfjs: leave it out.
  return runKernel<tf.Tensor4D>('sparseConv2d', bias ? { x, values, bias } : { x, values }, attrs);
}

function windowOf({ x, pattern, kernelSize, strides = [1, 1], padding = 'valid', dilationRate = [1, 1] }: SparseConv2dArgs): Window {
  if (padding !== 'same' && padding !== 'valid') throw new OptionError('sparseConv2d padding', "'same' or 'valid'", padding);
  for (const [name, pair] of Object.entries({ kernelSize, strides, dilationRate })) {
    if (!Array.isArray(pair) || pair.length !== 2) throw new OptionError(`sparseConv2d ${name}`, 'two numbers', pair);
    for (const each of pair) {
      if (checkCount(`sparseConv2d ${name}`, each, 1) > MOST) throw new OptionError(`sparseConv2d ${name}`, `at most ${MOST}`, each);
    }
  }
  const taps = kernelSize[0] * kernelSize[1];
  const channels = pattern.rows / taps;
  if (!Number.isInteger(channels) || channels === 0)
    throw new ShapeError('sparseConv2d pattern', [`${taps}·channels`, 'filters'], [pattern.rows, pattern.cols]);
  if (x.rank !== 4 || x.shape[3] !== channels) throw new ShapeError('sparseConv2d x', ['batch', 'height', 'width', channels], x.shape);
  const window = windowOver({ kernelSize, strides, padding, dilationRate }, [x.shape[1], x.shape[2]], channels, pattern.cols);
  if (window.outHeight === 0 || window.outWidth === 0) {
    const least = [0, 1].map((i) => (padding === 'same' ? 1 : (kernelSize[i] - 1) * dilationRate[i] + 1));
    throw new ShapeError(`sparseConv2d x with padding '${padding}'`, ['batch', `≥ ${least[0]}`, `≥ ${least[1]}`, channels], x.shape);
  }
  return window;
}

const outputShape = (batch: number, { outHeight, outWidth, filters }: Window) => [batch, outHeight, outWidth, filters];

defineKernel<Attrs>(
  'sparseConv2d',
  ({ x, values, bias }, { pattern, window, activation }, room) => {
    const [batch] = x.shape;
    const y = room as Float32Array;
    convolution.forward(pattern, window, batch, abroad(x), numbers(values), bias && numbers(bias), activation === 'relu', y);
    return { shape: outputShape(batch, window), values: y };
  },
  ({ x }, { window }) => outputShape(x.shape[0], window),
);

const gradientOf = defineOnePass<Attrs>(
  'sparseConv2d',
  (operands, { pattern, window, decay, probe }, wantDx, room) => {
    const [batch] = operands.x.shape;
    const through = {
      x: abroad(operands.x),
      values: numbers(operands.values),
      y: operands.y && abroad(operands.y),
      dy: abroad(operands.dy),
    };
    const { dValues, dBias } = convolution.backward(pattern, window, batch, through, wantDx ? room : undefined, decay);
    probe?.recordWindow(window, batch, through.x, through.dy, through.y);
    return { dx: wantDx && room ? { shape: operands.x.shape, values: room } : undefined, dValues, dBias };
  },
  true,
);

const gradient = gradientOf(([x, values, y], { activation }) => ({ x, values, ...(activation === 'relu' ? { y } : {}) }));

defineGradient('sparseConv2d', { inputs: ['x', 'values'], outputs: [true] });
