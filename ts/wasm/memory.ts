// The memory of our wasm module: where arrays live that outlast a call, and working memory for those that do not.

import { allocate, flush, liveBytes, release } from '../../wasm/kernels.js';
import { NotReadyError } from '../errors.js';
import type { Variant } from './variant.js';

let module: { memory: WebAssembly.Memory; variant: Variant } | undefined;

/** How an entrance that need not wait comes by the module. */
let load = (): void => {};

export function attach(memory: WebAssembly.Memory, variant: Variant): void {
  module = { memory, variant };
}

export function atFirstUse(how: () => void): void {
  load = how;
}

export function isLoaded(): boolean {
  return module !== undefined;
}

/** Whether the module is here, or an entrance that need not wait has just brought it. */
export function isAtHand(): boolean {
  if (!module) load();
  return isLoaded();
}

/** The module, or a NotReadyError that says what to do. Whatever calls into wasm has called this first. */
export function loaded(): { memory: WebAssembly.Memory; variant: Variant } {
  if (!module) load();
  if (!module) throw new NotReadyError();
  return module;
}

/** What this package holds in its own wasm memory. `tf.memory()` counts the tensors among it as well. */
export function memory(): { liveBytes: number; heapBytes: number; variant: Variant } {
  const { memory, variant } = loaded();
  return { liveBytes: liveBytes(), heapBytes: memory.buffer.byteLength, variant };
}

/** A fresh view each time: growing the memory detaches every older one. */
export function floats(at: number, length: number): Float32Array {
  return new Float32Array(loaded().memory.buffer, at, length);
}

export function words(at: number, length: number): Uint32Array {
  return new Uint32Array(loaded().memory.buffer, at, length);
}

export function doubles(at: number, length: number): Float64Array {
  return new Float64Array(loaded().memory.buffer, at, length);
}

const MAX_BLOCK = 2 ** 31 - 4096;

function allocated(bytes: number, zeroed: boolean): number {
  loaded();
  // Rust refuses blocks from 2 GB up, and a count beyond 32 bits would wrap around to a small one.
  const at = bytes > MAX_BLOCK ? 0 : allocate(bytes, zeroed) >>> 0; // addresses above 2 GB come back negative
  if (at === 0) throw new RangeError(`tfjs-sparse: no room for ${bytes} more bytes in wasm memory (4 GB in all, 2 GB in one piece)`);
  return at;
}

const registry = new FinalizationRegistry(({ at, bytes }: { at: number; bytes: number }) => release(at, bytes));

/** 32-bit numbers in wasm memory that outlast a call: zeros, or anything for who will write them all. Freed by `free()`, or when the object is collected. */
export class WasmArray {
  #at: number;

  constructor(
    readonly length: number,
    zeroed = true,
  ) {
    const bytes = 4 * Math.max(1, length);
    this.#at = allocated(bytes, zeroed);
    registry.register(this, { at: this.#at, bytes }, this);
  }

  get at(): number {
    if (this.#at === 0) throw new Error('this WasmArray was freed');
    return this.#at;
  }

  get floats(): Float32Array {
    return floats(this.at, this.length);
  }

  get words(): Uint32Array {
    return words(this.at, this.length);
  }

  free(): void {
    if (this.#at === 0) return;
    registry.unregister(this);
    release(this.#at, 4 * Math.max(1, this.length));
    this.#at = 0;
  }
}

const LINE = 64;
let workspace = { at: 0, bytes: 0 };

/**
 * Addresses of working memory for one call, each with room for as many 4-byte numbers as asked, on cache lines of their own. The next call
 * gets the same memory: results must be copied out before. The block grows to the largest call and stays.
 */
export function carve(...lengths: number[]): number[] {
  loaded();
  let end = 0;
  const starts = lengths.map((length) => {
    const start = end;
    end += Math.ceil((4 * length) / LINE) * LINE;
    return start;
  });
  if (end > workspace.bytes) {
    if (workspace.at) release(workspace.at, workspace.bytes);
    workspace = { at: 0, bytes: 0 };
    workspace = { at: allocated(end, false), bytes: end };
  }
  return starts.map((start) => workspace.at + start);
}

/** Numbers that a kernel reads: in wasm memory already, or to be copied there. */
export type Numbers = Float32Array | WasmArray;

/** The address of numbers: their own, or `at`, to which they are copied, denormal ones as 0 (see `flush` in the crate). */
export function placed(numbers: Numbers, at: number): number {
  if (numbers instanceof WasmArray) return numbers.at;
  floats(at, numbers.length).set(numbers);
  flush(at, numbers.length);
  return at;
}

/** The room in working memory that {@link placed} needs. */
export function room(numbers: Numbers | undefined): number {
  // Not every array of numbers is a Float32Array: on cpu, tfjs casts whole numbers to float32 by name alone.
  return numbers === undefined || numbers instanceof WasmArray ? 0 : numbers.length;
}
