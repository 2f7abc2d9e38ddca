// The entrance on Node: the module is read and ready before the first import returns, so nobody needs to await anything.

import { readFileSync } from 'node:fs';
import { initSync } from '#wasm';
import { attach } from './memory.js';
import { bestVariant, type Variant } from './variant.js';

const asked = process.env.TFJS_SPARSE_VARIANT;
if (asked && asked !== 'simd128' && asked !== 'relaxed-simd') {
  throw new RangeError(`TFJS_SPARSE_VARIANT: expected simd128 or relaxed-simd, received ${asked}`);
}

/** The binary in use. The environment variable `TFJS_SPARSE_VARIANT` overrides the choice. */
const variant = (asked as Variant | undefined) || bestVariant();
attach(initSync({ module: readFileSync(new URL(`../../wasm/${variant}.wasm`, import.meta.url)) }).memory, variant);

/** Resolves when the package can be used; on Node it can be from the start. */
export const ready = async (): Promise<void> => {};
