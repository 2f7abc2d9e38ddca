// tfjs's own dense products by our kernel, for whoever asks for it, and the batches of `model.fit` by whole rows.

import * as tf from '@tensorflow/tfjs-core';
import * as kernels from '../wasm/kernels.js';
import { activationOf } from './activation.js';
import { gatherRows } from './gather_rows.js';
import { type Bridge, readAll } from './kernel.js';
import { type Call, replacing } from './replaced.js';
import { trainingKernels } from './training_kernels.js';

/**
 * Makes tfjs multiply dense matrices (`tf.matMul`, `tf.fused.matMul`, and with them `tf.layers.dense`, recurrent and attention layers) with this
 * package's kernel, on the backends `cpu` and `wasm` that are registered, until the function that it returns is called. Shapes, errors and
 * gradients stay tfjs's; results differ in rounding only, and where tfjs's wasm backend is wrong: it adds the last number of a bias to all rows
 * but the first of a transposed or batched `tf.fused.matMul`. Other dtypes than float32 stay with tfjs.
 *
 * `tf.gather` along the first axis, by which `model.fit` takes each batch from the data, then copies whole rows: on the wasm backend 64 rows of 784 in
 * 0.1 ms instead of 1.4. (Where there are sparse layers it does so without this.)
 *
 * tfjs's wasm backend runs both products of back-propagation in a scalar loop, its cpu backend all of them. With this, dense models train 14
 * to 24 times as fast on wasm; see `bench/record/step.node24.md`.
 *
 * Convolutions, pooling and embeddings come along: this calls {@link trainingKernels}, and the function that it returns takes these back as well.
 *
 * Calling it again changes nothing, except that it takes in a backend imported since. Throws where neither backend is there, and in a browser
 * before `ready()`. Operands and result of the largest product so far keep their room in this package's memory (`memory()`).
 *
 * ```js
 * import '@tensorflow/tfjs-backend-wasm';
 * import { fastDense } from 'tfjs-sparse';
 * const undo = fastDense();
 * await model.fit(xs, ys);
 * undo();
 * ```
 */
export function fastDense(): () => void {
  const restore = products();
  const restoreTraining = trainingKernels();
  undo ??= () => {
    restore();
    restoreTraining();
  };
  return undo;
}

let undo: (() => void) | undefined;

const products = replacing('fastDense', [
  [tf.BatchMatMul, matMul],
  [tf._FusedMatMul, fusedMatMul],
  [tf.GatherV2, gatherRows],
]);

/** `tf.matMul`, or nothing where the kernel before shall answer. */
function matMul<B extends tf.KernelBackend>({ inputs, backend, attrs }: Call, bridge: Bridge<B>): tf.TensorInfo | undefined {
  const plan = planned(inputs, attrs as unknown as Transposed);
  return plan && run(plan, inputs, undefined, false, backend as B, bridge);
}

/** `tf.fused.matMul`, or nothing where the kernel before shall answer. */
function fusedMatMul<B extends tf.KernelBackend>(call: Call, bridge: Bridge<B>): tf.TensorInfo | undefined {
  const { bias } = call.inputs;
  const plan = planned(call.inputs, call.attrs as unknown as Transposed);
  const activation = activationOf(call);
  // tfjs's wasm backend refuses a bias of any other rank.
  if (!plan || !activation || (bias && (bias.dtype !== 'float32' || bias.shape.length !== 1 || bias.shape[0] !== plan.n))) return;
  return activation.finish(run(plan, call.inputs, bias, activation.relu, call.backend as B, bridge));
}

interface Transposed {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

type Factors = Record<'a' | 'b', tf.TensorInfo>;

interface Plan extends kernels.DenseProduct {
  readonly batch: number;
  readonly shape: number[];
}

/** The product that is asked for, if it is one for our kernel. */
function planned(inputs: tf.NamedTensorInfoMap, { transposeA, transposeB }: Transposed): Plan | undefined {
  const { a, b } = inputs as Factors;
  if (a.dtype !== 'float32' || b.dtype !== 'float32' || a.shape.length < 2 || b.shape.length < 2) return;
  const [m, k] = transposeA ? a.shape.slice(-2).reverse() : a.shape.slice(-2);
  const [terms, n] = transposeB ? b.shape.slice(-2).reverse() : b.shape.slice(-2);
  if (terms !== k) return;
  const [outerA, outerB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const outer = tf.broadcast_util.assertAndGetBroadcastShape(outerA, outerB);
  // tfjs's kernels walk through both in a circle; for the rest of what broadcasting allows they have answers of their own.
  if (!comesRound(outerA, outer) || !comesRound(outerB, outer)) return;
  const batch = tf.util.sizeFromShape(outer);
  // Of nothing it makes what was in its memory, or complains.
  if (batch === 1 && m * n * k > 0 && !transposeA && !transposeB && tf.getBackend() === 'wasm' && betterAsShipped(m, n, b)) return;
  return { m, n, k, transposeA, transposeB, batch, shape: [...outer, m, n] };
}

/** Right operands of products with few rows. */
const seen = new WeakSet<tf.DataId>();

/**
 * Whether tfjs's wasm backend is faster at a product that it does with SIMD, since it need not copy. It is with few columns (1000×1000 by 1:
 * 0.44 ms, ours 0.76), and with few rows and weights that it has seen and keeps packed (1×1024 by 1024: 0.08 ms, ours 0.49; it needs 3.1 for
 * weights that are new, as in each step of training).
 */
function betterAsShipped(m: number, n: number, b: tf.TensorInfo): boolean {
  if (n < 8) return true;
  if (m >= 32) return false;
  const again = seen.has(b.dataId);
  seen.add(b.dataId);
  return again;
}

/** Whether `dims` are the last of `outer`, so that one batch after another fills it. */
function comesRound(dims: number[], outer: number[]): boolean {
  const first = dims.findIndex((dim) => dim !== 1);
  return first === -1 || dims.slice(first).every((dim, i) => dim === outer[outer.length - dims.length + first + i]);
}

function run<B extends tf.KernelBackend>(
  { shape, batch, ...product }: Plan,
  inputs: tf.NamedTensorInfoMap,
  bias: tf.TensorInfo | undefined,
  relu: boolean,
  backend: B,
  bridge: Bridge<B>,
): tf.TensorInfo {
  const { a, b } = inputs as Factors;
  const [left, right, added] = readAll(bridge, backend, bias ? [a, b, bias] : [a, b]);
  const values = kernels.dense(product, batch, left, right, added, relu);
  return bridge.write(backend, shape, 'float32', values, false);
}
