import { describe, expect, test } from 'vitest';
import { countFor } from '../../ts/pattern/csr.js';
import { erk, uniform } from '../../ts/pattern/distribution.js';

const close = (received: number[], expected: number[], digits: number) => {
  expect(received).toHaveLength(expected.length);
  received.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i], digits);
  });
};
const sparsities = (shapes: number[][], sparsity: number, power?: number) => erk(shapes, 1 - sparsity, power).map((d) => 1 - d);

describe('erk', () => {
  // jaxpruner's own golden values.
  const abc = [
    [2, 4],
    [3, 6],
    [2, 4, 6],
  ];
  test.each([
    [0.8, 1, [0.5556, 0.7037, 0.8519]],
    [0.5, 1, [0, 0.3095, 0.6548]],
    [0.5, 2, [0, 0.0333, 0.7583]],
  ])('small layers at sparsity %d, power %d', (sparsity, power, expected) => {
    close(sparsities(abc, sparsity, power), expected, 4);
  });

  test('layers that would exceed 1 become dense, and the rest is shared again', () => {
    const shapes = [
      [2, 4],
      [3, 6, 7],
      [7, 4],
    ];
    close(sparsities(shapes, 0.5), [0, 0.64, 0], 2);
  });

  const lenet = [
    [784, 300],
    [300, 100],
    [100, 10],
  ];
  test.each([
    [0.8, [0.837759, 0.530638, 0], [38159, 14081, 1000]],
    [0.9, [0.920432, 0.769811, 0], [18714, 6906, 1000]],
    [0.95, [0.961516, 0.888666, 0.081493], [9051, 3340, 919]],
    [0.98, [0.984606, 0.955466, 0.632597], [3621, 1336, 367]],
    [0.99, [0.992303, 0.977733, 0.816299], [1810, 668, 184]],
  ])('LeNet-300-100 at sparsity %d', (sparsity, expected, counts) => {
    const densities = erk(lenet, 1 - sparsity);
    close(
      densities.map((d) => 1 - d),
      expected,
      6,
    );
    expect(densities.map((d, i) => countFor(lenet[i][0] * lenet[i][1], d))).toEqual(counts);
  });

  test('a wide perceptron and a convolutional net', () => {
    const wide = [784, 1000, 1000, 1000].map((n, i) => [n, i === 3 ? 10 : 1000]);
    close(sparsities(wide, 0.9), [0.894014, 0.906846, 0.906846, 0], 6);
    const lenet5 = [
      [5, 5, 1, 20],
      [5, 5, 20, 50],
      [800, 500],
      [500, 10],
    ];
    close(sparsities(lenet5, 0.9), [0, 0.912928, 0.911567, 0], 6);
  });

  test.each([0, -1, 1.1, Number.NaN])('refuses density %d', (density) => {
    expect(() => erk(lenet, density)).toThrow(`erk density: expected a number in (0, 1], received ${density}`);
  });

  test('density 1 is dense everywhere', () => {
    expect(erk(lenet, 1)).toEqual([1, 1, 1]);
  });
});

test('uniform gives each layer the same', () => {
  expect(uniform([[2, 3], [4]], 0.25)).toEqual([0.25, 0.25]);
  expect(() => uniform([], 0)).toThrow('uniform density');
});
