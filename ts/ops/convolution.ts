// tfjs's dense and depthwise convolutions of images `[batch, height, width, channels]`, forward and back, by our kernels.

import * as tf from '@tensorflow/tfjs-core';
import type { Window } from '../pattern/window.js';
import * as conv from '../wasm/conv.js';
import { activationOf } from './activation.js';
import { type OpenBridge, readAll } from './kernel.js';
import { type Call, written } from './replaced.js';

type Conv2DInfo = tf.backend_util.Conv2DInfo;

/** What the attributes of these kernels have in common. */
interface Attrs {
  readonly strides: number | [number, number];
  readonly dilations?: number | [number, number];
  readonly pad: number | 'same' | 'valid' | tf.backend_util.ExplicitPadding;
  readonly dataFormat?: 'NHWC' | 'NCHW';
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil';
  /** Of those that go back. */
  readonly inputShape: [number, number, number, number];
  readonly filterShape: [number, number, number, number];
}

interface Plan {
  readonly window: Window;
  readonly batch: number;
  readonly info: Conv2DInfo;
}

/** The convolution that is asked for, if it is one for our kernels. `dy` must be of the shape that follows from the others. */
function planned(
  { inputs, attrs }: Call,
  inputShape: number[],
  filterShape: number[],
  dilations: number | [number, number],
  depthwise: boolean,
): Plan | undefined {
  const { strides, pad, dimRoundingMode, dataFormat = 'NHWC' } = attrs as unknown as Attrs;
  if (dataFormat !== 'NHWC' || Object.values(inputs).some((input) => input && input.dtype !== 'float32')) return;
  const info = tf.backend_util.computeConv2DInfo(
    inputShape as Attrs['inputShape'],
    filterShape as Attrs['filterShape'],
    strides,
    dilations,
    pad,
    dimRoundingMode,
    depthwise,
  );
  const { dy } = inputs;
  if (info.outHeight < 1 || info.outWidth < 1 || (dy && !tf.util.arraysEqual(dy.shape, info.outShape))) return;
  const window = windowOf(info);
  return window && { window, batch: info.batchSize, info };
}

/** The window of such an operation; nothing for what tfjs lets through and our kernels do not know: padding below 0, strides between whole numbers. */
export function windowOf(info: Conv2DInfo): Window | undefined {
  const window = {
    height: info.inHeight,
    width: info.inWidth,
    channels: info.inChannels,
    outHeight: info.outHeight,
    outWidth: info.outWidth,
    filters: info.outChannels,
    kernelHeight: info.filterHeight,
    kernelWidth: info.filterWidth,
    strideHeight: info.strideHeight,
    strideWidth: info.strideWidth,
    dilationHeight: info.dilationHeight,
    dilationWidth: info.dilationWidth,
    top: info.padInfo.top,
    left: info.padInfo.left,
  };
  return Object.values(window).every((number) => Number.isInteger(number) && number >= 0 && number < 2 ** 31) ? window : undefined;
}

/** `tf.conv2d`, and `tf.fused.conv2d` with its bias and activation; nothing where the kernel before shall answer. */
export function conv2d<B extends tf.KernelBackend>(call: Call, bridge: OpenBridge<B>): tf.TensorInfo | undefined {
  const { x, filter, bias } = call.inputs as Record<'x' | 'filter', tf.TensorInfo> & { bias?: tf.TensorInfo };
  const plan = planned(call, x.shape, filter.shape, (call.attrs as unknown as Attrs).dilations ?? 1, false);
  const activation = activationOf(call);
  if (!plan || !activation) return;
  const { window, batch, info } = plan;
  if (tf.getBackend() === 'wasm' && betterAsShipped(window)) return;
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== window.filters)) return;
  const inputs = bias ? [x, filter, bias] : [x, filter];
  const result = written(bridge, call.backend as B, info.outShape, inputs, (y, x, w, bias) =>
    conv.convForward(window, batch, x, w, bias, activation.relu, y),
  );
  return activation.finish(result);
}

/**
 * Whether tfjs's wasm backend, which goes forward by XNNPACK, is faster: it packs no windows, and we need some channels and filters to make up for that. Batch
 * 32, 3×3, 3 channels to 32 filters: 1.5 ms, ours 3.1; 16 to 32 both 2.1; 64 to 64 1.2 to 2 times as fast by ours.
 * Kernels smaller than the stride it sets down at wrong places when padding is 'same'.
 */
function betterAsShipped(window: Window): boolean {
  const overlaps = window.kernelHeight >= window.strideHeight && window.kernelWidth >= window.strideWidth;
  return overlaps && (window.channels < 16 || window.filters < 32);
}

/** The gradient of the images, by which `tf.conv2dTranspose` goes forward. tfjs's has no dilations. */
export function conv2dBackpropInput<B extends tf.KernelBackend>(call: Call, bridge: OpenBridge<B>): tf.TensorInfo | undefined {
  return inputGradient(conv.convInputGradient, call, bridge, false);
}

export function conv2dBackpropFilter<B extends tf.KernelBackend>(call: Call, bridge: OpenBridge<B>): tf.TensorInfo | undefined {
  return filterGradient(conv.convFilterGradient, call, bridge, false);
}

export function depthwiseBackpropInput<B extends tf.KernelBackend>(call: Call, bridge: OpenBridge<B>): tf.TensorInfo | undefined {
  return inputGradient(conv.depthwiseInputGradient, call, bridge, true);
}

export function depthwiseBackpropFilter<B extends tf.KernelBackend>(call: Call, bridge: OpenBridge<B>): tf.TensorInfo | undefined {
  return filterGradient(conv.depthwiseFilterGradient, call, bridge, true);
}

function inputGradient<B extends tf.KernelBackend>(
  kernel: typeof conv.convInputGradient,
  call: Call,
  bridge: OpenBridge<B>,
  depthwise: boolean,
): tf.TensorInfo | undefined {
  const { dy, filter } = call.inputs as Record<'dy' | 'filter', tf.TensorInfo>;
  const { inputShape, dilations } = call.attrs as unknown as Attrs;
  const plan = planned(call, inputShape, filter.shape, (depthwise && dilations) || 1, depthwise);
  return (
    plan && written(bridge, call.backend as B, plan.info.inShape, [dy, filter], (dx, dy, w) => kernel(plan.window, plan.batch, dy, w, dx))
  );
}

function filterGradient<B extends tf.KernelBackend>(
  kernel: typeof conv.convFilterGradient,
  call: Call,
  bridge: OpenBridge<B>,
  depthwise: boolean,
): tf.TensorInfo | undefined {
  const { x, dy } = call.inputs as Record<'x' | 'dy', tf.TensorInfo>;
  const { filterShape, dilations } = call.attrs as unknown as Attrs;
  const plan = planned(call, x.shape, filterShape, (depthwise && dilations) || 1, depthwise);
  if (!plan) return;
  const views = readAll(bridge, call.backend as B, [x, dy]);
  return bridge.write(call.backend as B, filterShape, 'float32', kernel(plan.window, plan.batch, views[0], views[1]), false);
}
