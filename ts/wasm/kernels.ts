// The kernels as calls. What trains takes and returns arrays in wasm memory, which the caller frees; the rest copies in, runs and hands out a view,
// good until the next call from this file. Sizes are the caller's promise (`ts/ops` checks them).

import * as rust from '../../wasm/kernels.js';
import { CsrPattern } from '../pattern/csr.js';
import { carve, doubles, floats, loaded, type Numbers, placed, room, WasmArray, words } from './memory.js';
import { Panels } from './panels.js';
import { adopt, inWasm, release } from './patterns.js';
import { withTile } from './tiles.js';

/** Frees what a pattern holds in wasm memory. It comes back should the pattern be used again; without this it goes when collected. */
export function releasePattern(pattern: CsrPattern): void {
  // Not handed through by name: the declarations of that file speak of the binary's own, which want a newer `lib` than users have.
  release(pattern);
}

function copyIn(at: number, values: Float32Array): void {
  floats(at, values.length).set(values);
}

/** act(x·Wᵀ + bias). */
export function forward(pattern: CsrPattern, x: Panels, values: Numbers, bias: Numbers | undefined, relu: boolean): Panels {
  const twin = inWasm(pattern);
  const y = new Panels(x.batch, pattern.rows);
  const [roomValues, roomBias] = carve(room(values), room(bias));
  const [atValues, atBias] = [placed(values, roomValues), bias ? placed(bias, roomBias) : 0];
  withTile('dense', pattern, x.batch, (tile) => rust.forward(twin, x.batch, x.at, atValues, atBias, y.at, relu, tile));
  return y;
}

/** Factors of `decay · value` that join dValues, for the forward set A and for B∖A. */
export interface Decay {
  readonly forward: number;
  readonly rest: number;
}

export const NO_DECAY: Decay = { forward: 0, rest: 0 };

export interface BackwardOperands {
  x: Panels;
  values: Numbers;
  /** The layer's output, where it ended in relu. */
  y: Panels | undefined;
  dy: Panels;
}

/** All gradients of {@link forward} in one pass; `dx` only if wanted. */
export function backward(
  pattern: CsrPattern,
  { x, values, y, dy }: BackwardOperands,
  wantDx: boolean,
  decay: Decay,
): { dx: Panels | undefined; dValues: WasmArray; dBias: WasmArray } {
  const twin = inWasm(pattern);
  const { nnz, rows } = pattern;
  const dx = wantDx ? new Panels(x.batch, x.features) : undefined;
  const [dValues, dBias] = [new WasmArray(nnz, false), new WasmArray(rows, false)];
  const [roomValues] = carve(room(values));
  const atValues = placed(values, roomValues);
  rust.backward(twin, x.batch, x.at, atValues, y?.at ?? 0, dy.at, dx?.at ?? 0, dValues.at, dBias.at, decay.forward, decay.rest);
  return { dx, dValues, dBias };
}

