// `model.fit` takes its batches by tf.gather, for which sparse layers bring a kernel along.

import { beforeEach, expect, test } from 'vitest';
import { dense } from '../../ts/layers/index.js';
import { BACKENDS, onEachBackend, outcomeOf, tf, tfl } from '../support/tf.js';

const ofTfjs = BACKENDS.map((backend) => tf.getKernel(tf.GatherV2, backend));

onEachBackend('batches', (backend) => {
  beforeEach(() => {
    for (const kernel of ofTfjs) {
      tf.unregisterKernel(kernel.kernelName, kernel.backendName);
      tf.registerKernel(kernel);
    }
  });

  test('whole rows come by a kernel of ours, other gathers by that of tfjs, and none differ', async () => {
    const kernel = () => tf.getKernel(tf.GatherV2, backend);
    const x = tf.randomNormal([7, 3, 2], 0, 1, 'float32', 1);
    const whole = tf.tensor2d(
      Array.from({ length: 28 }, (_, i) => i),
      [7, 4],
      'int32',
    );
    const [some, nested, none] = [tf.tensor1d([6, 0, 0, 3], 'int32'), tf.tensor2d([[1, 2]], undefined, 'int32'), tf.tensor1d([], 'int32')];
    const outside = tf.tensor1d([7], 'int32');
    const all = () => [
      outcomeOf(() => tf.gather(x, some)),
      outcomeOf(() => tf.gather(x, nested)),
      outcomeOf(() => tf.gather(x, none)),
      outcomeOf(() => tf.gather(x, nested, 1)),
      outcomeOf(() => tf.gather(whole, some)),
      outcomeOf(() => tf.gather(x, outside)),
    ];
    const [before, theirs] = [kernel(), all()];
    const model = tfl.sequential({ layers: [dense({ inputShape: [6], units: 2, density: 0.5, seed: 1 })] });
    const ours = kernel();
    expect(ours).not.toBe(before);
    expect(all()).toEqual(theirs);
    expect(theirs.at(5)).toContain('GatherV2: the index value 7 is not in [0, 6]');
    model.add(dense({ units: 3, density: 0.5, seed: 2 }));
    expect(kernel(), 'once is enough').toBe(ours);
    tf.dispose([x, whole, some, nested, none, outside]);
    model.dispose();
  });
});
