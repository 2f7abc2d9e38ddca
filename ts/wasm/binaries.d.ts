// Written by scripts/build.mjs from the files in wasm/.

import type { Variant } from './variant.js';

/** The binaries as base64. */
export declare const binaries: Readonly<Record<Variant, string>>;