/** `[m, n]` = op(a)·op(b) with `k` terms: `a [m, k]` or, transposed, `[k, m]`; `b [k, n]` or, transposed, `[n, k]`. */
export interface DenseProduct {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/** `batch` dense products, `[batch, m, n]` = act(op(a)·op(b) + bias). Where an operand holds fewer matrices than that, they come round again. */
export function dense(
  { m, n, k, transposeA, transposeB }: DenseProduct,
  batch: number,
  a: Float32Array,
  b: Float32Array,
  bias: Float32Array | undefined,
  relu: boolean,
): Float32Array {
  const [atA, atB, atBias, atC] = carve(a.length, b.length, n, batch * m * n);
  copyIn(atA, a);
  copyIn(atB, b);
  if (bias) copyIn(atBias, bias);
  // One right operand for all rows of all batches is packed once.
  const [times, rows] = !transposeA && a.length === batch * m * k && b.length === k * n ? [1, batch * m] : [batch, m];
  for (let i = 0; i < times; i++) {
    const [fromA, fromB] = [(i * m * k) % a.length || 0, (i * k * n) % b.length || 0];
    rust.dense(rows, n, k, transposeA, transposeB, atA + 4 * fromA, atB + 4 * fromB, bias ? atBias : 0, relu, atC + 4 * i * m * n);
  }
  return floats(atC, batch * m * n);
}

/** So many values are copied in and looked at while they are in a cache. */
const PART = 2 ** 16;

/** Indices of the k largest magnitudes, ascending; equal magnitudes: the lower index wins. Throws on NaN. */
export function topK(values: Float32Array, k: number): Uint32Array {
  const n = values.length;
  const room = Math.ceil(n / 31) + 4;
  const [at, atOut] = carve(Math.max(PART, room), k);
  const sample = floats(at, room);
  let length = 0;
  // Four neighbours of every 124: see top_k.rs.
  for (let i = 3; i < n; i += 124) for (let j = i - 3; j <= i; j++) sample[length++] = values[j];
  rust.topK(at, length, n, k);
  for (let next = 0; next >= 0; ) {
    const part = values.subarray(next, next + PART);
    copyIn(at, part);
    next = rust.topKOf(at, part.length, atOut, k);
  }
  return words(atOut, k);
}

/**
 * Top-KAST's pattern: the `nnz` largest |θ| of a whole layer θ `[rows·cols]` as backward set B, the `forwardNnz` largest of these as forward set A.
 * Equal magnitudes: the lower index wins. O(rows·cols) time, O(nnz) memory. Throws on NaN.
 */
export function largest(theta: WasmArray, rows: number, cols: number, forwardNnz: number, nnz: number): CsrPattern {
  return fromWasm(rust.Pattern.largest(theta.at, rows, cols, forwardNnz, nnz), cols);
}

function fromWasm(twin: rust.Pattern, cols: number): CsrPattern {
  const colIndices = (twin.colIndices16() ?? twin.colIndices32()) as Uint16Array | Uint32Array;
  const pattern = CsrPattern.checked({ cols, rowOffsets: twin.rowOffsets(), rowSplits: twin.rowSplits(), colIndices });
  adopt(pattern, twin);
  return pattern;
}

/** The positions of the k lowest of any numbers, ascending; of equal ones the lower position stays. Throws on NaN. */
export function lowest(scores: Float32Array, k: number): Uint32Array {
  const [atScores] = carve(scores.length);
  copyIn(atScores, scores);
  return rust.lowest(atScores, scores.length, k);
}

/** The positions of the ⌈fraction·count⌉ smallest weights of each sign, ascending. Throws on NaN. */
export function lowestOfEachSign(weights: Float32Array, fraction: number): Uint32Array {
  const [at] = carve(weights.length);
  copyIn(at, weights);
  return rust.lowestOfEachSign(at, weights.length, fraction);
}

/**
 * The pattern without its entries at `dropped` and with those at the flat indices `grown`, both ascending. With `regrow`, these may be places just
 * dropped. Throws where growth is not possible.
 */
export function replace(pattern: CsrPattern, dropped: Uint32Array, grown: Uint32Array, regrow = false): CsrPattern {
  return fromWasm(inWasm(pattern).replace(dropped, grown, regrow), pattern.cols);
}

/** `k` random flat indices outside the pattern, ascending, the same for the same `key`; all there are, if fewer. */
export function freePositions(pattern: CsrPattern, k: number, key: number): Uint32Array {
  return inWasm(pattern).freePositions(k, key);
}

/** How initial values are spread; the meaning of the two numbers as in tfjs's initializers of the name. */
export type Spread =
  | { readonly kind: 'uniform'; readonly low: number; readonly high: number }
  | { readonly kind: 'normal' | 'truncatedNormal'; readonly mean: number; readonly deviation: number };

function spreadArgs(spread: Spread): [kind: number, first: number, second: number] {
  return spread.kind === 'uniform' ? [0, spread.low, spread.high] : [spread.kind === 'normal' ? 1 : 2, spread.mean, spread.deviation];
}

/** Values of positions by a hash of (key, flat index). With an `alpha`, the φ that stand for them. */
export function draw(positions: Uint32Array, key: number, spread: Spread, alpha: number): Float32Array {
  const [at] = carve(positions.length);
  words(at, positions.length).set(positions);
  rust.draw(at, positions.length, key, ...spreadArgs(spread), alpha);
  return floats(at, positions.length);
}

/** What a seeded layer holds beyond the values of B, as it is saved. */
export interface SeededState {
  readonly frozenIndices: Uint32Array;
  readonly frozenValues: Float32Array;
  /** Empty at the start, else the magnitude's bits and the index of the last weight taken from the line. */
  readonly cursor: Uint32Array;
}

/** Top-KAST's whole vector as a hash and what has changed since. See `crate/src/kernels/seeded.rs`. */
export class SeededVector {
  readonly #twin: rust.Seeded;

