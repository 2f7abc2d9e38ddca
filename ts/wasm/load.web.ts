// The entrance in browsers: the binary is fetched when `ready()` or `init()` is first called.

import { fetched, initFrom } from './init.js';
import { isAtHand } from './memory.js';
import { bestVariant } from './variant.js';

const entrance = initFrom({
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

export const { init } = entrance;

/** Fetches the binary, if it has not been: to be awaited in browsers before the first sparse layer or op. */
export async function ready(): Promise<void> {
  // Who has imported tfjs-sparse/inline as well, as the script of a worker may, need not have the file.
  if (!isAtHand()) await entrance.ready();
}
