// tfjs itself, the same with its products led to the SIMD kernel that it has, and the same with our `fastDense()` and `fuseLoss()`.

import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import { routed } from '../../dist/cli/routed.js';
import { fastDense } from '../../dist/index.js';
import { fuseLoss } from '../../dist/losses.js';

/** A dense perceptron with tfjs's layers and optimizers; returns one training step that resolves to the loss. */
export function denseStep({ backend, route = false, fast = false, fused = false, widths, optimizer, x, y }) {
  const model = tfl.sequential();
  widths.slice(1).forEach((units, i) => {
    const last = i === widths.length - 2;
    model.add(
      tfl.layers.dense({
        units,
        activation: last ? 'softmax' : 'relu',
        kernelInitializer: tfl.initializers.heNormal({ seed: i }),
        ...(i ? {} : { inputShape: [widths[0]] }),
      }),
    );
  });
  model.compile({ optimizer: optimizer === 'sgd' ? tf.train.sgd(0.05) : tf.train.adam(0.001), loss: 'categoricalCrossentropy' });
  if (fused) fuseLoss(model);
  const [xs, ys] = [tf.tensor2d(x, [x.length / widths[0], widths[0]]), tf.tensor2d(y, [x.length / widths[0], widths.at(-1)])];
  return async () => {
    if (tf.getBackend() !== backend) await tf.setBackend(backend);
    routed(route);
    // Kernels are registered for the whole process: for this step alone, so that the other rivals keep theirs.
    const undo = fast ? fastDense() : () => {};
    const loss = await model.trainOnBatch(xs, ys);
    undo();
    routed(false);
    return loss;
  };
}
