// How our kernels meet tfjs: operands that are at home or typed arrays in, tensors out, on any backend.
//
// A kernel is registered for `cpu` and `wasm` when this package is imported, and for any other backend at its first use there, where data must
// be read back from the device; that is said once.

import * as tf from '@tensorflow/tfjs-core';
import { OptionError } from '../errors.js';
import { WasmArray } from '../wasm/memory.js';
import { Panels } from '../wasm/panels.js';
import { type Held, home, keepAtHome } from './home.js';

/** An input as a kernel sees it. */
export interface Operand {
  readonly shape: number[];
  /** What it is at home, or a view of tfjs's own data: read only, and only until the kernel returns. */
  readonly held: Float32Array | Held;
}

/** An output: numbers that stay at home, or numbers for tfjs. Of the latter `owned` ones are handed over; others are a view that will be copied. */
export interface Result {
  readonly shape: number[];
  readonly values: Float32Array | Uint32Array | Held;
  readonly owned?: boolean;
  /** See {@link home}. */
  readonly ticket?: boolean;
}

/** The flat numbers of an operand, where they are. */
export function numbers({ held }: Operand): Float32Array | WasmArray {
  return held instanceof Panels ? held.unpack().slice() : held;
}

/** The flat numbers of an operand in JavaScript: a view of someone's memory until the next call of a kernel. */
export function floats(operand: Operand): Float32Array {
  const flat = numbers(operand);
  return flat instanceof WasmArray ? flat.floats : flat;
}

/** The same, also good while our memory grows. */
export function abroad(operand: Operand): Float32Array {
  return operand.held instanceof WasmArray ? operand.held.floats.slice() : floats(operand);
}

/** An operand `[batch, features]` in panels, to be freed. */
export function panels({ held, shape }: Operand): Panels {
  if (held instanceof Panels) return held.share();
  const [batch, features] = shape;
  return Panels.pack(held instanceof WasmArray ? held.floats.slice() : held, batch, features);
}

export type Operands = Record<string, Operand>;
/** `room` is there if the kernel asked for it: a result with this array as `values` is in its place already. */
export type Run<Attrs> = (operands: Operands, attrs: Attrs, room: Float32Array | undefined) => Result | Result[];
/** The shape of an output that a kernel will write piece by piece to where the backend wants it; nothing where it will not. */
export type Streamed<Attrs> = (inputs: Record<string, tf.TensorInfo>, attrs: Attrs) => number[] | undefined;

interface CpuBackend extends tf.KernelBackend {
  makeTensorInfo(shape: number[], dtype: tf.DataType, values: tf.TypedArray): tf.TensorInfo;
}

interface WasmBackend extends tf.KernelBackend {
  typedArrayFromHeap(info: tf.TensorInfo): tf.TypedArray;
  makeOutput(shape: number[], dtype: tf.DataType): tf.TensorInfo;
}

/**
 * Views of data that `backend` holds. Reading may move data there from another one, by which its memory may grow and leave earlier views empty: these are
 * read again.
 */
export function readAll<B>(bridge: Bridge<B>, backend: B, infos: tf.TensorInfo[]): Float32Array[] {
  const views = infos.map((info) => bridge.read(backend, info));
  return infos.map((info, i) => (views[i].length === tf.util.sizeFromShape(info.shape) ? views[i] : bridge.read(backend, info)));
}

/** Where a backend keeps its data. */
export interface Bridge<B> {
  read(backend: B, info: tf.TensorInfo): Float32Array;
  write(backend: B, shape: number[], dtype: tf.DataType, values: tf.TypedArray, owned: boolean): tf.TensorInfo;
  /** A tensor whose numbers are anyone's guess, to be written by who reads it. What was read before must be read again. Not every backend has such. */
  empty?(backend: B, shape: number[]): tf.TensorInfo;
}

/** A backend whose data a view can be written to. */
export type OpenBridge<B> = Required<Bridge<B>>;

export const cpu: OpenBridge<CpuBackend> = {
  // The live array, no copy.
  read: (backend, info) => backend.readSync(info.dataId) as Float32Array,
  write: (backend, shape, dtype, values, owned) => backend.makeTensorInfo(shape, dtype, owned ? values : values.slice()),
  empty: (backend, shape) => backend.makeTensorInfo(shape, 'float32', new Float32Array(tf.util.sizeFromShape(shape))),
};

export const wasm: OpenBridge<WasmBackend> = {
  // readSync would copy. Nothing is allocated in tfjs's heap, which would detach these views, until all operands have been used.
  read: (backend, info) => backend.typedArrayFromHeap(info) as Float32Array,
  write: (backend, shape, dtype, values) => {
    const info = backend.makeOutput(shape, dtype);
    backend.typedArrayFromHeap(info).set(values);
    return info;
  },
  empty: (backend, shape) => backend.makeOutput(shape, 'float32'),
};

const anyOther: Bridge<tf.KernelBackend> = {
  read: (backend, info) => backend.readSync(info.dataId) as Float32Array,
  write: (backend, shape, dtype, values, owned) => ({
    dataId: backend.write(owned ? values : values.slice(), shape, dtype),
    shape,
    dtype,
  }),
};

