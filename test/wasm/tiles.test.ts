// Which tile runs is a matter of speed alone.

import { afterEach, expect, test, vi } from 'vitest';
import { Random, randomPattern } from '../../ts/pattern/random.js';
import { releasePattern } from '../../ts/wasm/kernels.js';
import { setTile, TILES, type Tile, tiles } from '../../ts/wasm/tiles.js';
import { forward } from '../support/products.js';

/** Columns of two blocks of the last tile. */
const [ROWS, COLS] = [70, 500];
const NNZ = 5000;
const random = new Random(2);
const numbers = (n: number) => Float32Array.from({ length: n }, () => random.next() - 0.5);

afterEach(() => setTile(undefined));

test.each([1, 4, 7, 8, 16, 24, 25, 31, 33, 48, 70])('every tile gives the same bits, batch %d', (batch) => {
  const pattern = randomPattern(ROWS, COLS, NNZ, 1);
  const [x, values] = [numbers(batch * COLS), numbers(pattern.nnz)];
  const run = (tile: Tile | undefined) => {
    setTile(tile);
    return Buffer.from(forward(pattern, batch, x, values, undefined, false).buffer);
  };
  const expected = run('16x1');
  for (const tile of [...TILES, undefined]) expect(run(tile).equals(expected), tile).toBe(true);
  releasePattern(pattern);
});

test('after some calls of a shape the fastest stays', () => {
  const pattern = randomPattern(71, COLS, NNZ, 1);
  const [x, values] = [numbers(64 * COLS), numbers(pattern.nnz)];
  const mine = () => tiles().find(({ rows }) => rows === 71);
  expect(mine()).toBeUndefined();
  for (let i = 0; i < 64; i++) forward(pattern, 64, x, values, undefined, false);
  expect(mine()).toMatchObject({ rows: 71, cols: COLS, density: NNZ / (71 * COLS), tile: undefined });
  for (const begin = performance.now(); performance.now() - begin < 300; ) forward(pattern, 64, x, values, undefined, false);
  for (let i = 0; i < 96; i++) forward(pattern, 64, x, values, undefined, false);
  const found = mine();
  const ps = TILES.map((tile) => found?.ps[tile] ?? 0);
  expect(Math.min(...ps)).toBeGreaterThan(0);
  expect(found?.tile).toBe(TILES[ps.indexOf(Math.min(...ps))]);
  releasePattern(pattern);
});

test('batches of two sizes that take turns are measured alike', () => {
  const pattern = randomPattern(72, COLS, NNZ, 1);
  const values = numbers(pattern.nnz);
  const packed = [32, 512].map((batch) => numbers(batch * COLS));
  // A clock that each sample of the batch moves on by as much, whichever the tile.
  let [now, batch] = [0, 0];
  vi.spyOn(performance, 'now').mockImplementation(() => {
    now += batch;
    return now;
  });
  for (let i = 0; i < 64 + 72 + 8; i++) {
    batch = [32, 512][i % 2];
    forward(pattern, batch, packed[i % 2], values, undefined, false);
  }
  vi.restoreAllMocks();
  const ps = tiles().find(({ rows }) => rows === 72)?.ps as Record<Tile, number>;
  expect(ps['16x1']).toBeGreaterThan(0);
  for (const tile of TILES) expect(ps[tile]).toBeCloseTo(ps['16x1']);
  releasePattern(pattern);
});

test('what others take away in one row does not decide', () => {
  const pattern = randomPattern(74, COLS, NNZ, 1);
  const [x, values] = [numbers(64 * COLS), numbers(pattern.nnz)];
  // Four calls of a slow tile, four of the fast one, four of another slow one, and so on.
  let [now, cost] = [0, 0];
  vi.spyOn(performance, 'now').mockImplementation(() => {
    now += cost;
    return now;
  });
  for (let i = 0; i < 72 + 72; i++) {
    const fast = i % 12 >= 4 && i % 12 < 8;
    cost = i === 90 ? 10_000 : fast ? 6 : 8;
    forward(pattern, 64, x, values, undefined, false);
  }
  vi.restoreAllMocks();
  expect(tiles().find(({ rows }) => rows === 74)?.tile).toBe('32x1');
  releasePattern(pattern);
});

test('a layer that has all weights chooses for itself alone: whichever tile, its product is dense', () => {
  for (const nnz of [75 * COLS, 75 * COLS - 9]) {
    const pattern = randomPattern(75, COLS, nnz, 1);
    forward(pattern, 64, numbers(64 * COLS), numbers(nnz), undefined, false);
    releasePattern(pattern);
  }
  const densities = tiles().flatMap(({ rows, density }) => (rows === 75 ? [density] : []));
  expect(densities).toEqual([1, 1 - 9 / (75 * COLS)]);
});

test('a layer without weights needs no choice, even by a coarse clock', () => {
  const pattern = randomPattern(73, COLS, 0, 1);
  const x = numbers(64 * COLS);
  // A browser's clock stands still during such a call: 0 ms for 0 weights.
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  for (; now < 2000; now += 10) forward(pattern, 64, x, new Float32Array(0), undefined, false);
  vi.restoreAllMocks();
  expect(Math.max(...forward(pattern, 64, x, new Float32Array(0), undefined, false))).toBe(0);
  expect(tiles().some(({ rows }) => rows === 73)).toBe(false);
  releasePattern(pattern);
});

test('a tile that does not exist is refused', () => {
  expect(() => setTile('8x8' as Tile)).toThrow('setTile tile: expected 16x1 or 32x1 or 32x1x384, received "8x8"');
});
