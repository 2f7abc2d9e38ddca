// The networks that a visitor can choose, sparse or dense, ready to train.

import * as tfl from '@tensorflow/tfjs-layers';
import { erk, layers } from 'tfjs-sparse';
import { buildNetwork, makeOptimizer } from '../ts/cli/network.js';
import type { TrainOptions } from '../ts/cli/options.js';
import { FEATURES, SIDE } from './mnist.js';
import type { Network } from './settings.js';

export const CLASSES = 10;

/** The shape of one image as the network takes it. */
export const INPUT: Record<Network, number[]> = { perceptron: [FEATURES], 'lenet-5': [SIDE, SIDE, 1] };

/** Builds and compiles it; same options, same weights. */
export function build(network: Network, options: TrainOptions): tfl.LayersModel {
  return network === 'lenet-5' ? leNet5(options) : buildNetwork(options, FEATURES, CLASSES);
}

const KERNELS = {
  conv1: [5, 5, 1, 6],
  conv2: [5, 5, 6, 16],
  hidden1: [400, 120],
  hidden2: [120, 84],
  output: [84, CLASSES],
};

/** LeNet-5 (LeCun et al. 1998) as it is built today: ReLU, max pooling, softmax. */
function leNet5(options: TrainOptions): tfl.LayersModel {
  const [names, shapes] = [Object.keys(KERNELS), Object.values(KERNELS)];
  const [forward, backward] = [options.density, options.backwardDensity].map((density) => erk(shapes, density));
  const common = (name: keyof typeof KERNELS) => ({ name, activation: name === 'output' ? ('softmax' as const) : ('relu' as const) });
  const plain = (name: keyof typeof KERNELS) => {
    const seed = options.seed * 1000 + names.indexOf(name);
    return { ...common(name), kernelInitializer: tfl.initializers.heNormal({ seed }) };
  };
  const sparse = (name: keyof typeof KERNELS) => {
    const i = names.indexOf(name);
    // A dense layer has nothing outside A to explore.
    const explores = options.method === 'top-kast' && forward[i] < 1;
    const backwardDensity = explores ? { backwardDensity: Math.max(forward[i], backward[i]) } : {};
    const [density, seed] = [forward[i], options.seed * 1000 + i];
    return { ...common(name), kernelInitializer: 'heNormal' as const, density, ...backwardDensity, alpha: options.alpha, seed };
  };
  const conv = (name: 'conv1' | 'conv2', args: Parameters<typeof tfl.layers.conv2d>[0]) =>
    options.dense ? tfl.layers.conv2d({ ...args, ...plain(name) }) : layers.conv2d({ ...args, ...sparse(name) });
  const full = (name: 'hidden1' | 'hidden2' | 'output') => {
    const units = KERNELS[name][1];
    return options.dense ? tfl.layers.dense({ units, ...plain(name) }) : layers.dense({ units, ...sparse(name) });
  };
  const model = tfl.sequential({
    layers: [
      conv('conv1', { inputShape: INPUT['lenet-5'], filters: 6, kernelSize: 5, padding: 'same' }),
      tfl.layers.maxPooling2d({ poolSize: 2 }),
      conv('conv2', { filters: 16, kernelSize: 5, padding: 'valid' }),
      tfl.layers.maxPooling2d({ poolSize: 2 }),
      tfl.layers.flatten(),
      full('hidden1'),
      full('hidden2'),
      full('output'),
    ],
  });
  model.compile({ optimizer: makeOptimizer(options), loss: 'categoricalCrossentropy' });
  return model;
}
