// Seeded random numbers, and random patterns.

import { checkCount, OptionError } from '../errors.js';
import { CsrPattern, indicesFor } from './csr.js';

/**
 * A seeded generator: xoshiro128** by Blackman and Vigna (https://prng.di.unimi.it), seeded through splitmix32. Same seed, same numbers,
 * on every machine.
 */
export class Random {
  #state = new Uint32Array(4);

  constructor(seed: number) {
    let z = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      z = (z + 0x9e3779b9) >>> 0;
      let t = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      t = Math.imul(t ^ (t >>> 15), 0x735a2d97);
      this.#state[i] = t ^ (t >>> 15);
    }
  }

  /** 32 random bits. */
  bits(): number {
    const s = this.#state;
    const [a, b, c, d] = [s[0], s[1], s[2], s[3]];
    const x = Math.imul(b, 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    s[2] = c ^ a;
    s[3] = d ^ b;
    s[1] = b ^ c ^ a;
    s[0] = a ^ d ^ b;
    s[2] = c ^ a ^ (b << 9);
    const e = d ^ b;
    s[3] = (e << 11) | (e >>> 21);
    return result;
  }

  /** Uniform in [0, 1), 53 bits. */
  next(): number {
    return ((this.bits() >>> 5) * 0x4000000 + (this.bits() >>> 6)) / 0x20000000000000;
  }

  /** A whole number in [0, n), n up to 2^53. */
  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  /** Permutes `array` in place (Fisher and Yates). */
  shuffle(array: Uint32Array): void {
    for (let i = array.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const held = array[i];
      array[i] = array[j];
      array[j] = held;
    }
  }
}

/** A 32-bit seed from several numbers, each below 2^53: what happens at step 500 in layer 2 needs no state from step 499. */
export function mixedSeed(...parts: number[]): number {
  let mixed = 0x9e3779b9;
  for (const part of parts) {
    for (const half of [part % 2 ** 32, Math.floor(part / 2 ** 32)]) {
      let t = Math.imul(mixed ^ half, 0x85ebca6b);
      t = Math.imul(t ^ (t >>> 13), 0xc2b2ae35);
      mixed = (t ^ (t >>> 16)) + 0x9e3779b9;
    }
  }
  return mixed >>> 0;
}

/**
 * `nnz` of the `rows·cols` positions, each subset equally likely; all in the forward set. O(nnz) memory at any size (at more than half
 * of the positions, O(rows·cols), which is then the same).
 */
export function randomPattern(rows: number, cols: number, nnz: number, seed: number): CsrPattern {
  const size = checkCount('randomPattern rows', rows, 0) * checkCount('randomPattern cols', cols, 0);
  checkCount('randomPattern nnz', nnz, 0);
  if (nnz > size) throw new OptionError('randomPattern nnz', `at most ${rows}·${cols} = ${size}`, nnz);
  const random = new Random(seed);
  const flat = nnz > size / 2 ? complement(sample(size, size - nnz, random), size) : sample(size, nnz, random);
  const rowOffsets = new Uint32Array(rows + 1);
  const colIndices = indicesFor(cols, nnz);
  for (let i = 0; i < nnz; i++) {
    const at = flat[i];
    const row = Math.floor(at / cols);
    colIndices[i] = at - row * cols;
    rowOffsets[row + 1]++;
  }
  for (let row = 0; row < rows; row++) rowOffsets[row + 1] += rowOffsets[row];
  return new CsrPattern({ cols, rowOffsets, colIndices });
}

/** `count` ≤ size/2 different numbers below `size`, ascending. */
function sample(size: number, count: number, random: Random): Float64Array {
  let drawn = new Float64Array(0);
  while (drawn.length < count) {
    // Enough for a second round to be rare below a sixth of `size`; repeats of a uniform draw leave the rest uniform.
    const more = Math.ceil((count - drawn.length) * 1.1) + 16;
    const fresh = new Float64Array(more).map(() => random.below(size)).sort();
    const all = new Float64Array(drawn.length + more);
    let unique = 0;
    for (let d = 0, f = 0; d < drawn.length || f < more; ) {
      const value = f < more && !(drawn[d] <= fresh[f]) ? fresh[f++] : drawn[d++];
      if (value !== all[unique - 1]) all[unique++] = value;
    }
    drawn = all.subarray(0, unique);
  }
  // Too many: throw out a random few. A uniform subset of a uniform set is uniform.
  const order = new Uint32Array(drawn.length);
  for (let i = 0; i < order.length; i++) order[i] = i;
  for (let i = 0; i < drawn.length - count; i++) {
    const j = i + random.below(order.length - i);
    const held = order[i];
    order[i] = order[j];
    order[j] = held;
  }
  for (const index of order.subarray(0, drawn.length - count)) drawn[index] = -1;
  let left = 0;
  for (const value of drawn) if (value >= 0) drawn[left++] = value;
  return drawn.subarray(0, left);
}

function complement(excluded: Float64Array, size: number): Float64Array {
  const rest = new Float64Array(size - excluded.length);
  for (let value = 0, e = 0, r = 0; value < size; value++) {
    if (excluded[e] === value) e++;
    else rest[r++] = value;
  }
  return rest;
}
