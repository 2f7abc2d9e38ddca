// Powerpropagation's map from what is stored to what is used (arXiv 2110.00296).

import * as tf from '@tensorflow/tfjs-core';
import { checkNumber } from '../errors.js';
import * as kernels from '../wasm/kernels.js';
import { defineKernel, runKernel } from './kernel.js';

/**
 * θ = φ·|φ|^(α−1), element by element: the weight that a stored φ `[n]` stands for. α ≥ 1; α = 1 returns φ itself.
 *
 * Its gradient is dφ = dθ·α·|φ|^(α−1): large weights learn faster, small ones slower, and a zero stays.
 */
export function powerprop(phi: tf.Tensor1D, alpha: number): tf.Tensor1D {
  checkNumber('powerprop alpha', alpha, 1, Infinity);
  return alpha === 1 ? phi : runKernel('powerprop', { phi }, { alpha });
}

defineKernel<{ alpha: number }>('powerprop', ({ phi }, { alpha }) => ({ shape: phi.shape, values: kernels.power(phi.values, alpha) }));

defineKernel<{ alpha: number }>('powerpropGradient', ({ phi, dTheta }, { alpha }) => ({
  shape: phi.shape,
  values: kernels.powerGradient(phi.values, dTheta.values, alpha),
}));

if (!tf.getGradient('powerprop')) {
  tf.registerGradient({
    kernelName: 'powerprop',
    inputsToSave: ['phi'],
    gradFunc: (dTheta, [phi], attrs) => ({
      phi: () => runKernel<tf.Tensor>('powerpropGradient', { phi, dTheta: dTheta as tf.Tensor }, attrs),
    }),
  });
}
