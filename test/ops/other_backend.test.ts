// A backend that is neither cpu nor wasm: data are read back and written again, and that is said once.

import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu/dist/backend_cpu.js';
import { expect, test, vi } from 'vitest';
import { sparseDense } from '../../ts/ops/sparse_dense.js';
import { randomPattern } from '../../ts/pattern/random.js';
import { tf } from '../support/tf.js';

test('works, and warns once', async () => {
  tf.registerBackend('elsewhere', () => new MathBackendCPU());
  tf.copyRegisteredKernels('cpu', 'elsewhere');
  tf.unregisterKernel('sparseDense', 'elsewhere');
  tf.unregisterKernel('sparseDenseGradient', 'elsewhere');
  await tf.setBackend('elsewhere');
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  const pattern = randomPattern(4, 5, 9, 1);
  const x = tf.ones<tf.Rank.R2>([2, 5]);
  const run = () =>
    tf
      .grad((v) => tf.sum(sparseDense({ x, values: v as tf.Tensor1D, pattern })))(tf.ones([9]))
      .dataSync();
  expect(Array.from(run())).toEqual(new Array(9).fill(2));
  run();
  expect(warn.mock.calls.filter(([text]) => String(text).includes("backend 'elsewhere'"))).toHaveLength(1);
  warn.mockRestore();
});
