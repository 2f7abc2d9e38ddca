// The whole parameter vector θ [rows·cols] of a Top-KAST layer: stored, or given by a hash and what has changed since.

import type * as tf from '@tensorflow/tfjs-core';
import { PatternError } from '../errors.js';
import { gather, largest, type SeededState, type SeededVector, scatter } from '../ops/whole_layer.js';
import type { CsrPattern } from '../pattern/csr.js';
import { WasmArray } from '../wasm/memory.js';
import { StoredVariable } from './stored_variable.js';

/** A pattern and the values of its entries, in its order. */
export interface Sets {
  readonly pattern: CsrPattern;
  readonly values: Float32Array;
}

/** Knows the weights that are not in B. */
export interface ParameterVector {
  /** The sets of a fresh layer. */
  first(forwardNnz: number, nnz: number): Sets;
  /** The sets after B, `pattern` with its `values`, was trained: the nnz largest |θ|, the `forwardNnz` largest of these as A. Throws on NaN. */
  next(pattern: CsrPattern, values: Float32Array, forwardNnz: number): Sets;
  /** θ as it stands. */
  whole(pattern: CsrPattern, values: Float32Array): Float32Array;
  /** What has to be saved besides pattern and values. */
  readonly variables: StoredVariable[];
  free(): void;
}

/** 4·rows·cols bytes in wasm memory, no gradient and no moments. */
export class StoredVector implements ParameterVector {
  readonly #theta: WasmArray;
  readonly variables: StoredVariable[];

  /** `initial` draws θ; `layer` is asked for B when θ is read to be saved. */
  constructor(
    readonly rows: number,
    readonly cols: number,
    readonly initial: () => Float32Array,
    layer: { pattern: CsrPattern; values: tf.Variable },
  ) {
    const theta = new WasmArray(rows * cols);
    this.#theta = theta;
    this.variables = [
      new StoredVariable('theta', {
        shape: [rows * cols],
        dtype: 'float32',
        get: () => this.whole(layer.pattern, layer.values.dataSync() as Float32Array),
        // Its entries of B are the values, which every step replaces.
        version: () => layer.values.dataId,
        set: (numbers) => theta.floats.set(numbers),
      }),
    ];
  }

  first(forwardNnz: number, nnz: number): Sets {
    this.#theta.floats.set(this.initial());
    return this.#sets(forwardNnz, nnz);
  }

  next(pattern: CsrPattern, values: Float32Array, forwardNnz: number): Sets {
    scatter(pattern, values, this.#theta);
    return this.#sets(forwardNnz, pattern.nnz);
  }

  #sets(forwardNnz: number, nnz: number): Sets {
    const pattern = largest(this.#theta, this.rows, this.cols, forwardNnz, nnz);
    return { pattern, values: gather(pattern, this.#theta).slice() };
  }

  whole(pattern: CsrPattern, values: Float32Array): Float32Array {
    scatter(pattern, values, this.#theta);
    return this.#theta.floats.slice();
  }

  free(): void {
    this.#theta.free();
  }
}

/** O(nnz + ever visited) bytes: B has its values already, so only weights that left it are kept. */
export class HashedVector implements ParameterVector {
  readonly #vector: SeededVector;
  readonly variables: StoredVariable[];

  /** `saved` is the number of frozen weights in a model that is being loaded. */
  constructor(vector: SeededVector, saved: number) {
    this.#vector = vector;
    let loading: Partial<Record<keyof SeededState, Float32Array | Uint32Array>> | undefined;
    let count: number | undefined = saved;
    const frozen = () => count ?? vector.state.frozenIndices.length;
    const part = (name: keyof SeededState, dtype: 'int32' | 'float32', shape: () => number[]) =>
      new StoredVariable(name, {
        get shape() {
          return shape();
        },
        dtype,
        version: () => this.#version,
        get: () => {
          const numbers = vector.state[name];
          if (numbers instanceof Float32Array) return numbers;
          // Before anything was taken the cursor is empty; it is saved as two numbers in any case.
          return name === 'cursor' && numbers.length === 0 ? Int32Array.of(0, -1) : new Int32Array(numbers);
        },
        set: (numbers) => {
          loading = { ...loading, [name]: numbers instanceof Float32Array ? numbers : new Uint32Array(numbers) };
          const { frozenIndices, frozenValues, cursor } = loading as { [K in keyof SeededState]?: SeededState[K] };
          if (!frozenIndices || !frozenValues || !cursor) return;
          loading = undefined;
          count = undefined;
          try {
            vector.restore({ frozenIndices, frozenValues, cursor: cursor[1] === 0xffffffff ? new Uint32Array(0) : cursor });
          } catch (cause) {
            throw new PatternError(`frozen weights: ${(cause as Error).message}`, { cause });
          }
        },
      });
    this.variables = [
      part('frozenIndices', 'int32', () => [frozen()]),
      part('frozenValues', 'float32', () => [frozen()]),
      part('cursor', 'int32', () => [2]),
    ];
    this.#started = () => {
      count = undefined;
    };
  }

  readonly #started: () => void;
  #version = 0;

  /** Weights kept because they were in B once. */
  get frozen(): number {
    return this.#vector.state.frozenIndices.length;
  }

  first(forwardNnz: number, nnz: number): Sets {
    this.#started();
    this.#version++;
    return this.#vector.first(forwardNnz, nnz);
  }

  next(pattern: CsrPattern, values: Float32Array, forwardNnz: number): Sets {
    this.#version++;
    return this.#vector.next(pattern, values, forwardNnz);
  }

  whole(pattern: CsrPattern, values: Float32Array): Float32Array {
    return this.#vector.whole(pattern, values).slice();
  }

  free(): void {
    this.#vector.free();
  }
}
