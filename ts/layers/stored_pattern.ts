// A layer's pattern as weights of tfjs: arrays to save and to load, which are one pattern again as soon as all of them have been written.

import type * as tf from '@tensorflow/tfjs-core';
import { releasePattern } from '../ops/sparse_dense.js';
import { CsrPattern } from '../pattern/csr.js';
import { StoredVariable } from './stored_variable.js';

type Part = 'rowOffsets' | 'colIndices' | 'rowSplits';
type Parts = Partial<Record<Part, Uint32Array>>;

/** Whose pattern it is; it says so itself where there is none yet. */
type Layer = { readonly pattern: CsrPattern; readonly values: { readonly size: number } };

export class StoredPattern {
  readonly #names: readonly Part[];
  /** One for each name, in the order in which they are saved. */
  readonly variables: readonly StoredVariable[];
  readonly #cols: number;
  readonly #changed: () => void;
  #current: CsrPattern | undefined;
  /** What has been written one by one, as when a model is loaded, until all is there. */
  #written: Parts = {};

  /** `split`: rows have entries outside the forward set, too; `changed` hears of each other pattern. */
  constructor(rows: number, cols: number, split: boolean, layer: Layer, changed: () => void) {
    this.#cols = cols;
    this.#changed = changed;
    this.#names = split ? ['rowOffsets', 'colIndices', 'rowSplits'] : ['rowOffsets', 'colIndices'];
    const lengths = { rowOffsets: () => rows + 1, colIndices: () => layer.values.size, rowSplits: () => rows };
    this.variables = this.#names.map((name) => this.#variable(name, lengths[name], layer));
  }

  #variable(name: Part, length: () => number, layer: Layer): StoredVariable {
    return new StoredVariable(name, {
      get shape() {
        return [length()];
      },
      dtype: 'int32',
      get: () => new Int32Array(layer.pattern[name]),
      version: () => layer.pattern,
      set: (numbers) => {
        const parts: Parts = { ...this.#written, [name]: new Uint32Array(numbers) };
        const complete = this.#names.every((name) => parts[name]);
        this.#written = complete ? {} : parts;
        if (complete) this.current = this.#assembled(parts);
      },
    });
  }

  /** Throws a {@link PatternError} where they do not fit. */
  #assembled(parts: Parts): CsrPattern {
    return new CsrPattern({ cols: this.#cols, ...(parts as Required<Pick<Parts, 'rowOffsets' | 'colIndices'>>) });
  }

  /** Nothing before weights are drawn or loaded. Who sets it lets go of the one before. */
  get current(): CsrPattern | undefined {
    return this.#current;
  }

  set current(pattern: CsrPattern) {
    if (pattern === this.#current) return;
    this.free();
    this.#current = pattern;
    this.#changed();
  }

  /** Throws a {@link PatternError} where tensors that are to be written make no pattern. Their shapes are left to tfjs. */
  check(toWrite: (variable: StoredVariable) => tf.Tensor): void {
    this.#assembled(Object.fromEntries(this.#names.map((name, i) => [name, new Uint32Array(toWrite(this.variables[i]).dataSync())])));
  }

  /** What it has in wasm memory. */
  free(): void {
    if (this.#current) releasePattern(this.#current);
  }
}
