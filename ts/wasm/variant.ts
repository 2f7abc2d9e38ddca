// Which of the two binaries this engine can run.

export const VARIANTS = ['simd128', 'relaxed-simd'] as const;
export type Variant = (typeof VARIANTS)[number];

/**
 * A module with one instruction of relaxed-simd, which an engine without it refuses as a whole:
 * `(func (result v128) (f32x4.relaxed_madd (i8x16.splat (i32.const 0)) … …))`
 */
const PROBE = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // magic, version
  ...[1, 5, 1, 0x60, 0, 1, 0x7b], // type: () → v128
  ...[3, 2, 1, 0], // one function of that type
  ...[10, 19, 1, 17, 0, 0x41, 0, 0xfd, 0x0f, 0x41, 0, 0xfd, 0x0f, 0x41, 0, 0xfd, 0x0f, 0xfd, 0x85, 0x02, 0x0b],
);

/** relaxed-simd where there is one (Node 21 and later, Chrome, Firefox), else simd128 (all browsers since Safari 16.4). */
export function bestVariant(): Variant {
  return WebAssembly.validate(PROBE) ? 'relaxed-simd' : 'simd128';
}
