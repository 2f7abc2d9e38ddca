// Activations as the products take them: panels of 16 samples, batch innermost. See crate/src/kernels/mod.rs.

import * as rust from '../../wasm/kernels.js';
import { carve, floats, WasmArray } from './memory.js';

const SAMPLES = 16;

/** `[batch, features]` in panels, in wasm memory. Shared by counting: `free()` as often as it was made or shared. */
export class Panels {
  readonly #numbers: WasmArray;
  #owners = 1;

  /** Room for panels, to be written. */
  constructor(
    readonly batch: number,
    readonly features: number,
  ) {
    this.#numbers = new WasmArray(Math.ceil(batch / SAMPLES) * SAMPLES * features, false);
  }

  static pack(rows: Float32Array, batch: number, features: number): Panels {
    const panels = new Panels(batch, features);
    const [at] = carve(rows.length);
    floats(at, rows.length).set(rows);
    rust.pack(at, panels.at, batch, features);
    return panels;
  }

  get at(): number {
    return this.#numbers.at;
  }

  /** Row-major `[batch, features]`: a view of working memory, good until the next call of a kernel. */
  unpack(): Float32Array {
    const length = this.batch * this.features;
    const [at] = carve(length);
    rust.unpack(this.at, at, this.batch, this.features);
    return floats(at, length);
  }

  share(): Panels {
    this.#owners++;
    return this;
  }

  free(): void {
    if (--this.#owners === 0) this.#numbers.free();
  }
}
