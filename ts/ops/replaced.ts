// Kernels of ours in the place of tfjs's, or where it has none, until they are taken back.
//
// What a kernel of ours does not do is left to the one that was registered before: it throws its own errors, and computes what only it does.

import * as tf from '@tensorflow/tfjs-core';
import { OptionError } from '../errors.js';
import { loaded } from '../wasm/memory.js';
import { cpu, type OpenBridge, readAll, wasm } from './kernel.js';

export type Call = Parameters<tf.KernelFunc>[0];

/** A kernel of ours; it returns nothing where the kernel before shall answer. */
export type Fast = <B extends tf.KernelBackend>(call: Call, bridge: OpenBridge<B>) => tf.TensorInfo | undefined;

/** A result that `write` writes in place, given views of it and of the inputs. */
export function written<B extends tf.KernelBackend>(
  bridge: OpenBridge<B>,
  backend: B,
  shape: number[],
  inputs: tf.TensorInfo[],
  write: (result: Float32Array, ...inputs: Float32Array[]) => void,
): tf.TensorInfo {
  const info = bridge.empty(backend, shape);
  try {
    const [result, ...views] = readAll(bridge, backend, [info, ...inputs]);
    write(result, ...views);
    return info;
  } catch (error) {
    backend.disposeData(info.dataId);
    throw error;
  }
}

interface Replaced {
  readonly original: tf.KernelConfig | undefined;
  readonly ours: tf.KernelConfig;
}

/**
 * The function that puts these kernels in place on the backends `cpu` and `wasm` that are there, and returns the one that takes them back. The first of
 * them must be a kernel that every backend has. It throws where neither backend is there, named `caller`, or our wasm is not; without a caller, for kernels
 * that need no wasm, it throws nothing.
 */
export function replacing(caller: string | undefined, kernels: readonly (readonly [name: string, ours: Fast])[]): () => () => void {
  const replaced: Replaced[] = [];
  const restore = (): void => {
    for (const { original, ours } of replaced.splice(0)) {
      // Someone else's kernel, put in the place of ours since, is not ours to remove.
      if (tf.getKernel(ours.kernelName, ours.backendName) === ours) put(ours, original);
    }
  };
  const takeOver = <B extends tf.KernelBackend>(backendName: string, bridge: OpenBridge<B>): void => {
    if (!tf.getKernel(kernels[0][0], backendName)) return;
    for (const [kernelName, fast] of kernels) {
      const original: tf.KernelConfig | undefined = tf.getKernel(kernelName, backendName);
      if (replaced.some(({ ours }) => ours === original)) continue;
      const before = original?.kernelFunc ?? (() => missing(kernelName, backendName));
      const ours = { ...original, kernelName, backendName, kernelFunc: (call: Call) => fast(call, bridge) ?? before(call) };
      replaced.push({ original, ours });
      put(original, ours);
    }
  };
  return () => {
    if (caller) loaded();
    takeOver('cpu', cpu);
    takeOver('wasm', wasm);
    if (caller && replaced.length === 0) throw new OptionError(caller, "the backend 'cpu' or 'wasm', imported before", tf.getBackend());
    return restore;
  };
}

/** As tfjs. */
function missing(kernelName: string, backendName: string): never {
  throw new Error(`Kernel '${kernelName}' not registered for backend '${backendName}'`);
}

/** Without the warning that a registration over another gives. */
function put(before: tf.KernelConfig | undefined, kernel: tf.KernelConfig | undefined): void {
  if (before) tf.unregisterKernel(before.kernelName, before.backendName);
  if (kernel) tf.registerKernel(kernel);
}
