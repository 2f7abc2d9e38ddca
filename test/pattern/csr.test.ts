import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PatternError } from '../../ts/errors.js';
import { CsrPattern, countFor } from '../../ts/pattern/csr.js';

const pattern = (cols: number, rowOffsets: number[], colIndices: number[], rowSplits?: number[]) =>
  new CsrPattern({
    cols,
    rowOffsets: Uint32Array.from(rowOffsets),
    colIndices: Uint32Array.from(colIndices),
    ...(rowSplits ? { rowSplits: Uint32Array.from(rowSplits) } : {}),
  });

describe('CsrPattern', () => {
  test('holds A first, then the rest of B, in each row', () => {
    const p = pattern(3, [0, 3, 4], [0, 2, 1, 1], [2, 4]);
    const seen: unknown[] = [];
    p.forEach((...entry) => {
      seen.push(entry);
    });
    expect(seen).toEqual([
      [0, 0, 0, true],
      [1, 0, 2, true],
      [2, 0, 1, false],
      [3, 1, 1, true],
    ]);
    expect([p.rows, p.cols, p.nnz, p.forwardNnz]).toEqual([2, 3, 4, 3]);
  });

  test('may have more than 2^32 positions, but then has no flat indices', () => {
    const p = pattern(
      300_000,
      Array.from({ length: 300_001 }, (_, row) => Math.min(row, 2)),
      [299_999, 7],
    );
    expect(p.nnz).toBe(2);
    expect(() => p.flat()).toThrow(
      new PatternError('pattern flat indices: expected a matrix of fewer than 2^32 positions, received 300000·300000'),
    );
  });

  test.each([
    ['no offsets', () => pattern(3, [], []), /first offset of 0/],
    ['a first offset that is not 0', () => pattern(3, [1, 1], [0]), /first offset of 0/],
    ['a last offset that is not nnz', () => pattern(3, [0, 2], [0]), /number of entries, 1, received 2/],
    ['falling offsets', () => pattern(3, [0, 2, 1], [0], [0, 1]), /row 0: expected start <= split <= end/],
    ['a split outside its row', () => pattern(3, [0, 1], [0], [2]), /received 0, 2, 1/],
    ['a missing split', () => pattern(3, [0, 1], [0], []), /row splits: expected 1, received 0/],
    ['a column out of bounds', () => pattern(3, [0, 1], [3]), /columns below 3, received 3/],
    ['a column that would wrap to 16 bits', () => pattern(3, [0, 1], [65536]), /received 65536/],
    ['descending columns', () => pattern(3, [0, 2], [1, 0]), /ascending columns, each once/],
    ['a column twice', () => pattern(3, [0, 2], [1, 1]), /ascending columns, each once/],
    ['a column in both sets', () => pattern(3, [0, 3], [0, 2, 2], [2]), /ascending columns, each once/],
  ])('refuses %s', (_, make, message) => {
    expect(make).toThrow(PatternError);
    expect(make).toThrow(message);
  });

  test('uses 16 bits where they fit', () => {
    expect(pattern(65_536, [0, 1], [65_535]).colIndices).toBeInstanceOf(Uint16Array);
    expect(pattern(65_537, [0, 1], [65_536]).colIndices).toBeInstanceOf(Uint32Array);
  });

  test.each([-1, 2.5, Number.NaN])('of %d columns is refused', (cols) => {
    expect(() => pattern(cols, [0], [])).toThrow(new PatternError(`pattern cols: expected a whole number >= 0, received ${cols}`));
  });

  test('is either valid or refused, whatever comes', () => {
    const small = fc.array(fc.nat(6), { maxLength: 6 });
    fc.assert(
      fc.property(fc.nat(6), small, small, small, (cols, offsets, columns, splits) => {
        let p: CsrPattern;
        try {
          p = pattern(cols, offsets, columns, splits);
        } catch (error) {
          expect(error).toBeInstanceOf(PatternError);
          return;
        }
        const places = new Set<string>();
        p.forEach((_, row, col) => {
          expect(col).toBeLessThan(cols);
          places.add(`${row},${col}`);
        });
        expect(places.size).toBe(p.nnz);
      }),
    );
  });
});

test('countFor rounds and keeps at least one', () => {
  expect([countFor(10, 0.25), countFor(10, 0.24), countFor(10, 0.001), countFor(10, 1)]).toEqual([3, 2, 1, 10]);
});
