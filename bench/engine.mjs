// What engines.mjs runs in each engine, Node or browser: shares of the kernels, and steps of ours beside jax-js. Nothing of Node in here.

import { setThreadsCount, setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { check, interleaved, kernelShares, peakGflops } from '../dist/cli/measure.js';
import { memory, ready } from '../dist/index.js';
import { data, sparseStep, WIDTHS } from './ours.mjs';
import * as jax from './rivals/jax.mjs';

/** @param {{ short: boolean, wasmPaths?: string }} how `wasmPaths`: where a browser finds the binaries of tfjs */
export async function measure({ short, wasmPaths }) {
  await ready();
  if (wasmPaths) setWasmPaths(wasmPaths);
  setThreadsCount(1);
  tf.enableProdMode();
  const peak = peakGflops();
  const batch = 64;
  const rounds = short ? 20 : 150;
  const kernels = kernelShares({ density: 0.1, batch, ms: 10 * rounds });
  const { x, y } = data(batch);
  const steps = {
    jax: await jax.denseStep({ widths: WIDTHS, optimizer: 'sgd', x, y }),
    0.1: await sparseStep({ density: 0.1, x, y }),
    0.01: await sparseStep({ density: 0.01, x, y }),
  };
  const first = {};
  for (const [name, step] of Object.entries(steps)) first[name] = await step();
  await interleaved(steps, { rounds: 4, turn: short ? 40 : 400 });
  const times = await interleaved(steps, short ? { rounds: 3, turn: 50 } : { rounds: 15, turn: 150 });
  for (const [name, step] of Object.entries(steps)) {
    const last = await step();
    check(Number.isFinite(last) && last < first[name], `${name}: loss went from ${first[name]} to ${last}`);
  }
  return { binary: memory().variant, peakGflops: peak, kernels, times };
}
