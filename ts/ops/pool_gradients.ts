// The gradients of tfjs's pooling. That of the average is computed where it lies: copying it to our memory would cost more than is gained there.

import * as tf from '@tensorflow/tfjs-core';
import type { Window } from '../pattern/window.js';
import * as conv from '../wasm/conv.js';
import { windowOf } from './convolution.js';
import type { OpenBridge } from './kernel.js';
import { type Call, written } from './replaced.js';

interface Attrs {
  readonly filterSize: number | [number, number];
  readonly strides: number | [number, number];
  readonly pad: number | 'same' | 'valid' | tf.backend_util.ExplicitPadding;
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

type Info = tf.backend_util.Conv2DInfo;

function planned({ inputs, attrs }: Call): { info: Info; window: Window } | undefined {
  const { dy, input } = inputs as Record<'dy' | 'input', tf.TensorInfo>;
  const { filterSize, strides, pad, dimRoundingMode } = attrs as unknown as Attrs;
  if (dy.dtype !== 'float32' || input.dtype !== 'float32') return;
  const info = tf.backend_util.computePool2DInfo(
    input.shape as [number, number, number, number],
    filterSize,
    strides,
    1,
    pad,
    dimRoundingMode,
  );
  const window = windowOf(info);
  return window && tf.util.arraysEqual(dy.shape, info.outShape) ? { info, window } : undefined;
}

/**
 * dx `[batch, height, width, channels]` of max pooling: each dy goes to the first maximum of its window, as on tfjs's cpu backend (where that is −∞, there it goes
 * nowhere). Nothing where the kernel before shall answer.
 */
export function maxPoolGrad<B extends tf.KernelBackend>(call: Call, bridge: OpenBridge<B>): tf.TensorInfo | undefined {
  const { dy, input } = call.inputs as Record<'dy' | 'input', tf.TensorInfo>;
  const plan = planned(call);
  if (!plan) return;
  return written(bridge, call.backend as B, input.shape, [dy, input], (dx, dy, x) =>
    conv.maxPoolGradient(plan.window, plan.info.batchSize, x, dy, dx),
  );
}

/** dx of average pooling: each dy over its window, of which tfjs counts the padding. */
export function avgPoolGrad<B extends tf.KernelBackend>(call: Call, bridge: OpenBridge<B>): tf.TensorInfo | undefined {
  const { dy, input } = call.inputs as Record<'dy' | 'input', tf.TensorInfo>;
  const plan = planned(call);
  if (!plan) return;
  const {
    inHeight,
    inWidth,
    inChannels: n,
    outHeight,
    outWidth,
    filterHeight,
    filterWidth,
    strideHeight,
    strideWidth,
    padInfo,
  } = plan.info;
  const part = 1 / (filterHeight * filterWidth);
  return written(bridge, call.backend as B, input.shape, [dy], (dx, dy) => {
    dx.fill(0);
    let out = 0;
    for (let image = 0; image < plan.info.batchSize; image++) {
      for (let row = 0; row < outHeight; row++) {
        const top = row * strideHeight - padInfo.top;
        for (let col = 0; col < outWidth; col++, out++) {
          const left = col * strideWidth - padInfo.left;
          for (let y = Math.max(0, top); y < Math.min(inHeight, top + filterHeight); y++) {
            for (let x = Math.max(0, left); x < Math.min(inWidth, left + filterWidth); x++) {
              let to = ((image * inHeight + y) * inWidth + x) * n;
              for (let c = 0, from = out * n; c < n; c++) dx[to++] += dy[from++] * part;
            }
          }
        }
      }
    }
  });
}
