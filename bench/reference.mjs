// The loop that products are timed against where other users share the core. Another hardware thread takes a third of their speed and leaves the peak loop,
// which asks for little else than its multiply-adds, as it is; this loop loses as they do.

import { readFileSync } from 'node:fs';
import binaryen from 'binaryen';
import { Random } from '../dist/pattern/random.js';
import { check, costAtPeak, median, shareOfPeak } from './support.mjs';

const ENTRIES = 1024;
const LINES = 256;
const ROUNDS = 16;
/** Turns with the core to ourselves that are enough, and after how many the search for such ends. */
const ENOUGH = 3;
const MOST = 20;

let loop;
/** The largest share of the peak that the loop has reached in this process. */
let alone = 0;

/** Runs of the loop; each returns its floating-point operations, about a million. @returns {() => number} */
export function referenceLoop() {
  const module = binaryen.parseText(readFileSync(new URL('reference.wat', import.meta.url), 'utf8'));
  module.setFeatures(binaryen.Features.SIMD128);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.emitBinary()));
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

/**
 * What each of some runs costs, in floating-point operations of the peak loop: the median of the turns in which we had the core to ourselves, those with the
 * reference loop, before and after, within a twentieth of its best. The least of all where there are none.
 * @param {Record<string, () => unknown>} runs @param {number} ms for each of them, a third of it for each turn
 */
export function quietCosts(runs, ms) {
  loop ??= referenceLoop();
  const share = () => shareOfPeak(loop, loop(), 5);
  const costs = {};
  for (const [name, run] of Object.entries(runs)) {
    const turns = [];
    const quiet = () => turns.filter((turn) => turn.share > 0.95 * alone).map((turn) => turn.cost);
    for (let before = share(); quiet().length < ENOUGH && turns.length < MOST; ) {
      const cost = costAtPeak(run, ms / ENOUGH);
      const after = share();
      turns.push({ cost, share: Math.min(before, after) });
      alone = Math.max(alone, before, after);
      before = after;
    }
    costs[name] = quiet().length > 0 ? median(quiet()) : Math.min(...turns.map((turn) => turn.cost));
  }
  return costs;
}
