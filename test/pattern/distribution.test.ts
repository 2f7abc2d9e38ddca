import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { countFor } from '../../ts/pattern/csr.js';
import { custom, er, erk, firstDense, lastAtLeast, setEpsilon, uniform } from '../../ts/pattern/distribution.js';

const close = (received: number[], expected: number[], digits: number) => {
  expect(received).toHaveLength(expected.length);
  received.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i], digits);
  });
};
/** What is kept of each layer, and in all. */
const kept = (shapes: number[][], densities: number[]) => {
  const counts = densities.map((d, i) =>
    countFor(
      shapes[i].reduce((a, b) => a * b, 1),
      d,
    ),
  );
  return { counts, total: counts.reduce((a, b) => a + b, 0) };
};
const sparsities = (shapes: number[][], sparsity: number, power?: number) => erk(shapes, 1 - sparsity, power).map((d) => 1 - d);

const wide = [784, 1000, 1000, 1000].map((n, i) => [n, i === 3 ? 10 : 1000]);

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
    [0.8, [0.837759, 0.530638, 0], [38159, 14081, 1000], 53240],
    [0.9, [0.920432, 0.769811, 0], [18714, 6906, 1000], 26620],
    [0.95, [0.961516, 0.888666, 0.081493], [9051, 3340, 919], 13310],
    [0.98, [0.984606, 0.955466, 0.632597], [3621, 1336, 367], 5324],
    [0.99, [0.992303, 0.977733, 0.816299], [1810, 668, 184], 2662],
  ])('LeNet-300-100 at sparsity %d', (sparsity, expected, counts, total) => {
    const densities = erk(lenet, 1 - sparsity);
    close(
      densities.map((d) => 1 - d),
      expected,
      6,
    );
    expect(kept(lenet, densities)).toEqual({ counts, total });
  });

  test('a wide perceptron', () => {
    close(sparsities(wide, 0.9), [0.894014, 0.906846, 0.906846, 0], 6);
    // The budget is 279 400; each layer rounds for itself.
    expect(kept(wide, erk(wide, 0.1))).toEqual({ counts: [83093, 93154, 93154, 10000], total: 279_401 });
  });

  test('a convolutional net', () => {
    const lenet5 = [
      [5, 5, 1, 20],
      [5, 5, 20, 50],
      [800, 500],
      [500, 10],
    ];
    close(sparsities(lenet5, 0.9), [0, 0.912928, 0.911567, 0], 6);
  });

  test('power 0 shares alike, as far as whole zeros allow', () => {
    close(erk(lenet, 0.1, 0), [0.1, 0.1, 0.1], 6);
  });

  test.each([0, -1, 1.1, Number.NaN])('refuses density %d', (density) => {
    expect(() => erk(lenet, density)).toThrow(`erk density: expected a number in (0, 1], received ${density}`);
  });

  test.each([-1, Number.NaN])('refuses power %d', (power) => {
    expect(() => erk(lenet, 0.5, power)).toThrow(`erk powerScale: expected a number >= 0, received ${power}`);
  });

  test.each([
    [
      [
        [4, 3],
        [4, 0],
      ],
      'erk shape of layer 1: expected a whole number >= 1, received 0',
    ],
    [[[1.5, 3]], 'erk shape of layer 0: expected a whole number >= 1, received 1.5'],
    [[784, 300] as never, 'erk shape of layer 0: expected two sizes or more, such as [784, 300], received 784'],
    [[[3]], 'erk shape of layer 0: expected two sizes or more, such as [784, 300], received [3]'],
  ])('refuses a shape of no layer', (shapes, message) => {
    expect(() => erk(shapes, 0.5)).toThrow(message);
  });

  test('density 1 is dense everywhere', () => {
    expect(erk(lenet, 1)).toEqual([1, 1, 1]);
  });

  test('no density is above 1, and the budget is met, over many shapes', () => {
    const shape = fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 60 }));
    fc.assert(
      fc.property(fc.array(shape, { minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 100 }), (shapes, percent) => {
        const densities = erk(shapes, percent / 100);
        const total = shapes.reduce((sum, [a, b], i) => sum + a * b * densities[i], 0);
        const budget = shapes.reduce((sum, [a, b]) => sum + a * b - Math.floor(((100 - percent) * a * b) / 100), 0);
        for (const d of densities) expect(d).toBeGreaterThan(0);
        for (const d of densities) expect(d).toBeLessThanOrEqual(1);
        expect(total).toBeCloseTo(budget, 6);
      }),
    );
  });
});

