// tfjs with its two CPU backends, and the layers that register all gradients.

import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import * as tfl from '@tensorflow/tfjs-layers';
import { afterEach, beforeEach, describe, expect } from 'vitest';

export { tf, tfl };

export const BACKENDS = ['cpu', 'wasm'] as const;

/** Runs a suite on each backend, and fails any of its tests that leaves a tensor behind. */
export function onEachBackend(name: string, suite: (backend: string) => void): void {
  describe.each(BACKENDS)(`${name} on %s`, (backend) => {
    let before: tf.MemoryInfo;
    beforeEach(async () => {
      await tf.setBackend(backend);
      before = tf.memory();
    });
    afterEach(() => {
      const { numTensors, numDataBuffers } = tf.memory();
      expect({ numTensors, numDataBuffers }, 'tensors left behind').toEqual({
        numTensors: before.numTensors,
        numDataBuffers: before.numDataBuffers,
      });
    });
    suite(backend);
  });
}

export function expectClose(received: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-5): void {
  expect(received.length).toBe(expected.length);
  for (let i = 0; i < received.length; i++) {
    const bound = tolerance * Math.max(1, Math.abs(expected[i]));
    if (!(Math.abs(received[i] - expected[i]) <= bound)) expect.fail(`at ${i}: expected ${expected[i]}, received ${received[i]}`);
  }
}

/** What comes of an operation: shape, dtype and numbers (-0 is 0), or what was thrown. */
export function outcomeOf(run: () => tf.Tensor): unknown {
  try {
    return tf.tidy(() => {
      const result = run();
      return { shape: result.shape, dtype: result.dtype, values: Array.from(result.dataSync(), (value) => value + 0) };
    });
  } catch (error) {
    return (error as Error).message;
  }
}

/** An initializer that gives these numbers, whatever the shape asked for. */
export function given(values: number[] | Float32Array) {
  return Object.assign(Object.create(tfl.initializers.zeros()), {
    apply: (shape: number[]) => tf.tensor(values, shape),
  }) as ReturnType<typeof tfl.initializers.zeros>;
}

/** A variable that alone owns its numbers. */
export function variable(values: number[] | Float32Array): tf.Variable<tf.Rank.R1> {
  return tf.tidy(() => tf.variable(tf.tensor1d(values)));
}
