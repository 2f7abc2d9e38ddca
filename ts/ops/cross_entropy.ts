// The losses of classifiers, as one kernel each and one for the gradient. tfjs composes them of up to ten elementwise kernels, and as many again for the
// gradient: in a small network they take longer than the products.

import * as tf from '@tensorflow/tfjs-core';
import { ShapeError } from '../errors.js';
import { defineGradient, defineKernel, floats, type Operands, runKernel } from './kernel.js';

/**
 * −Σ y·log q, q = p/Σp over the last axis: the loss of each sample, `[…]`, from targets and predictions `[…, classes]`. As tfjs's loss of this name but for
 * rounding: q is kept within [ε, 1 − ε], where ε is 1e-7 for float32, and has no gradient beyond. Nor have targets.
 *
 * For a loop of your own; for `model.fit` see {@link fuseLoss}. Throws a {@link ShapeError} for targets of another shape.
 *
 * ```js
 * optimizer.minimize(() => tf.mean(categoricalCrossentropy(y, model.apply(x))));
 * ```
 */
export function categoricalCrossentropy(yTrue: tf.Tensor, yPred: tf.Tensor): tf.Tensor {
  return crossEntropy('categoricalCrossentropy', yTrue, yPred);
}

/** {@link categoricalCrossentropy} of classes by number, `[…]` or `[…, 1]`, which count as targets of 0 and 1. A class that there is not costs nothing. */
export function sparseCategoricalCrossentropy(yTrue: tf.Tensor, yPred: tf.Tensor): tf.Tensor {
  return crossEntropy('sparseCategoricalCrossentropy', yTrue, yPred);
}

/**
 * −y·log p − (1 − y)·log(1 − p), the mean of it over the last axis: the loss of each sample, `[…]`, from targets and predictions `[…, outputs]`. As tfjs's
 * loss of this name but for rounding, and for the gradient where p is ½: tfjs's is −4·y there, this one 2 − 4·y, of one output.
 * For the rest see {@link categoricalCrossentropy}.
 */
export function binaryCrossentropy(yTrue: tf.Tensor, yPred: tf.Tensor): tf.Tensor {
  return crossEntropy('binaryCrossentropy', yTrue, yPred);
}

/** By their names in tfjs. */
export const CROSS_ENTROPIES = { categoricalCrossentropy, sparseCategoricalCrossentropy, binaryCrossentropy };

type Name = keyof typeof CROSS_ENTROPIES;

interface Attrs {
  readonly name: Name;
  readonly gradient: tf.GradFunc;
}

function crossEntropy(name: Name, yTrue: tf.Tensor, yPred: tf.Tensor): tf.Tensor {
  const outer = yPred.shape.slice(0, -1);
  const shapes = name === 'sparseCategoricalCrossentropy' ? [outer, [...outer, 1]] : [yPred.shape];
  if (yPred.rank === 0) throw new ShapeError(`${name} yPred`, ['…', 'classes'], yPred.shape);
  if (!shapes.some((shape) => tf.util.arraysEqual(shape, yTrue.shape))) throw new ShapeError(`${name} yTrue`, shapes[0], yTrue.shape);
  return runKernel<tf.Tensor>('crossEntropy', { yTrue, yPred }, { name, gradient } satisfies Attrs);
}

/** A loss of the numbers from `begin` to `end`, one sample's. */
interface Loss {
  value(numbers: Numbers, begin: number, end: number): number;
  /** Writes the gradients of these predictions, times `dy`. */
  gradient(numbers: Numbers, begin: number, end: number, dy: number, dp: Float32Array): void;
}

/** Targets, predictions, and within which bounds a probability counts. */
interface Numbers extends Bounds {
  readonly y: ArrayLike<number>;
  readonly p: Float32Array;
}

interface Bounds {
  readonly low: number;
  readonly high: number;
}

const cut = (q: number, { low, high }: Bounds): number => Math.min(Math.max(q, low), high);
const isWithin = (q: number, { low, high }: Bounds): boolean => q >= low && q <= high;

function sum(p: Float32Array, begin: number, end: number): number {
  let total = 0;
  for (let i = begin; i < end; i++) total += p[i];
  return total;
}

