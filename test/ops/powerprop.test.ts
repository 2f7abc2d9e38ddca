import { expect, test } from 'vitest';
import { powerprop } from '../../ts/ops/powerprop.js';
import { expectClose, onEachBackend, tf } from '../support/tf.js';

const PHI = [0.5, -0.2, 1.5, 0];
const D_THETA = [0.3, 0.3, -0.3, 0.3];

onEachBackend('powerprop', () => {
  test.each([
    [2, [0.25, -0.04, 2.25, 0], [0.3, 0.12, -0.9, 0]],
    [3, [0.125, -0.008, 3.375, 0], [0.225, 0.036, -2.025, 0]],
    [1.375, [0.3855527064, -0.1093745411, 1.7463266482, 0], [0.3180809827, 0.2255849911, -0.4802398283, 0]],
  ])('has the golden values at alpha %d', (alpha, theta, dPhi) => {
    tf.tidy(() => {
      const phi = tf.tensor1d(PHI);
      expectClose(powerprop(phi, alpha).dataSync(), theta, 1e-6);
      const gradient = tf.grad((p) => tf.sum(tf.mul(powerprop(p as tf.Tensor1D, alpha), D_THETA)))(phi);
      expectClose(gradient.dataSync(), dPhi, 1e-6);
    });
  });

  test('alpha 1 is no operation at all', () => {
    tf.tidy(() => {
      const phi = tf.tensor1d(PHI);
      expect(powerprop(phi, 1)).toBe(phi);
    });
  });

  test('an alpha below 1 is refused', () => {
    tf.tidy(() => {
      expect(() => powerprop(tf.tensor1d(PHI), 0.5)).toThrow('powerprop alpha: expected a number >= 1, received 0.5');
    });
  });
});