  constructor(
    readonly rows: number,
    readonly cols: number,
    key: number,
    spread: Spread,
    alpha: number,
    maxFrozen: number,
  ) {
    loaded();
    this.#twin = new rust.Seeded(rows, cols, key, ...spreadArgs(spread), alpha, maxFrozen);
  }

  /** The sets at the start. */
  first(forwardNnz: number, nnz: number): { pattern: CsrPattern; values: Float32Array } {
    return this.#result(this.#twin.first(forwardNnz, nnz));
  }

  /** The sets after B, `pattern` with its `values`, was trained. */
  next(pattern: CsrPattern, values: Float32Array, forwardNnz: number): { pattern: CsrPattern; values: Float32Array } {
    const twin = inWasm(pattern);
    const [atValues] = carve(pattern.nnz);
    copyIn(atValues, values);
    return this.#result(this.#twin.next(twin, atValues, forwardNnz));
  }

  #result(twin: rust.Pattern): { pattern: CsrPattern; values: Float32Array } {
    return { pattern: fromWasm(twin, this.cols), values: this.#twin.takeValues() };
  }

  /** The whole vector `[rows·cols]`. A view. */
  whole(pattern: CsrPattern, values: Float32Array): Float32Array {
    const size = this.rows * this.cols;
    const [atValues, atTheta] = carve(pattern.nnz, size);
    copyIn(atValues, values);
    this.#twin.whole(inWasm(pattern), atValues, atTheta);
    return floats(atTheta, size);
  }

