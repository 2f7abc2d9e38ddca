// tfjs's wasm backend with its products led to the SIMD kernel that it has: the dense rival that tfjs could be.
//
// The backend multiplies with SIMD only when neither operand is transposed; both products of back-propagation are, and run in a scalar loop. Here
// the transposes are written out instead, as a user could do.

import * as tf from '@tensorflow/tfjs-core';

let installed = false;
let routing = false;

/** Switches it on or off; the wasm backend must have been imported. */
export function routed(on: boolean): void {
  if (!installed) install();
  installed = true;
  routing = on;
}

function install(): void {
  const original = tf.getKernel('BatchMatMul', 'wasm');
  const transpose = tf.getKernel('Transpose', 'wasm');
  tf.unregisterKernel('BatchMatMul', 'wasm');
  tf.registerKernel({
    ...original,
    kernelFunc: (call) => {
      const { a, b } = call.inputs as { a: tf.TensorInfo; b: tf.TensorInfo };
      const { transposeA, transposeB } = call.attrs as { transposeA: boolean; transposeB: boolean };
      const single = [...a.shape.slice(0, -2), ...b.shape.slice(0, -2)].every((dim) => dim === 1);
      if (!routing || !single || (!transposeA && !transposeB)) return original.kernelFunc(call);
      const { backend } = call;
      const flip = (x: tf.TensorInfo) => {
        const perm = x.shape.map((_, i) => i);
        perm.push(...perm.splice(-2).reverse());
        return transpose.kernelFunc({ inputs: { x }, backend, attrs: { perm } }) as tf.TensorInfo;
      };
      const multiply = (a: tf.TensorInfo, b: tf.TensorInfo) =>
        original.kernelFunc({ inputs: { a, b }, backend, attrs: { transposeA: false, transposeB: false } }) as tf.TensorInfo;
      const done = (result: tf.TensorInfo, ...temporary: tf.TensorInfo[]) => {
        for (const { dataId } of temporary) (backend as tf.KernelBackend).disposeData(dataId);
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
}
