// What patterns have in wasm memory.

import * as rust from '../../wasm/kernels.js';
import type { CsrPattern } from '../pattern/csr.js';
import { loaded } from './memory.js';

/** A pattern in wasm memory, in both orders. Made at first use, 8 bytes per entry. */
const prepared = new WeakMap<CsrPattern, rust.Pattern>();

export function inWasm(pattern: CsrPattern): rust.Pattern {
  let twin = prepared.get(pattern);
  if (!twin) {
    loaded();
    const { cols, rowOffsets, rowSplits, colIndices } = pattern;
    twin = new rust.Pattern(cols, rowOffsets, rowSplits, colIndices instanceof Uint32Array ? colIndices : new Uint32Array(colIndices));
    prepared.set(pattern, twin);
  }
  return twin;
}

/** Takes the twin of a pattern that was made there. */
export function adopt(pattern: CsrPattern, twin: rust.Pattern): void {
  prepared.set(pattern, twin);
}

const releases = new WeakMap<CsrPattern, () => void>();

/** `release` frees what is kept for a pattern elsewhere. One for each pattern. */
export function whenReleased(pattern: CsrPattern, release: () => void): void {
  releases.set(pattern, release);
}

/** See `releasePattern`. */
export function release(pattern: CsrPattern): void {
  releases.get(pattern)?.();
  releases.delete(pattern);
  prepared.get(pattern)?.free();
  prepared.delete(pattern);
}
