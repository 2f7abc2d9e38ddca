// `tfjs-sparse bench`: what sparse training gains on this machine, in under a minute.

import { cpus } from 'node:os';
import * as tf from '@tensorflow/tfjs-core';
import { fuseLoss } from '../methods/fuse_loss.js';
import { fastDense } from '../ops/fast_dense.js';
import { Random } from '../pattern/random.js';
import { percent, table } from '../topology/table.js';
import { memory } from '../wasm/memory.js';
import { type BackendName, useBackend, useInstalledBackend } from './backend.js';
import { check, crossing, interleaved, kernelShares, peakGflops, type Times } from './measure.js';
import { buildNetwork } from './network.js';
import type { BenchOptions, TrainOptions } from './options.js';
import { startProgress } from './progress.js';
import { routed } from './routed.js';

const HIDDEN = [1024, 1024];
const [FEATURES, CLASSES] = [784, 10];
/** How the dense twin multiplies: by tfjs's own kernels, all of them by its SIMD kernel, or by ours. The last is the fair one. */
type Dense = 'shipped' | 'routed' | 'fast';

interface Model {
  what: string;
  density: number;
  dense?: Dense;
}

/** The first three are shown as what one would use, the rest to find where dense is as fast. */
const DENSITIES = [0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1];
const SHOWN = 3;

interface Bench {
  machine: { cpu: string; node: string; binary: string; backend: BackendName };
  batch: number;
  peakGflops: number;
  kernels: { density: number; forward: number; backward: number; firstLayer: number }[];
  steps: { what: string; density: number; milliseconds: Times }[];
  /** Of each dense rival: the density at which a sparse step takes as long; null where it is faster at every density. */
  crossings: { rival: string; density: number | null }[];
}

export async function bench({ backend: asked, batch, rounds, json }: BenchOptions): Promise<void> {
  if (asked) await useBackend(asked);
  const backend = asked ?? (await useInstalledBackend());
  const models: Model[] = [
    ...DENSITIES.map((density) => ({ what: `sparse at ${density}`, density })),
    { what: `dense, tfjs-${backend} with fastDense()`, density: 1, dense: 'fast' },
    ...(backend === 'wasm'
      ? [{ what: 'dense, tfjs-wasm with all products on its SIMD kernel', density: 1, dense: 'routed' } as const]
      : []),
    { what: `dense, tfjs-${backend} as shipped`, density: 1, dense: 'shipped' },
  ];
  const progress = startProgress('Measuring', SHOWN + models.length * (rounds + 2), 0);
  const forget = onInterrupt(() => progress.stop());
  let turns = 0;
  const between = async () => {
    progress.update(++turns);
    // tfjs's promises are resolved ones, which never let signals and timers in.
    await new Promise((resolve) => setImmediate(resolve));
  };
  try {
    const peak = peakGflops();
    const kernels: Bench['kernels'] = [];
    for (const density of DENSITIES.slice(0, SHOWN)) {
      kernels.push({ density, ...kernelShares({ density, batch, ms: 20 * rounds }) });
      await between();
    }
    const steps: Record<string, () => Promise<number>> = {};
    const first: Record<string, number> = {};
    for (const model of models) {
      steps[model.what] = stepOf(backend, model, batch);
      first[model.what] = await steps[model.what]();
      await between();
    }
    // The engine compiles a loop for good only after it has run for a while.
    await interleaved(steps, { rounds: 1, turn: 300, between });
    const times = await interleaved(steps, { rounds, turn: 100, between });
    for (const [name, step] of Object.entries(steps)) {
      const last = await step();
      check(Number.isFinite(last) && last < first[name], `${name}: the loss went from ${first[name]} to ${last}`);
    }
    const results = models.map(({ what, density }) => ({ what, density, milliseconds: times[what] }));
    const [sparse, rivals] = [results.slice(0, DENSITIES.length), results.slice(DENSITIES.length)];
    const line = sparse.map(({ density, milliseconds }) => [density, milliseconds.median] as const);
    const crossings = rivals.map((rival) => ({ rival: rival.what, density: crossing(line, rival.milliseconds.median) ?? null }));
    const machine = { cpu: cpus()[0]?.model.trim() ?? 'unknown', node: process.version, binary: memory().variant, backend };
    progress.stop();
    const found: Bench = { machine, batch, peakGflops: peak, kernels, steps: results, crossings };
    console.log(json ? JSON.stringify(found, null, 2) : text(found));
  } finally {
    progress.stop();
    forget();
  }
}

