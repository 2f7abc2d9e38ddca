// Which tile the forward product takes. They all give the same bits, so the first calls of a shape try them in turn, at no cost but their own, and the
// fastest stays. They count from when the engine should have compiled all of them for good: it does so in the background, after a while.

import { OptionError } from '../errors.js';

/**
 * As in `Tile::ALL` of crate/src/kernels/forward.rs: samples × output rows in registers, the last with 384 features at a time, which a first-level cache
 * holds. Of a convolution the second takes two places of 16 samples.
 */
export const TILES = ['16x1', '32x1', '32x1x384'] as const;
export type Tile = (typeof TILES)[number];

/** Of one panel of 16 samples, or a second with 8 or fewer, all tiles are the same. */
const MIN_BATCH = 25;
/** Before counting begins: calls of all tiles, and milliseconds. */
const WARMUP = 64;
const WARMUP_MS = 250;
/** Calls of each tile that count, and how many of them come in a row: layers of one shape, or batches of two sizes, take turns as well. */
const COUNTED = 24;
const IN_A_ROW = 4;

interface Trial {
  readonly rows: number;
  readonly cols: number;
  readonly density: number;
  readonly begun: number;
  calls: number;
  counted: number;
  /** Picoseconds per weight and sample of the calls in a row so far. */
  row: number;
  /** The slowest row of each tile to be tried. One interruption must not decide for good. */
  readonly worst: number[];
  /** The other rows, added up: a sum, because browsers round each time to 5 or 100 µs. */
  readonly spent: number[];
}

const trials = new Map<string, Trial>();
let forced: number | undefined;

/**
 * What has been tried, for a look: shape, density when first met, the tile in use, and picoseconds per weight and sample of each that there is for this kind
 * of layer, unfinished sums until one is chosen.
 */
export function tiles(): { rows: number; cols: number; density: number; tile: Tile | undefined; ps: Partial<Record<Tile, number>> }[] {
  return [...trials.values()].map(({ rows, cols, density, counted, spent }) => ({
    rows,
    cols,
    density,
    tile: counted < enough(spent) ? undefined : TILES[fastest(spent)],
    ps: Object.fromEntries(spent.map((ps, i) => [TILES[i], ps / (COUNTED - IN_A_ROW)])),
  }));
}

/** Takes this tile always; `undefined` to choose by measurement again. Speed alone depends on it. */
export function setTile(tile: Tile | undefined): void {
  const i = tile === undefined ? undefined : TILES.indexOf(tile);
  if (i === -1) throw new OptionError('setTile tile', TILES.join(' or '), tile);
  forced = i;
}

const enough = (spent: readonly number[]) => spent.length * COUNTED;
const fastest = (spent: readonly number[]) => spent.indexOf(Math.min(...spent));

/** Runs a product with a tile, of so many samples: of a convolution, places of its window over all images. */
export function withTile(
  kind: 'dense' | 'convolution',
  shape: { rows: number; cols: number; nnz: number },
  samples: number,
  run: (tile: number) => void,
): void {
  const { rows, cols, nnz } = shape;
  // Without weights there is no work to divide the time by.
  if (forced !== undefined || samples < MIN_BATCH || nnz === 0) {
    run(forced ?? 0);
    return;
  }
  // Densities within a factor of two are alike, but for 1, which takes a dense product and says nothing of tiles.
  const key = `${rows} ${cols} ${Math.ceil(-Math.log2(nnz / (rows * cols)))} ${kind}`;
  let trial = trials.get(key);
  if (!trial) {
    // To a convolution the last is the same as the one before.
    const none = kind === 'dense' ? [0, 0, 0] : [0, 0];
    trial = {
      rows,
      cols,
      density: nnz / (rows * cols),
      begun: performance.now(),
      calls: 0,
      counted: 0,
      row: 0,
      worst: none,
      spent: [...none],
    };
    trials.set(key, trial);
  }
  if (trial.counted >= enough(trial.spent)) {
    run(fastest(trial.spent));
    return;
  }
  const tile = Math.floor(trial.calls / IN_A_ROW) % trial.spent.length;
  const begin = performance.now();
  // From the beginning of a round, so that all tiles are counted as often.
  const warm = trial.calls >= WARMUP && begin - trial.begun >= WARMUP_MS;
  const counts = trial.counted > 0 || (warm && trial.calls % (IN_A_ROW * trial.spent.length) === 0);
  run(tile);
  if (counts) {
    trial.row += ((performance.now() - begin) * 1e9) / (nnz * samples);
    if (++trial.counted % IN_A_ROW === 0) {
      trial.spent[tile] += Math.min(trial.row, trial.worst[tile]);
      trial.worst[tile] = Math.max(trial.row, trial.worst[tile]);
      trial.row = 0;
    }
  }
  trial.calls++;
}
