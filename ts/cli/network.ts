// The network that `train` builds: a perceptron, sparse or dense.

import type * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { dense, powerDense } from '../layers/index.js';
import { ggr } from '../methods/ggr.js';
import { gse } from '../methods/gse.js';
import { rigl } from '../methods/rigl.js';
import { set } from '../methods/set.js';
import { snfs } from '../methods/snfs.js';
import { staticPattern } from '../methods/static.js';
import { topKast } from '../methods/top_kast.js';
import { adam, momentum, sgd } from '../optimizers/index.js';
import { erk, uniform } from '../pattern/distribution.js';
import type { Training } from '../topology/training.js';
import type { MethodName, TrainOptions } from './options.js';

/** Builds and compiles it; same seed, same weights. */
export function buildNetwork(options: TrainOptions, features: number, classes: number): tfl.Sequential {
  const widths = [features, ...options.layers, classes];
  const shapes = options.layers.concat(classes).map((units, i) => [widths[i], units]);
  const share = options.distribution === 'erk' ? erk : uniform;
  const forward = options.densities ?? share(shapes, options.density);
  // With custom densities B grows in the proportion that the two overall densities have.
  const ratio = options.backwardDensity / options.density;
  const backward = options.densities?.map((d) => Math.min(1, d * ratio)) ?? share(shapes, options.backwardDensity);
  const model = tfl.sequential();
  shapes.forEach(([, units], i) => {
    const last = i === shapes.length - 1;
    const common = {
      units,
      name: last ? 'output' : `hidden${i + 1}`,
      activation: last ? ('softmax' as const) : ('relu' as const),
      ...(i === 0 ? { inputShape: [features] } : {}),
    };
    const seed = options.seed * 1000 + i;
    if (options.dense) {
      model.add(powerDense({ ...common, kernelInitializer: tfl.initializers.heNormal({ seed }), alpha: options.alpha }));
      return;
    }
    // A dense layer has nothing outside A to explore.
    const explores = options.method === 'top-kast' && forward[i] < 1;
    const backwardDensity = explores ? { backwardDensity: Math.max(forward[i], backward[i]) } : {};
    model.add(dense({ ...common, kernelInitializer: 'heNormal', density: forward[i], ...backwardDensity, alpha: options.alpha, seed }));
  });
  model.compile({ optimizer: makeOptimizer(options), loss: 'categoricalCrossentropy' });
  return model;
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