  get state(): SeededState {
    return { frozenIndices: this.#twin.frozenIndices(), frozenValues: this.#twin.frozenValues(), cursor: this.#twin.cursor() };
  }

  restore({ frozenIndices, frozenValues, cursor }: SeededState): void {
    this.#twin.restore(frozenIndices, frozenValues, cursor);
  }

  free(): void {
    this.#twin.free();
  }
}

/** The values of a pattern's entries in a whole layer θ `[rows·cols]`. */
export function gather(pattern: CsrPattern, theta: WasmArray): Float32Array {
  const twin = inWasm(pattern);
  const [atValues] = carve(pattern.nnz);
  rust.gather(twin, theta.at, atValues);
  return floats(atValues, pattern.nnz);
}

/** Writes a pattern's values to their places in a whole layer θ `[rows·cols]`. */
export function scatter(pattern: CsrPattern, values: Float32Array, theta: WasmArray): void {
  const twin = inWasm(pattern);
  const [atValues] = carve(pattern.nnz);
  copyIn(atValues, values);
  rust.scatter(twin, atValues, theta.at);
}

/** For each entry of `next` its position in `previous`, or −1 where it is new; nothing if the two are the same. O(nnz). */
export function sources(previous: CsrPattern, next: CsrPattern): Int32Array | undefined {
  const [was, is] = [inWasm(previous), inWasm(next)];
  const [atSource] = carve(next.nnz);
  if (!rust.sources(was, is, atSource)) return undefined;
  return new Int32Array(words(atSource, next.nnz));
}

/** `to[i] = from[source[i]]`, 0 where `source` is −1; bits, whatever they mean. */
export function carry(from: WasmArray, source: Int32Array, to: WasmArray): void {
  const [atSource] = carve(source.length);
  words(atSource, source.length).set(source);
  rust.carry(from.at, from.length, atSource, to.at, to.length);
}

/** The k positions outside the pattern with the largest |dyᵀ·x| of those that reach `floor`, by row, then column. Throws on NaN. */
export function gradientTopK(
  pattern: CsrPattern,
  batch: number,
  x: Float32Array,
  dy: Float32Array,
  k: number,
  floor = 0,
): { rows: Uint32Array; cols: Uint32Array; gradients: Float32Array } {
  const twin = inWasm(pattern);
  const room = Math.min(k, pattern.rows * pattern.cols - pattern.nnz);
  const [atX, atDy, atRows, atCols, atGradients] = carve(x.length, dy.length, room, room, room);
  placed(x, atX);
  placed(dy, atDy);
  const found = rust.gradientTopK(twin, batch, atX, atDy, room, floor, atRows, atCols, atGradients);
  return { rows: words(atRows, found), cols: words(atCols, found), gradients: floats(atGradients, found) };
}

/** `[sum, max, norm, count above threshold]` of |dyᵀ·x| outside the pattern. */
export function gradientReduce(pattern: CsrPattern, batch: number, x: Float32Array, dy: Float32Array, threshold: number): Float64Array {
  const twin = inWasm(pattern);
  const [atX, atDy, atOut] = carve(x.length, dy.length, 8);
  placed(x, atX);
  placed(dy, atDy);
  rust.gradientReduce(twin, batch, atX, atDy, threshold, atOut);
  return doubles(atOut, 4);
}

/** The dense product that {@link gradientTopK} and {@link gradientReduce} stream, unlooked at: the sum of dyᵀ·x. For benches. */
export function gradientProduct(rows: number, cols: number, batch: number, x: Float32Array, dy: Float32Array): number {
  const [atX, atDy] = carve(x.length, dy.length);
  placed(x, atX);
  placed(dy, atDy);
  return rust.gradientProduct(rows, cols, batch, atX, atDy);
}

/** θ = φ·|φ|^(α−1). */
export function power(phi: Numbers, alpha: number): WasmArray {
  const theta = new WasmArray(phi.length, false);
  const [roomPhi] = carve(room(phi));
  rust.power(placed(phi, roomPhi), theta.at, phi.length, alpha);
  return theta;
}

/** dφ = dθ·α·|φ|^(α−1). */
export function powerGradient(phi: Numbers, dTheta: Numbers, alpha: number): WasmArray {
  return ofTwo(phi, dTheta, (atPhi, atDTheta, atDPhi) => rust.powerGradient(atPhi, atDTheta, atDPhi, phi.length, alpha));
}

/** dθ = dφ/(α·|φ|^(α−1)), 0 where that is not known. */
export function thetaGradient(phi: Numbers, dPhi: Numbers, alpha: number): WasmArray {
  return ofTwo(phi, dPhi, (atPhi, atDPhi, atDTheta) => rust.thetaGradient(atPhi, atDPhi, atDTheta, phi.length, alpha));
}

function ofTwo(a: Numbers, b: Numbers, run: (atA: number, atB: number, atOut: number) => void): WasmArray {
  const out = new WasmArray(a.length, false);
  const [roomA, roomB] = carve(room(a), room(b));
  run(placed(a, roomA), placed(b, roomB), out.at);
  return out;
}

/** New values go to an array of their own: the old ones are a tensor's. */
function update(values: Numbers, gradients: Numbers, run: (atValues: number, atGradients: number, atNext: number) => void): WasmArray {
  const next = new WasmArray(values.length, false);
  const [roomValues, roomGradients] = carve(room(values), room(gradients));
  run(placed(values, roomValues), placed(gradients, roomGradients), next.at);
  return next;
}

/** The values after one step of SGD. */
export function sgd(values: Numbers, gradients: Numbers, learningRate: number): WasmArray {
  return update(values, gradients, (w, g, next) => rust.sgd(w, g, next, values.length, learningRate));
}

/** The values after one step of momentum; `m` moves on. */
export function momentum(
  values: Numbers,
  gradients: Numbers,
  m: WasmArray,
  { learningRate, momentum, nesterov }: { learningRate: number; momentum: number; nesterov: boolean },
): WasmArray {
  return update(values, gradients, (w, g, next) => rust.momentum(w, g, next, m.at, values.length, learningRate, momentum, nesterov));
}

export interface AdamConstants {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

/** The values after one step of Adam; `m`, `v` and each slot's `steps` move on. */
export function adam(
  values: Numbers,
  gradients: Numbers,
  { m, v, steps }: { m: WasmArray; v: WasmArray; steps: WasmArray },
  { learningRate, beta1, beta2, epsilon }: AdamConstants,
): WasmArray {
  return update(values, gradients, (w, g, next) =>
    rust.adam(w, g, next, m.at, v.at, steps.at, values.length, learningRate, beta1, beta2, epsilon),
  );
}

/** Runs multiply-adds on registers alone; returns how many floating-point operations that was. For benches. */
export function peak(iterations: number): number {
  loaded();
  return rust.peak(iterations, 0.5, 0.5);
}