const categorical: Loss = {
  value(numbers, begin, end) {
    const { y, p } = numbers;
    const total = sum(p, begin, end);
    let loss = 0;
    // Most targets are 0, and a logarithm takes longer than all the rest.
    for (let i = begin; i < end; i++) if (y[i] !== 0) loss -= y[i] * Math.log(cut(p[i] / total, numbers));
    return loss;
  },
  gradient(numbers, begin, end, dy, dp) {
    const { y, p } = numbers;
    const total = sum(p, begin, end);
    let counting = 0;
    for (let i = begin; i < end; i++) {
      if (!isWithin(p[i] / total, numbers)) continue;
      counting += y[i];
      dp[i] = (-dy * y[i]) / p[i];
    }
    for (let i = begin; i < end; i++) dp[i] += (dy * counting) / total;
  },
};

const binary: Loss = {
  value(numbers, begin, end) {
    const { y, p } = numbers;
    let loss = 0;
    for (let i = begin; i < end; i++) {
      const q = cut(p[i], numbers);
      loss -= y[i] * Math.log(q) + (1 - y[i]) * Math.log(1 - q);
    }
    return loss / (end - begin);
  },
  gradient(numbers, begin, end, dy, dp) {
    const { y, p } = numbers;
    for (let i = begin; i < end; i++) {
      if (isWithin(p[i], numbers)) dp[i] = (dy * (p[i] - y[i])) / (p[i] * (1 - p[i]) * (end - begin));
    }
  },
};

/** What a call is about: the loss, its numbers, and how many of them a sample has. */
function prepared({ yTrue, yPred }: Operands, name: Name): { loss: Loss; numbers: Numbers; outer: number[]; classes: number } {
  const outer = yPred.shape.slice(0, -1);
  const classes = yPred.shape[outer.length];
  const [y, p, epsilon] = [floats(yTrue), floats(yPred), tf.backend().epsilon()];
  // In float32, as tfjs has them.
  const bounds = { low: Math.fround(epsilon), high: Math.fround(1 - epsilon) };
  if (name !== 'sparseCategoricalCrossentropy') {
    return { loss: name === 'binaryCrossentropy' ? binary : categorical, numbers: { y, p, ...bounds }, outer, classes };
  }
  const oneHot = new Uint8Array(p.length);
  y.forEach((target, i) => {
    const index = Math.floor(target);
    if (index >= 0 && index < classes) oneHot[i * classes + index] = 1;
  });
  // tfjs cuts them here as well, before it divides them by their sum.
  return { loss: categorical, numbers: { y: oneHot, p: p.map((q) => cut(q, bounds)), ...bounds }, outer, classes };
}

defineKernel<Attrs>('crossEntropy', (operands, { name }) => {
  const { loss, numbers, outer, classes } = prepared(operands, name);
  const values = new Float32Array(tf.util.sizeFromShape(outer));
  for (let i = 0; i < values.length; i++) values[i] = loss.value(numbers, i * classes, (i + 1) * classes);
  return { shape: outer, values, owned: true };
});

defineKernel<Attrs>('crossEntropyGradient', (operands, { name }) => {
  const { loss, numbers, outer, classes } = prepared(operands, name);
  const { yPred, dy } = operands;
  const [p, dys, values] = [floats(yPred), floats(dy), new Float32Array(numbers.p.length)];
  for (let i = 0; i < dys.length; i++) loss.gradient(numbers, i * classes, (i + 1) * classes, dys[i], values);
  if (name === 'sparseCategoricalCrossentropy') {
    for (let i = 0; i < values.length; i++) if (!isWithin(p[i], numbers)) values[i] = 0;
  }
  return { shape: [...outer, classes], values, owned: true };
});

const gradient: tf.GradFunc = (dy, [yTrue, yPred], attrs) => ({
  yPred: () => runKernel<tf.Tensor>('crossEntropyGradient', { yTrue, yPred, dy: dy as tf.Tensor }, attrs),
});

defineGradient('crossEntropy', { inputs: ['yTrue', 'yPred'] });
