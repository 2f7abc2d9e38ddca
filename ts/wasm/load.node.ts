// The entrance on Node: the binary is read at first use, without awaiting anything.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { compiled, fetched, initFrom, missing, start, variantAsked } from './init.js';
import { atFirstUse } from './memory.js';
import type { Variant } from './variant.js';

const variant = () => variantAsked(process.env.TFJS_SPARSE_VARIANT);
const ownFile = (variant: Variant) => fileURLToPath(new URL(`../../wasm/${variant}.wasm`, import.meta.url));

function read(path: string): Uint8Array<ArrayBuffer> {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw missing(path, cause);
  }
}

atFirstUse(() => start(new WebAssembly.Module(read(ownFile(variant()))), ownFile(variant())));

export const { init, ready } = initFrom({
  variant,
  own: async (variant) => compiled(read(ownFile(variant)), ownFile(variant)),
  from: async (url) => {
    if (/^https?:/.test(url)) return fetched(url);
    const path = url.startsWith('file:') ? fileURLToPath(url) : url;
    return compiled(read(path), path);
  },
});
