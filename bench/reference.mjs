// The loop that products are timed against where other users share the core. Another hardware thread takes a third of their speed and leaves the peak loop,
// which asks for little else than its multiply-adds, as it is; this loop loses as they do.

import { readFileSync } from 'node:fs';
import binaryen from 'binaryen';
import { Random } from '../dist/pattern/random.js';
import { check } from './support.mjs';

const ENTRIES = 1024;
const LINES = 256;
const ROUNDS = 16;

/** Runs of the loop; each returns its floating-point operations, about a million. @returns {Promise<() => number>} */
export async function referenceLoop() {
  const module = binaryen.parseText(readFileSync(new URL('reference.wat', import.meta.url), 'utf8'));
  module.setFeatures(binaryen.Features.SIMD128);
  const { instance } = await WebAssembly.instantiate(module.emitBinary());
  module.dispose();
  const { memory, run } = /** @type {{ memory: WebAssembly.Memory, run: (rounds: number) => number }} */ (instance.exports);
  const random = new Random(1);
  const lines = new Uint16Array(memory.buffer, 0, ENTRIES);
  for (let i = 0; i < ENTRIES; i++) lines[i] = Math.floor(random.next() * LINES);
  new Float32Array(memory.buffer, 4096, ENTRIES).fill(0.5);
  new Float32Array(memory.buffer, 16384, 24 * LINES).fill(0.25);
  check(run(2) === 2 * ENTRIES * 24 * 0.125, 'the reference loop');
  for (let i = 0; i < 1000; i++) run(ROUNDS);
  return () => {
    run(ROUNDS);
    return 2 * 24 * ENTRIES * ROUNDS;
  };
}