describe('er', () => {
  // jaxpruner's golden values without the kernel.
  test('counts only the last two dimensions', () => {
    const shapes = [
      [2, 4],
      [3, 6],
      [2, 4, 6],
    ];
    close(
      er(shapes, 0.5).map((d) => 1 - d),
      [0.2071, 0.4714, 0.5595],
      4,
    );
    expect(Math.abs(er(shapes, 0.5)[0] - erk(shapes, 0.5)[0])).toBeGreaterThan(0.1);
  });

  test('is erk where all layers are dense ones', () => {
    expect(er(wide, 0.1)).toEqual(erk(wide, 0.1));
  });

  test('refuses what erk refuses, by its own name', () => {
    expect(() => er(wide, 0)).toThrow('er density: expected a number in (0, 1], received 0');
    expect(() => er([[3, 0]], 0.5)).toThrow('er shape of layer 0: expected a whole number >= 1, received 0');
  });

  test('refuses a kernel without extent', () => {
    expect(() => er([[0, 3, 3]], 0.5)).toThrow('er shape of layer 0: expected a whole number >= 1, received 0');
  });
});

describe('setEpsilon', () => {
  test.each([
    [20, [0.04551, 0.04, 0.04, 1]],
    [13, [0.029582, 0.026, 0.026, 1]],
  ])('epsilon %d on a wide perceptron', (epsilon, expected) => {
    close(setEpsilon(wide, epsilon), expected, 6);
  });

  test('the Fashion-MNIST network of the authors', () => {
    expect(kept(wide, setEpsilon(wide, 13)).counts).toEqual([23_192, 26_000, 26_000, 10_000]);
  });

  test.each([0, -1, Number.NaN])('refuses epsilon %d', (epsilon) => {
    expect(() => setEpsilon(wide, epsilon)).toThrow(`setEpsilon epsilon: expected a number > 0, received ${epsilon}`);
  });
});

test('setEpsilon refuses a shape of no layer', () => {
  expect(() =>
    setEpsilon(
      [
        [4, 3],
        [4, 0],
      ],
      20,
    ),
  ).toThrow('setEpsilon shape of layer 1: expected a whole number >= 1, received 0');
});

describe('uniform', () => {
  test('gives each layer the same', () => {
    expect(uniform([[2, 3], [4]], 0.25)).toEqual([0.25, 0.25]);
  });

  test.each([0, 1.2, Number.NaN])('refuses density %d', (density) => {
    expect(() => uniform([], density)).toThrow(`uniform density: expected a number in (0, 1], received ${density}`);
  });
});

describe('custom', () => {
  const names = ['first', 'second', 'third'];

  test('gives some layers their own, and the rest one for all', () => {
    expect(custom(names, { second: 0.5 }, 0.1)).toEqual([0.1, 0.5, 0.1]);
    expect(custom(names, {}, 1)).toEqual([1, 1, 1]);
  });

  test('refuses a name that no layer has', () => {
    expect(() => custom(names, { fourth: 0.5 }, 0.1)).toThrow(
      'custom densities: expected layers among first, second, third, received "fourth"',
    );
  });

  test('refuses a density by the name of its layer', () => {
    expect(() => custom(names, { second: 0 }, 0.1)).toThrow('custom density of second: expected a number in (0, 1], received 0');
    expect(() => custom(names, { second: 0.5 }, 2)).toThrow('custom density of first: expected a number in (0, 1], received 2');
  });
});

describe('the ends of a network', () => {
  test('firstDense leaves the others', () => {
    const densities = [0.1, 0.2, 0.3];
    expect(firstDense(densities)).toEqual([1, 0.2, 0.3]);
    expect(densities).toEqual([0.1, 0.2, 0.3]);
    expect(firstDense([])).toEqual([]);
  });

  test('lastAtLeast raises the last, never lowers it', () => {
    expect(lastAtLeast([0.1, 0.1])).toEqual([0.1, 0.2]);
    expect(lastAtLeast([0.1, 0.5])).toEqual([0.1, 0.5]);
    expect(lastAtLeast([0.1, 0.5], 0.75)).toEqual([0.1, 0.75]);
    expect(lastAtLeast([])).toEqual([]);
  });

  test.each([0, 1.1, Number.NaN])('lastAtLeast refuses %d', (density) => {
    expect(() => lastAtLeast([0.1], density)).toThrow(`lastAtLeast density: expected a number in (0, 1], received ${density}`);
  });
});
