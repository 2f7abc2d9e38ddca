// Tensors whose numbers stay in our wasm memory until someone else asks for them.
//
// tfjs knows of each tensor which backend holds its data, and moves the data when a kernel of another backend reads it. This is such a backend, though never
// the active one. Between two of our layers, and between backward pass and optimizer, nothing is copied or repacked; a kernel of tfjs that reads such a
// tensor finds it moved to its own backend, with the layout it knows. tfjs frees the memory with the tensor.

import * as tf from '@tensorflow/tfjs-core';
import type { WasmArray } from '../wasm/memory.js';
import { Panels } from '../wasm/panels.js';

export type Held = WasmArray | Panels;
type DataId = tf.TensorInfo['dataId'];

class Home extends tf.KernelBackend {
  readonly #data = new WeakMap<DataId, { held: Held; references: number; ticket: boolean }>();

  /**
   * A tensor on `held`, which it frees in the end. A `ticket` is empty and only carries: tfjs keeps it for the backward pass as it keeps saved tensors, and
   * nobody reads it. So panels live as long as the tape, whatever becomes of the tensor that they were made of.
   */
  tensor(held: Held, shape: number[], ticket = false): tf.Tensor {
    const dataId = {};
    this.#data.set(dataId, { held, references: 1, ticket });
    return tf.engine().makeTensorFromTensorInfo({ dataId, shape, dtype: 'float32' }, this);
  }

  find(dataId: DataId): Held | undefined {
    return this.#data.get(dataId)?.held;
  }

  /** As tfjs's Identity: another tensor on the same data. */
  identity({ dataId, shape, dtype }: tf.TensorInfo): tf.Tensor {
    this.incRef(dataId);
    return tf.engine().makeTensorFromTensorInfo({ dataId, shape, dtype }, this);
  }

  #entry(dataId: DataId): { held: Held; references: number; ticket: boolean } {
    const entry = this.#data.get(dataId);
    if (!entry) throw new Error('tfjs-sparse: this tensor was disposed');
    return entry;
  }

  override incRef(dataId: DataId): void {
    this.#entry(dataId).references++;
  }

  override refCount(dataId: DataId): number {
    return this.#data.get(dataId)?.references ?? 0;
  }

  /** Says whether the data are gone. */
  override disposeData(dataId: DataId, force = false): boolean {
    const entry = this.#data.get(dataId);
    if (!entry) return true;
    entry.references--;
    if (!force && entry.references > 0) return false;
    entry.held.free();
    this.#data.delete(dataId);
    return true;
  }

  override readSync(dataId: DataId): Float32Array {
    const { held, ticket } = this.#entry(dataId);
    if (ticket) return new Float32Array(0);
    return held instanceof Panels ? held.unpack().slice() : held.floats.slice();
  }

  override async read(dataId: DataId): Promise<Float32Array> {
    return this.readSync(dataId);
  }
}

export const home = new Home();

/** The homes that a wrapped Identity asks: one for each copy of this package. */
const HOMES = Symbol.for('tfjs-sparse homes');
type Wrapped = tf.KernelConfig & { [HOMES]?: Set<Pick<Home, 'find' | 'identity'>> };

/**
 * tfjs saves tensors for the backward pass by its kernel Identity, and that of the active backend would move them. Put before it: one that leaves ours at
 * home.
 */
export function keepAtHome(backendName: string): void {
  const original: Wrapped | undefined = tf.getKernel('Identity', backendName);
  if (!original || original[HOMES]?.add(home)) return;
  const homes = new Set<Pick<Home, 'find' | 'identity'>>([home]);
  const config: Wrapped = {
    ...original,
    [HOMES]: homes,
    kernelFunc: (call) => {
      const x = call.inputs.x as tf.TensorInfo;
      for (const home of homes) if (home.find(x.dataId)) return home.identity(x);
      return original.kernelFunc(call);
    },
  };
  tf.unregisterKernel('Identity', backendName);
  tf.registerKernel(config);
}
