// Gradients that one pass over the weights computes together, handed to tfjs one by one as it asks for them.

import type * as tf from '@tensorflow/tfjs-core';
import type { WasmArray } from '../wasm/memory.js';
import { defineKernel, type Operands, type Result, runKernel } from './kernel.js';

type Wanted = 'x' | 'values' | 'bias';

/** What a pass found; `dx` where it was wanted. */
export interface Gradients {
  readonly dx: Result | undefined;
  readonly dValues: WasmArray;
  readonly dBias: WasmArray;
}

interface Common {
  readonly biased: boolean;
}

type Waiting = Partial<Record<Wanted, Result & { values: WasmArray }>>;

type Call<Attrs> = Attrs & {
  readonly wanted: Wanted;
  /** Gradients computed by an earlier thunk of the same backward call. */
  readonly done: Waiting;
};

/** Of the latest pass. What nobody has asked for by the next one, such as the gradient of frozen values, is not wanted; it is held until then. */
let latest: Waiting = {};

/**
 * Defines the kernel NAMEGradient. The first gradient that is asked for runs the `pass`; the others wait in `done`. tfjs asks for `x` first, and does not
 * ask where x is data: then dX is not computed. `streams` where the pass writes dX, of the shape of x, to the room that it is given.
 *
 * Returns what makes a gradient function of the inputs that the kernel needs beside `dy`.
 */
export function defineOnePass<Attrs extends Common>(
  name: string,
  pass: (operands: Operands, attrs: Attrs, wantDx: boolean, room: Float32Array | undefined) => Gradients,
  streams = false,
): (inputs: (saved: tf.Tensor[], attrs: Attrs) => Record<string, tf.Tensor>) => tf.GradFunc {
  const kernelName = `${name}Gradient`;
  defineKernel<Call<Attrs>>(
    kernelName,
    (operands, attrs, room) => {
      const { wanted, done, biased } = attrs;
      const waiting = done[wanted];
      delete done[wanted];
      if (waiting) return waiting;
      for (const { values } of Object.values(latest)) values.free();
      latest = done;
      const { dx, dValues, dBias } = pass(operands, attrs, wanted === 'x', room);
      done.values = { shape: [dValues.length], values: dValues };
      if (biased) done.bias = { shape: [dBias.length], values: dBias };
      else dBias.free();
      if (dx) return dx;
      const result = done[wanted] as Result;
      delete done[wanted];
      return result;
    },
    streams ? ({ x }, { wanted }) => (wanted === 'x' ? x.shape : undefined) : undefined,
  );
  return (inputsOf) => (dys, saved, attrs) => {
    const own = attrs as unknown as Attrs;
    const inputs = { ...inputsOf(saved as unknown as tf.Tensor[], own), dy: (dys as tf.Tensor[])[0] ?? dys };
    const done = {};
    const of = (wanted: Wanted) => () => runKernel<tf.Tensor>(kernelName, inputs as Record<string, tf.Tensor>, { ...own, wanted, done });
    return { x: of('x'), values: of('values'), bias: of('bias') };
  };
}