/** One training step of the perceptron on made-up data; resolves to the loss. */
function stepOf(backend: BackendName, { density, dense }: Model, batch: number): () => Promise<number> {
  const options: TrainOptions = {
    model: 'mlp',
    layers: HIDDEN,
    density,
    backwardDensity: density,
    distribution: 'uniform',
    method: 'static',
    alpha: 1,
    regularization: 0,
    dense: dense !== undefined,
    optimizer: 'sgd',
    learningRate: 0.05,
    batch,
    epochs: 1,
    seed: 1,
    backend,
  };
  const model = buildNetwork(options, FEATURES, CLASSES);
  // A dense twin is all tfjs's, but for what ours can do for it.
  if (dense) model.compile({ optimizer: tf.train.sgd(0.05), loss: 'categoricalCrossentropy' });
  if (!dense || dense === 'fast') fuseLoss(model);
  const random = new Random(3);
  const x = tf.tensor2d(
    Float32Array.from({ length: batch * FEATURES }, () => random.next()),
    [batch, FEATURES],
  );
  const classes = new Float32Array(batch * CLASSES);
  for (let i = 0; i < batch; i++) classes[i * CLASSES + (i % CLASSES)] = 1;
  const y = tf.tensor2d(classes, [batch, CLASSES]);
  return async () => {
    if (backend === 'wasm') routed(dense === 'routed');
    const undo = dense === 'fast' ? fastDense() : undefined;
    try {
      return (await model.trainOnBatch(x, y)) as number;
    } finally {
      undo?.();
    }
  };
}

function text({ machine, batch, peakGflops: peak, kernels, steps, crossings }: Bench): string {
  const shown = [...steps.slice(0, SHOWN).reverse(), ...steps.slice(DENSITIES.length)];
  const dense = steps.slice(DENSITIES.length).reduce((best, step) => (step.milliseconds.median < best.milliseconds.median ? step : best));
  const against = (ms: number) => `${(dense.milliseconds.median / ms).toFixed(1)}×`;
  const where = (density: number | null) =>
    density === null ? 'sparse is faster at every density' : `as fast at a density of ${density.toFixed(2)}`;
  return [
    `${machine.cpu}, Node ${machine.node}, ${machine.binary}, tfjs's ${machine.backend} backend; one thread`,
    '',
    `Multiply-add peak ${peak.toFixed(1)} GFLOP/s; products of a layer 1024×1024, batch ${batch}, as shares of it:`,
    table([
      ['density', 'forward', 'backward', 'without dX'],
      ...kernels.map((k) => [String(k.density), ...[k.forward, k.backward, k.firstLayer].map((share) => percent(share, 0))]),
    ]),
    '',
    `A training step of an MLP ${[FEATURES, ...HIDDEN, CLASSES].join('-')}, batch ${batch}, SGD; median, and against the fastest dense:`,
    table([['', 'ms', ''], ...shown.map(({ what, milliseconds: { median } }) => [what, median.toFixed(2), against(median)])]),
    '',
    ...crossings.map(({ rival, density }) => `Against ${rival}: ${where(density)}.`),
  ].join('\n');
}

/** Ctrl-C stops the bar, which shows the cursor again, and ends. */
function onInterrupt(stop: () => void): () => void {
  const end = () => {
    stop();
    process.exit(130);
  };
  process.once('SIGINT', end);
  return () => process.off('SIGINT', end);
}
