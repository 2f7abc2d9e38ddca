import { expect, test } from 'vitest';
import { connectionsOf, weightsOf } from '../../ts/cli/weights.js';
import { dense } from '../../ts/layers/index.js';
import { tf, tfl } from '../support/tf.js';

test('connections and weights are those of the forward pass', async () => {
  await tf.setBackend('cpu');
  const sparse = dense({ inputShape: [6], units: 5, density: 0.4, backwardDensity: 0.8, alpha: 2, seed: 1 });
  const plain = tfl.layers.dense({ units: 2, kernelInitializer: 'ones' });
  const model = tfl.sequential({ layers: [sparse, plain] });
  const connections = connectionsOf(sparse) as number[];
  expect(connections).toHaveLength(6);
  // 0.4 of 30, where 24 are trained.
  expect(connections.reduce((a, b) => a + b)).toBe(12);
  expect(weightsOf(sparse)).toHaveLength(12);
  expect([connectionsOf(plain), weightsOf(plain)]).toEqual([undefined, new Float32Array(10).fill(1)]);
  model.dispose();
});
