// A layer's weight whose numbers live outside tfjs and become a tensor only when someone reads it: to save, to copy, to look.

import * as tf from '@tensorflow/tfjs-core';
import { LayerVariable } from '@tensorflow/tfjs-layers';
import { ShapeError } from '../errors.js';

export interface Store {
  shape: number[];
  dtype: 'int32' | 'float32';
  /** Another value whenever the numbers are other ones. */
  version(): unknown;
  /** The numbers as they are now; a fresh array. */
  get(): Int32Array | Float32Array;
  /** Takes over numbers of the same shape, as when a model is loaded. */
  set(values: Int32Array | Float32Array): void;
}

/**
 * Patterns change often and are read seldom; as ordinary variables they would be held twice and written at every edit. The tensor that `read()`
 * makes stays until {@link StoredVariable.changed} or `dispose()`, so that repeated reads leak nothing.
 */
export class StoredVariable extends LayerVariable {
  #tensor: tf.Tensor | undefined;
  #version: unknown;

  constructor(
    name: string,
    readonly store: Store,
  ) {
    // tfjs wants a variable inside; an empty one costs nothing.
    const empty = tf.zeros([0], store.dtype);
    super(empty, store.dtype, name, false);
    empty.dispose();
    Object.defineProperty(this, 'shape', { get: () => store.shape });
  }

  override read(): tf.Tensor {
    this.assertAlive();
    const version = this.store.version();
    if (version !== this.#version) this.changed();
    this.#version = version;
    this.#tensor ??= tf.keep(tf.tensor(this.store.get(), this.store.shape, this.store.dtype));
    return this.#tensor;
  }

  override write(value: tf.Tensor): this {
    this.assertAlive();
    const { shape } = this.store;
    if (!tf.util.arraysEqual(value.shape, shape)) throw new ShapeError(this.name, shape, value.shape);
    this.store.set(value.dataSync().slice() as Int32Array | Float32Array);
    this.changed();
    return this;
  }

  /** Forgets the tensor made for readers: its numbers are out of date. */
  changed(): void {
    this.#tensor?.dispose();
    this.#tensor = undefined;
  }

  override dispose(): void {
    this.changed();
    super.dispose();
  }

  private assertAlive(): void {
    super.read(); // throws when disposed
  }
}
