// The convolutional networks of the benches, in tfjs's layers or in ours.

import * as tfl from '@tensorflow/tfjs-layers';
import { layers } from '../dist/index.js';

/**
 * `parts`: kernels `[height, width, channels, filters]` and `[in, units]` in order, 'pool' and 'flatten'; `padding` of each convolution.
 * @typedef {{ input: [number, number, number], padding: ('same' | 'valid')[], parts: ('pool' | 'flatten' | number[])[] }} Network
 */

/** @type {Network} */
export const LENET5 = {
  input: [28, 28, 1],
  padding: ['same', 'valid'],
  parts: [[5, 5, 1, 6], 'pool', [5, 5, 6, 16], 'pool', 'flatten', [400, 120], [120, 84], [84, 10]],
};

/** Three times two convolutions 3×3, each time with twice the filters, and dense layers. @param {number} side @param {number} channels @param {number} width @param {number[]} hidden @returns {Network} */
export function vgg(side, channels, width, hidden) {
  const widths = [width, 2 * width, 4 * width];
  const convolutions = widths.flatMap((filters, i) => [[3, 3, widths[i - 1] ?? channels, filters], [3, 3, filters, filters], 'pool']);
  const units = [(side >> 3) ** 2 * 4 * width, ...hidden, 10];
  return {
    input: [side, side, channels],
    padding: Array(6).fill('same'),
    parts: [...convolutions, 'flatten', ...units.slice(1).map((to, i) => [units[i], to])],
  };
}

export const kernelsOf = (/** @type {Network} */ { parts }) => parts.filter((part) => typeof part !== 'string');

/** What it is made of, for a table's head: `kernels 5×5×1×6, 5×5×6×16, …, 61470 weights`. */
export function described(/** @type {Network} */ network) {
  const kernels = kernelsOf(network);
  const weights = kernels.reduce((sum, kernel) => sum + kernel.reduce((a, b) => a * b, 1), 0);
  return `kernels ${kernels.map((kernel) => kernel.join('×')).join(', ')}, ${weights} weights`;
}

/**
 * A model to be compiled, sparse where there are `densities`, one for each kernel; `backwardDensities` for layers that explore.
 * @param {Network} network @param {{ densities?: number[], backwardDensities?: number[], seed?: number }} [how]
 */
export function build({ parts, padding, input }, { densities, backwardDensities, seed = 0 } = {}) {
  const model = tfl.sequential();
  let i = 0;
  for (const [at, part] of parts.entries()) {
    if (part === 'pool') model.add(tfl.layers.maxPooling2d({ poolSize: 2 }));
    else if (part === 'flatten') model.add(tfl.layers.flatten());
    else {
      const own = 1000 * seed + i;
      const common = { activation: at === parts.length - 1 ? 'softmax' : 'relu', ...(i === 0 ? { inputShape: input } : {}) };
      const explores = backwardDensities && densities[i] < 1 ? { backwardDensity: Math.max(densities[i], backwardDensities[i]) } : {};
      const how = densities
        ? { ...common, kernelInitializer: 'heNormal', density: densities[i], ...explores, seed: own }
        : { ...common, kernelInitializer: tfl.initializers.heNormal({ seed: own }) };
      const { conv2d, dense } = densities ? layers : tfl.layers;
      const [filters, kernelSize] = [part.at(-1), part.slice(0, 2)];
      model.add(part.length === 4 ? conv2d({ ...how, filters, kernelSize, padding: padding[i] }) : dense({ ...how, units: filters }));
      i++;
    }
  }
  return model;
}
