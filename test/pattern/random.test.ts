import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Random, randomPattern } from '../../ts/pattern/random.js';

const places = (rows: number, cols: number, nnz: number, seed: number) => {
  const found: number[] = [];
  randomPattern(rows, cols, nnz, seed).forEach((_, row, col) => {
    found.push(row * cols + col);
  });
  return found;
};

test('a random pattern has just as many entries, each in its place, all in A', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 1, max: 30 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.nat(),
      (rows, cols, share, seed) => {
        const nnz = Math.floor(rows * cols * share);
        const pattern = randomPattern(rows, cols, nnz, seed);
        expect(pattern.nnz).toBe(nnz);
        expect(pattern.forwardNnz).toBe(nnz);
      },
    ),
  );
});

test('the same seed gives the same pattern, another seed another', () => {
  expect(places(40, 50, 300, 7)).toEqual(places(40, 50, 300, 7));
  expect(places(40, 50, 300, 7)).not.toEqual(places(40, 50, 300, 8));
});

test.each([0.1, 0.9])('every place is equally likely at density %d', (density) => {
  const counts = new Array(30).fill(0);
  const trials = 4000;
  for (let seed = 0; seed < trials; seed++) for (const place of places(5, 6, 30 * density, seed)) counts[place]++;
  // Five standard deviations of a binomial.
  const allowed = 5 * Math.sqrt(trials * density * (1 - density));
  for (const count of counts) expect(Math.abs(count - trials * density)).toBeLessThan(allowed);
});

test('a layer with 9·10¹⁰ places needs memory for its entries alone', () => {
  const pattern = randomPattern(300_000, 300_000, 30_000, 1);
  expect(pattern.nnz).toBe(30_000);
  expect(Math.max(...pattern.colIndices)).toBeGreaterThan(65_536);
});

test('too many entries are refused with both numbers', () => {
  expect(() => randomPattern(2, 3, 7, 1)).toThrow('randomPattern nnz: expected at most 2·3 = 6, received 7');
  expect(() => randomPattern(-2, -3, 2, 1)).toThrow('randomPattern rows: expected a whole number >= 0, received -2');
  expect(() => randomPattern(2, 2.5, 2, 1)).toThrow('randomPattern cols: expected a whole number >= 0, received 2.5');
});

test('the generator repeats itself for a seed', () => {
  const draw = (seed: number) =>
    Array.from({ length: 4 }, (_, i) => i).map(
      (
        (random) => () =>
          random.bits()
      )(new Random(seed)),
    );
  expect(draw(0)).toEqual(draw(0));
  expect(draw(0)).not.toEqual(draw(1));
});

test('next() fills [0, 1) evenly', () => {
  const random = new Random(3);
  const bins = new Array(10).fill(0);
  for (let i = 0; i < 100_000; i++) bins[Math.floor(random.next() * 10)]++;
  for (const bin of bins) expect(Math.abs(bin - 10_000)).toBeLessThan(500);
});
