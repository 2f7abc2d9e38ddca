// The networks that `train` builds, sparse or dense: a perceptron, and LeNet-5.

import type * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { conv2d, dense, powerDense, type SparseArgs } from '../layers/index.js';
import { ggr } from '../methods/ggr.js';
import { gse } from '../methods/gse.js';
import { rigl } from '../methods/rigl.js';
import { set } from '../methods/set.js';
import { snfs } from '../methods/snfs.js';
import { staticPattern } from '../methods/static.js';
import { topKast } from '../methods/top_kast.js';
import { adam, momentum, sgd } from '../optimizers/index.js';
import { er, erk, uniform } from '../pattern/distribution.js';
import type { KernelShape } from '../pattern/kernel_shape.js';
import type { Training } from '../topology/training.js';
import type { MethodName, TrainOptions } from './options.js';

/** Images that LeNet-5 takes. */
export const LENET5_SIDE = 28;

type Layer = tfl.layers.Layer;

/** What a sparse layer and its dense twin have in common. */
interface Common {
  name: string;
  activation: 'relu' | 'softmax';
  inputShape?: number[];
}

/** A layer with weights, and what follows it up to the next. */
interface Part {
  kernel: KernelShape;
  name: string;
  activation: Common['activation'];
  sparse(args: Common & SparseArgs & { kernelInitializer: 'heNormal' }): Layer;
  twin(args: Common & { kernelInitializer: ReturnType<typeof tfl.initializers.heNormal> }, alpha: number): Layer;
  after: (() => Layer)[];
}

/** Builds and compiles it; same seed, same weights. */
export function buildNetwork(options: TrainOptions, features: number, classes: number): tfl.Sequential {
  const { model: kind, layers, alpha, densities, density, seed } = options;
  const parts = kind === 'lenet5' ? lenet5(classes) : mlp([features, ...layers, classes]);
  const inputShape = kind === 'lenet5' ? [LENET5_SIDE, LENET5_SIDE, 1] : [features];
  const shapes = parts.map(({ kernel }) => kernel);
  const share = { erk, er, uniform }[options.distribution];
  const forward = densities ?? share(shapes, density);
  // With custom densities B grows in the proportion that the two overall densities have.
  const ratio = options.backwardDensity / density;
  const backward = densities?.map((d) => Math.min(1, d * ratio)) ?? share(shapes, options.backwardDensity);
  const model = tfl.sequential();
  parts.forEach(({ name, activation, sparse, twin, after }, i) => {
    const common = { name, activation, ...(i === 0 ? { inputShape } : {}) };
    const own = seed * 1000 + i;
    // A dense layer has nothing outside A to explore.
    const explores = options.method === 'top-kast' && forward[i] < 1;
    const backwardDensity = explores ? { backwardDensity: Math.max(forward[i], backward[i]) } : {};
    model.add(
      options.dense
        ? twin({ ...common, kernelInitializer: tfl.initializers.heNormal({ seed: own }) }, alpha)
        : sparse({ ...common, kernelInitializer: 'heNormal', density: forward[i], ...backwardDensity, alpha, seed: own }),
    );
    for (const make of after) model.add(make());
  });
  model.compile({ optimizer: makeOptimizer(options), loss: 'categoricalCrossentropy' });
  return model;
}

function mlp(widths: number[]): Part[] {
  return widths.slice(1).map((units, i) => {
    const last = i === widths.length - 2;
    return connected(last ? 'output' : `hidden${i + 1}`, [widths[i], units], last ? 'softmax' : 'relu');
  });
}

/** LeCun et al. 1998 as it is built today: ReLU, the largest of each 2×2, every map of conv2 sees all of conv1, softmax. 61 470 weights for ten classes. */
function lenet5(classes: number): Part[] {
  const pool = () => tfl.layers.maxPooling2d({ poolSize: 2 });
  return [
    convolution('conv1', [5, 5, 1, 6], 'same', [pool]),
    convolution('conv2', [5, 5, 6, 16], 'valid', [pool, () => tfl.layers.flatten()]),
    connected('hidden1', [400, 120], 'relu'),
    connected('hidden2', [120, 84], 'relu'),
    connected('output', [84, classes], 'softmax'),
  ];
}

function connected(name: string, kernel: [features: number, units: number], activation: Common['activation']): Part {
  const units = kernel[1];
  return {
    kernel,
    name,
    activation,
    sparse: (args) => dense({ ...args, units }),
    // tfjs's own where it can be: such a model needs nothing of ours.
    twin: (args, alpha) => (alpha === 1 ? tfl.layers.dense({ ...args, units }) : powerDense({ ...args, units, alpha })),
    after: [],
  };
}

function convolution(
  name: string,
  kernel: [number, number, number, filters: number],
  padding: 'same' | 'valid',
  after: Part['after'],
): Part {
  const window = { kernelSize: kernel.slice(0, 2), filters: kernel[3], padding };
  return {
    kernel,
    name,
    activation: 'relu',
    sparse: (args) => conv2d({ ...args, ...window }),
    twin: (args) => tfl.layers.conv2d({ ...args, ...window }),
    after,
  };
}

function makeOptimizer({ optimizer, learningRate }: TrainOptions): tf.Optimizer {
  switch (optimizer) {
    case 'adam':
      return adam(learningRate ?? 0.001);
    case 'momentum':
      return momentum(learningRate ?? 0.05, 0.9);
    case 'sgd':
      return sgd(learningRate ?? 0.1);
  }
}

/** The method that the options name, for a run of so many steps in all. None for the dense twin, or where every layer is dense. */
export function makeMethod(options: TrainOptions, steps: number): Training | undefined {
  const { densities, density, every, dropFraction, regularization, seed } = options;
  if (options.dense || (densities ?? [density]).every((d) => d === 1)) return undefined;
  const args = { every, dropFraction, seed, endStep: Math.floor(0.75 * steps) };
  const makers: Record<MethodName, () => Training> = {
    'top-kast': () => topKast({ every, regularization }),
    static: staticPattern,
    set: () => set(args),
    rigl: () => rigl(args),
    ggr: () => ggr(args),
    gse: () => gse(args),
    snfs: () => snfs(args),
  };
  return makers[options.method]();
}
