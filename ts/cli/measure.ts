// How `bench` measures, and the benches of the repository too. Nothing of Node in here: they also run in browsers.

import { Random, randomPattern } from '../pattern/random.js';
import * as kernels from '../wasm/kernels.js';
import { WasmArray } from '../wasm/memory.js';
import { Panels } from '../wasm/panels.js';

/** Milliseconds per run. */
export interface Times {
  min: number;
  median: number;
}

/** What is timed. One in another process has a function `turn`, which runs it there for so many ms, and resolves to the times. */
export type Rival = (() => unknown) & { turn?: (ms: number) => Promise<number[]> };

export interface Rounds {
  /** Rounds that are not counted (default 0), and those that are. */
  warmup?: number;
  rounds: number;
  /** Milliseconds of one turn (default 0: one run). */
  turn?: number;
  /** Called after each turn. */
  between?: () => unknown;
}

export const median = (values: number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1];

/**
 * Times the rivals turn by turn, so that a slow minute of the machine hits all alike. A turn is `turn` ms of one rival, at least one run: whoever
 * is fast trains in a row, as in training, and not with the caches that a slow one left.
 */
export async function interleaved<Name extends string>(
  rivals: Record<Name, Rival>,
  { warmup = 0, rounds, turn = 0, between }: Rounds,
): Promise<Record<Name, Times>> {
  const names = Object.keys(rivals) as Name[];
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let round = 0; round < warmup + rounds; round++) {
    for (const name of names) {
      const spent = await (rivals[name].turn?.(turn) ?? turnOf(rivals[name], turn));
      if (round >= warmup) times[name].push(...spent);
      await between?.();
    }
  }
  return Object.fromEntries(
    names.map((name) => [name, { min: times[name].reduce((a, b) => Math.min(a, b), Infinity), median: median(times[name]) }]),
  ) as Record<Name, Times>;
}

async function turnOf(run: () => unknown, turn: number): Promise<number[]> {
  const spent: number[] = [];
  const start = performance.now();
  let end = start;
  do {
    const begin = end;
    await run();
    end = performance.now();
    spent.push(end - begin);
  } while (end - start < turn);
  return spent;
}

/** Throws unless a measured thing gave the right answer: a fast wrong one is no result. */
export function check(condition: boolean, what: string): void {
  if (!condition) throw new Error(`wrong answer: ${what}`);
}

/** Multiply-add peak of this process in GFLOP/s: the best of a few rounds on registers alone. */
export function peakGflops(): number {
  let best = 0;
  for (let i = 0; i < 12; i++) {
    const begin = performance.now();
    const flops = kernels.peak(1_000_000);
    best = Math.max(best, flops / (performance.now() - begin) / 1e6);
  }
  check(Number.isFinite(best), 'the peak loop');
  return best;
}

/**
 * The floating-point operations that the peak loop, or another `loop` that returns how many it did, does while `run` runs: its time in the machine's own
 * measure. Each run stands between two turns of the loop and counts only where these agree within a tenth, so that a machine that changes its speed does
 * not change the result. The median over `ms` of runs, 9 at least.
 */
export function costAtPeak(run: () => unknown, ms = 250, loop: () => number = () => kernels.peak(20_000)): number {
  // Browsers round the time to 5 or 100 µs.
  const least = 20 * clockStep();
  let turn = least;
  const speed = () => {
    // Its first round after other work is a tenth slower.
    loop();
    const begin = performance.now();
    let flops = 0;
    do flops += loop();
    while (performance.now() - begin < turn);
    return flops / (performance.now() - begin);
  };
  for (let i = 0; i < 20; i++) run();
  const costs: number[] = [];
  for (let spent = 0, tries = 0; (spent < ms || costs.length < 9) && tries < 3000; tries++) {
    const before = speed();
    const begin = performance.now();
    let runs = 0;
    do {
      run();
      runs++;
    } while (performance.now() - begin < least);
    const time = performance.now() - begin;
    const after = speed();
    spent += time;
    // What is much shorter than the run says little of it.
    turn = Math.max(least, time / 20);
    if (Math.max(before, after) < 1.1 * Math.min(before, after)) costs.push(((time / runs) * (before + after)) / 2);
  }
  return median(costs);
}

/** The smallest step of the clock, in milliseconds. */
function clockStep(): number {
  let least = Infinity;
  for (let i = 0; i < 10; i++) {
    const begin = performance.now();
    let now = begin;
    while (now === begin) now = performance.now();
    least = Math.min(least, now - begin);
  }
  return least;
}

/** The share of the multiply-add peak that `run` reaches with `flops` operations. See {@link costAtPeak}. */
export function shareOfPeak(run: () => unknown, flops: number, ms?: number, loop?: () => number): number {
  return flops / costAtPeak(run, ms, loop);
}

/** A layer `[size, size]` (default 1024), and how its products are measured: see {@link costAtPeak}. */
export interface Measured {
  density: number;
  batch: number;
  size?: number;
  ms?: number;
  loop?: () => number;
}

/** Forward and backward product of a layer on panels, as shares of the multiply-add peak. */
export function kernelShares({ density, batch, size = 1024, ms, loop }: Measured): {
  forward: number;
  backward: number;
  /** The backward pass without dX. */
  firstLayer: number;
} {
  const random = new Random(1);
  const numbers = (n: number) => Float32Array.from({ length: n }, () => random.next() - 0.5);
  const pattern = randomPattern(size, size, Math.round(size * size * density), 1);
  const [rows, weights] = [numbers(batch * size), numbers(pattern.nnz)];
  const values = new WasmArray(pattern.nnz);
  values.floats.set(weights);
  const [x, dy] = [Panels.pack(rows, batch, size), Panels.pack(numbers(batch * size), batch, size)];
  const y = kernels.forward(pattern, x, values, undefined, true);
  let sum = 0;
  for (let i = 0; i < pattern.rowOffsets[1]; i++) sum += weights[i] * rows[pattern.colIndices[i]];
  check(Math.abs(y.unpack()[0] - Math.max(sum, 0)) < 1e-3, 'forward product');
  const forward = () => kernels.forward(pattern, x, values, undefined, true).free();
  const backward = (wantDx: boolean) => () => {
    const { dx, dValues, dBias } = kernels.backward(pattern, { x, values, y, dy }, wantDx, { forward: 0, rest: 0 });
    for (const result of [dx, dValues, dBias]) result?.free();
  };
  const work = 2 * pattern.nnz * batch;
  // Until the tile is chosen.
  for (const begin = performance.now(); performance.now() - begin < 400; ) forward();
  const shares = {
    forward: shareOfPeak(forward, work, ms, loop),
    backward: shareOfPeak(backward(true), 2 * work, ms, loop),
    firstLayer: shareOfPeak(backward(false), work, ms, loop),
  };
  for (const used of [x, dy, y, values]) used.free();
  kernels.releasePattern(pattern);
  return shares;
}

/** The density at which the straight lines between `points` [density, ms], ascending, first reach `level`; nothing if they stay below. */
export function crossing(points: (readonly [density: number, ms: number])[], level: number): number | undefined {
  const at = points.findIndex(([, ms]) => ms >= level);
  if (at <= 0) return points[at]?.[0];
  const [[d0, t0], [d1, t1]] = [points[at - 1], points[at]];
  return d0 + ((d1 - d0) * (level - t0)) / (t1 - t0);
}
