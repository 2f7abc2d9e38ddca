import { expect, test } from 'vitest';
import { gradientReduce, gradientTopK, topK } from '../../ts/ops/top_k.js';
import { patternOf } from '../support/cases.js';
import { expectClose, onEachBackend, tf } from '../support/tf.js';

onEachBackend('selection', () => {
  test('topK gives values and indices, by index', () => {
    tf.tidy(() => {
      const { values, indices } = topK(tf.tensor1d([1, -5, 3, 5, 0]), 3);
      expect(Array.from(values.dataSync())).toEqual([-5, 3, 5]);
      expect(Array.from(indices.dataSync())).toEqual([1, 2, 3]);
      expect(indices.dtype).toBe('int32');
      expect(topK(tf.tensor1d([1]), 0).values.shape).toEqual([0]);
    });
  });

  test('topK refuses k beyond the values, other ranks and NaN', () => {
    tf.tidy(() => {
      expect(() => topK(tf.tensor1d([1, 2]), 3)).toThrow('topK k: expected at most the 2 values there are, received 3');
      expect(() => topK(tf.tensor1d([1, 2]), 1.5)).toThrow('topK k: expected a whole number >= 0, received 1.5');
      expect(() => topK(tf.zeros([2, 2]) as unknown as tf.Tensor1D, 1)).toThrow('topK x: expected [n], received [2, 2]');
      expect(() => topK(tf.tensor1d([1, Number.NaN]), 1)).toThrow(
        'topK x: expected numbers (has the training diverged?), received "NaN at index 1"',
      );
    });
  });

  test('gradientTopK and gradientReduce look at the gradient outside the pattern', () => {
    tf.tidy(() => {
      // dyᵀ·x = [[3, 4], [6, 8]]
      const x = tf.tensor2d([[3, 4]]);
      const dy = tf.tensor2d([[1], [2]].flat(), [1, 2]);
      const pattern = patternOf([0, 0, 0, 1], 2);
      const { rows, cols, gradients } = gradientTopK({ x, dy, pattern, k: 2 });
      expect([rows, cols, gradients].map((t) => Array.from(t.dataSync()))).toEqual([
        [0, 1],
        [1, 0],
        [4, 6],
      ]);
      const { sum, max, norm, count } = gradientReduce({ x, dy, pattern, threshold: 3 });
      expectClose(
        [sum, max, norm, count].map((t) => t.dataSync()[0]),
        [13, 6, Math.sqrt(61), 2],
      );
    });
  });

  test('shapes that disagree are refused', () => {
    tf.tidy(() => {
      const pattern = patternOf([1, 0], 2);
      const x = tf.zeros<tf.Rank.R2>([3, 2]);
      expect(() => gradientTopK({ x: tf.zeros([3, 1]), dy: tf.zeros([3, 1]), pattern, k: 1 })).toThrow(
        'gradientTopK x: expected [batch, 2]',
      );
      expect(() => gradientReduce({ x, dy: tf.zeros([2, 1]), pattern })).toThrow('gradientReduce dy: expected [3, 1], received [2, 1]');
      expect(() => gradientReduce({ x, dy: tf.zeros([3, 1]), pattern, threshold: -1 })).toThrow('gradientReduce threshold');
    });
  });
});
