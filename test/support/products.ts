// The products as calls on plain arrays: pack, run, unpack, free.

import type { CsrPattern } from '../../ts/pattern/csr.js';
import * as kernels from '../../ts/wasm/kernels.js';
import type { WasmArray } from '../../ts/wasm/memory.js';
import { Panels } from '../../ts/wasm/panels.js';

function taken(array: WasmArray): Float32Array {
  const values = array.floats.slice();
  array.free();
  return values;
}

function unpacked(panels: Panels): Float32Array {
  const rows = panels.unpack().slice();
  panels.free();
  return rows;
}

export function forward(
  pattern: CsrPattern,
  batch: number,
  x: Float32Array,
  values: Float32Array,
  bias: Float32Array | undefined,
  relu: boolean,
): Float32Array {
  const packed = Panels.pack(x, batch, pattern.cols);
  const y = kernels.forward(pattern, packed, values, bias, relu);
  packed.free();
  return unpacked(y);
}

export function backward(
  pattern: CsrPattern,
  batch: number,
  arrays: { x: Float32Array; values: Float32Array; y: Float32Array | undefined; dy: Float32Array },
  wantDx: boolean,
  decay: kernels.Decay,
): { dx: Float32Array | undefined; dValues: Float32Array; dBias: Float32Array } {
  const x = Panels.pack(arrays.x, batch, pattern.cols);
  const dy = Panels.pack(arrays.dy, batch, pattern.rows);
  const y = arrays.y && Panels.pack(arrays.y, batch, pattern.rows);
  const { dx, dValues, dBias } = kernels.backward(pattern, { x, values: arrays.values, y, dy }, wantDx, decay);
  for (const panels of [x, dy, y]) panels?.free();
  return { dx: dx && unpacked(dx), dValues: taken(dValues), dBias: taken(dBias) };
}

/** The numbers of an array in wasm memory, which is freed. */
export const numbersOf = taken;
