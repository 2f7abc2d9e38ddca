// The entrance in browsers: the module is fetched when `ready()` is first called.

import init from '#wasm';
import { attach } from './memory.js';
import { bestVariant } from './variant.js';

let loading: Promise<void> | undefined;

/** Resolves when the package can be used. Call it once before the first sparse layer or op; further calls return the same promise. */
export const ready = (): Promise<void> => {
  loading ??= load();
  // A failed download may be tried again.
  loading.catch(() => {
    loading = undefined;
  });
  return loading;
};

async function load(): Promise<void> {
  const variant = bestVariant();
  // Two literal URLs: bundlers find and copy the files by this form alone.
  const url =
    variant === 'relaxed-simd'
      ? new URL('../../wasm/relaxed-simd.wasm', import.meta.url)
      : new URL('../../wasm/simd128.wasm', import.meta.url);
  attach((await init({ module_or_path: url })).memory, variant);
}
