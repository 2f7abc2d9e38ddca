// How our kernels meet tfjs: operands as typed arrays in, tensors out, on any backend.
//
// A kernel is registered for `cpu` and `wasm` when this package is imported, and for any other backend at its first use there, where data must
// be read back from the device; that is said once.

import * as tf from '@tensorflow/tfjs-core';

/** An input as a kernel sees it. On `cpu` and `wasm` a view of tfjs's own data: read only, and only until the kernel returns. */
export interface Operand {
  readonly values: Float32Array;
  readonly shape: number[];
}

/** An output. `owned` values are handed over; others are a view that will be copied. */
export interface Result {
  readonly shape: number[];
  readonly values: Float32Array | Uint32Array;
  readonly owned?: boolean;
}

export type Operands = Record<string, Operand>;
export type Run<Attrs> = (operands: Operands, attrs: Attrs) => Result | Result[];

interface CpuBackend extends tf.KernelBackend {
  makeTensorInfo(shape: number[], dtype: tf.DataType, values: tf.TypedArray): tf.TensorInfo;
}

interface WasmBackend extends tf.KernelBackend {
  typedArrayFromHeap(info: tf.TensorInfo): tf.TypedArray;
  makeOutput(shape: number[], dtype: tf.DataType): tf.TensorInfo;
}

/** Where a backend keeps its data. */
interface Bridge<B> {
  read(backend: B, info: tf.TensorInfo): Float32Array;
  write(backend: B, shape: number[], dtype: tf.DataType, values: tf.TypedArray, owned: boolean): tf.TensorInfo;
}

const cpu: Bridge<CpuBackend> = {
  // The live array, no copy.
  read: (backend, info) => backend.readSync(info.dataId) as Float32Array,
  write: (backend, shape, dtype, values, owned) => backend.makeTensorInfo(shape, dtype, owned ? values : values.slice()),
};

const wasm: Bridge<WasmBackend> = {
  // readSync would copy. Nothing is allocated in tfjs's heap, which would detach these views, until all operands have been used.
  read: (backend, info) => backend.typedArrayFromHeap(info) as Float32Array,
  write: (backend, shape, dtype, values) => {
    const info = backend.makeOutput(shape, dtype);
    backend.typedArrayFromHeap(info).set(values);
    return info;
  },
};

const anyOther: Bridge<tf.KernelBackend> = {
  read: (backend, info) => backend.readSync(info.dataId) as Float32Array,
  write: (backend, shape, dtype, values, owned) => ({
    dataId: backend.write(owned ? values : values.slice(), shape, dtype),
    shape,
    dtype,
  }),
};

const kernels = new Map<string, Run<never>>();
const warned = new Set<string>();

/** Makes `run` a tfjs kernel. The name is what `tf.profile` shows. */
export function defineKernel<Attrs>(name: string, run: Run<Attrs>): void {
  kernels.set(name, run as Run<never>);
  register(name, 'cpu', cpu);
  register(name, 'wasm', wasm);
}

function register<B>(name: string, backendName: string, bridge: Bridge<B>): void {
  if (tf.getKernel(name, backendName)) return; // a second copy of this package, or a hot reload
  tf.registerKernel({
    kernelName: name,
    backendName,
    kernelFunc: ({ inputs, backend, attrs }) => {
      const operands: Operands = {};
      for (const [key, info] of Object.entries(inputs)) {
        if (info) operands[key] = { values: bridge.read(backend as B, info), shape: info.shape };
      }
      // The caller's own: a second copy of this package has other wasm memory, where the caller's addresses would mean something else.
      const { run } = attrs as unknown as { run: Run<unknown> };
      const write = ({ shape, values, owned = false }: Result): tf.TensorInfo =>
        values instanceof Float32Array
          ? bridge.write(backend as B, shape, 'float32', values, owned)
          : bridge.write(backend as B, shape, 'int32', new Int32Array(values.buffer, values.byteOffset, values.length), owned);
      const results = run(operands, attrs);
      return Array.isArray(results) ? results.map(write) : write(results);
    },
  });
}

/** Runs one of our kernels on the current backend. */
export function runKernel<T extends tf.Tensor | tf.Tensor[]>(name: string, inputs: Record<string, tf.Tensor>, attrs: object): T {
  const backend = tf.getBackend();
  if (!tf.getKernel(name, backend)) {
    register(name, backend, anyOther);
    if (!warned.has(backend)) {
      warned.add(backend);
      console.warn(
        `tfjs-sparse computes on the CPU: on backend '${backend}' its tensors are read back and written again. 'cpu' and 'wasm' need no such copies.`,
      );
    }
  }
  // Attributes are handed through as they are; tfjs's type for them allows plain data only.
  const run = kernels.get(name);
  return tf.engine().runKernel(name, inputs, { ...attrs, run } as unknown as tf.NamedAttrMap) as T;
}
