// The entrance in browsers: the binary is fetched when `ready()` or `init()` is first called.

import { fetched, initFrom } from './init.js';
import { bestVariant } from './variant.js';

export const { init, ready } = initFrom({
  variant: bestVariant,
  // Two literal URLs: bundlers find and copy the files by this form alone.
  own: (variant) =>
    fetched(
      variant === 'relaxed-simd'
        ? new URL('../../wasm/relaxed-simd.wasm', import.meta.url)
        : new URL('../../wasm/simd128.wasm', import.meta.url),
    ),
  from: fetched,
});