const kernels = new Map<string, { run: Run<never>; streamed: Streamed<never> | undefined }>();
const warned = new Set<string>();

/** Makes `run` a tfjs kernel. The name is what `tf.profile` shows. */
export function defineKernel<Attrs>(name: string, run: Run<Attrs>, streamed?: Streamed<Attrs>): void {
  kernels.set(name, { run: run as Run<never>, streamed: streamed as Streamed<never> | undefined });
  register(name, 'cpu');
  register(name, 'wasm');
}

/** What is registered only calls what the caller brings: a second copy of this package has other wasm memory and other classes. */
function register(name: string, backendName: string): void {
  if (tf.getKernel(name, backendName)) return; // a second copy of this package, or a hot reload
  tf.registerKernel({
    kernelName: name,
    backendName,
    kernelFunc: (call) => (call.attrs as unknown as { kernel: tf.KernelFunc }).kernel(call),
  });
}

const bridges: Record<string, Bridge<never>> = { cpu, wasm };
const built = new Map<string, tf.KernelFunc>();

function kernelFor(name: string, backendName: string): tf.KernelFunc {
  const key = `${name} ${backendName}`;
  let kernel = built.get(key);
  if (!kernel) {
    const { run, streamed } = kernels.get(name) as { run: Run<unknown>; streamed: Streamed<unknown> | undefined };
    kernel = bridged(run, streamed, (bridges[backendName] ?? anyOther) as Bridge<unknown>);
    built.set(key, kernel);
  }
  return kernel;
}

function bridged<B>(run: Run<unknown>, streamed: Streamed<unknown> | undefined, bridge: Bridge<B>): tf.KernelFunc {
  return ({ inputs, backend, attrs }) => {
    const operands: Operands = {};
    const given = Object.entries(inputs).filter((entry): entry is [string, tf.TensorInfo] => entry[1] != null);
    const shape = streamed?.(Object.fromEntries(given), attrs);
    // Before the operands are read: their views would not survive it.
    const made = shape && bridge.empty?.(backend as B, shape);
    try {
      const foreign = given.map(([, info]) => info).filter(({ dataId }) => !home.find(dataId));
      const views = readAll(bridge, backend as B, made ? [...foreign, made] : foreign);
      for (const [key, info] of given) {
        operands[key] = { shape: info.shape, held: home.find(info.dataId) ?? views[foreign.indexOf(info)] };
      }
      const room = made ? views[foreign.length] : shape && new Float32Array(tf.util.sizeFromShape(shape));
      const write = ({ shape, values, owned = false, ticket }: Result): tf.TensorInfo => {
        if (values instanceof WasmArray || values instanceof Panels) return home.tensor(values, shape, ticket);
        if (made && values === room) return made;
        return values instanceof Float32Array
          ? bridge.write(backend as B, shape, 'float32', values, owned || values === room)
          : bridge.write(backend as B, shape, 'int32', new Int32Array(values.buffer, values.byteOffset, values.length), owned);
      };
      const results = run(operands, attrs, room);
      return Array.isArray(results) ? results.map(write) : write(results);
    } catch (error) {
      if (made) (backend as tf.KernelBackend).disposeData(made.dataId);
      throw error;
    }
  };
}

/** Runs one of our kernels on the current backend. Numbers are read as float32. Throws an OptionError for strings and complex numbers. */
export function runKernel<T extends tf.Tensor | tf.Tensor[]>(name: string, inputs: Record<string, tf.Tensor>, attrs: object): T {
  for (const input in inputs) {
    const { dtype } = inputs[input];
    if (dtype === 'string' || dtype === 'complex64') throw new OptionError(`${name} ${input}`, 'a tensor of real numbers', dtype);
  }
  const backend = tf.getBackend();
  keepAtHome(backend);
  if (!tf.getKernel(name, backend)) {
    register(name, backend);
    if (!warned.has(backend)) {
      warned.add(backend);
      console.warn(
        `tfjs-sparse computes on the CPU: on backend '${backend}' its tensors are read back and written again. 'cpu' and 'wasm' need no such copies.`,
      );
    }
  }
  // Attributes are handed through as they are; tfjs's type for them allows plain data only.
  return tf.engine().runKernel(name, inputs, { ...attrs, kernel: kernelFor(name, backend) } as unknown as tf.NamedAttrMap) as T;
}

/** Makes the gradient of an op whose attributes bring it along as `gradient`, for the same reason as {@link register}. */
export function defineGradient(name: string, saved: { inputs: string[]; outputs?: boolean[] }): void {
  if (tf.getGradient(name)) return;
  tf.registerGradient({
    kernelName: name,
    inputsToSave: saved.inputs,
    ...(saved.outputs ? { outputsToSave: saved.outputs } : {}),
    gradFunc: (dy, tensors, attrs) => (attrs as unknown as { gradient: tf.GradFunc }).gradient(dy, tensors, attrs),
  });
}
