// The activations of tfjs's fused kernels: relu by our kernels, the others by the backend's own after them.

import * as tf from '@tensorflow/tfjs-core';
import type { Call } from './replaced.js';

const KERNELS: Record<string, string> = {
  relu6: tf.Relu6,
  elu: tf.Elu,
  prelu: tf.Prelu,
  leakyrelu: tf.LeakyRelu,
  sigmoid: tf.Sigmoid,
};

interface Activation {
  /** Whether the product ends in relu. */
  readonly relu: boolean;
  /** The result, given that of the product, which this disposes. */
  finish(y: tf.TensorInfo): tf.TensorInfo;
}

/** What a fused kernel was asked to apply, or nothing if tfjs does not know it. */
export function activationOf({ inputs, attrs, backend }: Call): Activation | undefined {
  const { activation, leakyreluAlpha } = attrs as unknown as { activation?: string; leakyreluAlpha?: number };
  if (!activation || activation === 'linear' || activation === 'relu') return { relu: activation === 'relu', finish: (y) => y };
  const kernel = tf.getKernel(KERNELS[activation], tf.getBackend());
  if (!kernel) return undefined;
  const alpha = inputs['preluActivationWeights'];
  return {
    relu: false,
    finish: (y) => {
      try {
        const inputs = alpha ? { x: y, alpha } : { x: y };
        return kernel.kernelFunc({ inputs, backend, attrs: { alpha: leakyreluAlpha ?? 0 } }) as tf.TensorInfo;
      } finally {
        (backend as tf.KernelBackend).disposeData(y.dataId);
      }
    },
  };
}
