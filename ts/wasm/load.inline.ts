// The entrance of `tfjs-sparse/inline`: both binaries are in the JavaScript, as base64, and the right one starts at first use.

import { binaries } from './binaries.js';
import { compiled, fetched, initFrom, refused, start } from './init.js';
import { atFirstUse } from './memory.js';
import { bestVariant, type Variant } from './variant.js';

const WHAT = 'tfjs-sparse/inline';

function bytesOf(variant: Variant): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(binaries[variant]), (character) => character.charCodeAt(0));
}

atFirstUse(() => {
  let module: WebAssembly.Module;
  try {
    module = new WebAssembly.Module(bytesOf(bestVariant()));
  } catch (cause) {
    refused(WHAT, 'its own bytes', cause);
  }
  start(module, WHAT);
});

export const { init, ready } = initFrom({
  variant: bestVariant,
  own: async (variant) => compiled(bytesOf(variant), WHAT),
  from: fetched,
});
