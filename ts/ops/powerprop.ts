// Powerpropagation's map from what is stored to what is used (arXiv 2110.00296).

import type * as tf from '@tensorflow/tfjs-core';
import { checkNumber } from '../errors.js';
import * as kernels from '../wasm/kernels.js';
import { defineGradient, defineKernel, floats, numbers, runKernel } from './kernel.js';

/**
 * θ = φ·|φ|^(α−1), element by element: the weight that a stored φ of any shape stands for. α ≥ 1; α = 1 returns φ itself.
 *
 * Its gradient is dφ = dθ·α·|φ|^(α−1): large weights learn faster, small ones slower, and a zero stays.
 */
export function powerprop<T extends tf.Tensor>(phi: T, alpha: number): T {
  checkNumber('powerprop alpha', alpha, 1, Infinity);
  return alpha === 1 ? phi : (runKernel<tf.Tensor>('powerprop', { phi }, { alpha, gradient }) as T);
}

defineKernel<{ alpha: number }>('powerprop', ({ phi }, { alpha }) => ({ shape: phi.shape, values: kernels.power(numbers(phi), alpha) }));

defineKernel<{ alpha: number }>('powerpropGradient', ({ phi, dTheta }, { alpha }) => ({
  shape: phi.shape,
  values: kernels.powerGradient(numbers(phi), numbers(dTheta), alpha),
}));

const gradient: tf.GradFunc = (dTheta, [phi], attrs) => ({
  phi: () => runKernel<tf.Tensor>('powerpropGradient', { phi, dTheta: dTheta as tf.Tensor }, attrs),
});

defineGradient('powerprop', { inputs: ['phi'] });

/** The exponents of the variables that hold φ, so that an optimizer can keep its moments on θ. Set by the layers. */
export const alphas = new WeakMap<tf.Tensor, number>();

/** The gradient that the weight θ would have, from that of its φ: dφ/(α·|φ|^(α−1)). 0 where φ is 0, since dφ does not tell it there. */
export function thetaGradient(phi: tf.Tensor, dPhi: tf.Tensor, alpha: number): tf.Tensor {
  return runKernel('thetaGradient', { phi, dPhi }, { alpha });
}

defineKernel<{ alpha: number }>('thetaGradient', ({ phi, dPhi }, { alpha }) => ({
  shape: phi.shape,
  values: kernels.thetaGradient(numbers(phi), numbers(dPhi), alpha),
}));

/** `phi + J·(next − phi)`: the step that an optimizer would take for θ, taken by φ through the Jacobian J = α·|φ|^(α−1). */
export function throughJacobian(phi: tf.Tensor, next: tf.Tensor, alpha: number): tf.Tensor {
  return runKernel('throughJacobian', { phi, next }, { alpha });
}

defineKernel<{ alpha: number }>('throughJacobian', ({ phi, next }, { alpha }) => {
  const [from, step] = [floats(phi), floats(next).slice()];
  for (let i = 0; i < step.length; i++) step[i] -= from[i];
  const values = kernels.powerGradient(numbers(phi), step, alpha);
  const [start, way] = [floats(phi), values.floats];
  for (let i = 0; i < way.length; i++) way[i] += start[i];
  return { shape: phi.shape, values };
});

/** The weights θ that stored φ stand for, as plain numbers, for ranking. φ itself where alpha is 1. */
export function thetaOf(phi: Float32Array, alpha: number): Float32Array {
  return alpha === 1 ? phi : phi.map((p) => Math.sign(p) * Math.abs(p) ** alpha);
}

/** The φ that stand for weights: the function of a layer at the start does not depend on alpha. The weights themselves where alpha is 1. */
export function phiOf(weights: Float32Array, alpha: number): Float32Array {
  return alpha === 1 ? weights : weights.map((w) => Math.sign(w) * Math.abs(w) ** (1 / alpha));
}
