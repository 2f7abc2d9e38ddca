// tfjs itself, and the same with its products led to the SIMD kernel that it has.
//
// tfjs's wasm backend multiplies with SIMD only when neither operand is transposed; both products of back-propagation are, and run in a scalar loop.
// `routed(true)` writes the transposes out instead, an opponent a user could build in twenty lines. `fast: true` is tfjs with our `fastDense()`.

import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import { fastDense } from '../../dist/index.js';

const original = tf.getKernel('BatchMatMul', 'wasm');
const transpose = tf.getKernel('Transpose', 'wasm');
let routing = false;

export function routed(on) {
  routing = on;
}

tf.unregisterKernel('BatchMatMul', 'wasm');
tf.registerKernel({
  ...original,
  kernelFunc: (call) => {
    const { a, b } = call.inputs;
    const { transposeA, transposeB } = call.attrs;
    const single = a.shape
      .slice(0, -2)
      .concat(b.shape.slice(0, -2))
      .every((dim) => dim === 1);
    if (!routing || !single || (!transposeA && !transposeB)) return original.kernelFunc(call);
    const { backend } = call;
    const flip = (x) => {
      const perm = x.shape.map((_, i) => i);
      perm.push(...perm.splice(-2).reverse());
      return transpose.kernelFunc({ inputs: { x }, backend, attrs: { perm } });
    };
    const multiply = (a, b) => original.kernelFunc({ inputs: { a, b }, backend, attrs: { transposeA: false, transposeB: false } });
    const done = (result, ...temporary) => {
      for (const { dataId } of temporary) backend.disposeData(dataId);
      return result;
    };
    if (transposeB && !transposeA) {
      // (b·aᵀ)ᵀ: the kernel packs its right operand anew each time, so let that be the small one.
      const at = flip(a);
      const product = multiply(b, at);
      return done(flip(product), at, product);
    }
    const left = transposeA ? flip(a) : a;
    const right = transposeB ? flip(b) : b;
    return done(multiply(left, right), ...(transposeA ? [left] : []), ...(transposeB ? [right] : []));
  },
});

/** A dense perceptron with tfjs's layers and optimizers; returns one training step that resolves to the loss. */
export function denseStep({ backend, route = false, fast = false, widths, optimizer, x, y }) {
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
  const [xs, ys] = [tf.tensor2d(x, [x.length / widths[0], widths[0]]), tf.tensor2d(y, [x.length / widths[0], widths.at(-1)])];
  return async () => {
    await tf.setBackend(backend);
    routed(route);
    // Kernels are registered for the whole process: for this step alone, so that the other rivals keep theirs.
    const undo = fast ? fastDense() : () => {};
    const loss = await model.trainOnBatch(xs, ys);
    undo();
    routed(false);
    return loss;
  };
}
