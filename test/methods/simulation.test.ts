// Each method against a dense masked simulation: 50 steps of a network of two dense layers, and of one with convolutions, edits among them.

import { describe, expect, test } from 'vitest';
import { conv2d, dense, type SparseConv2D, type SparseDense } from '../../ts/layers/index.js';
import { dpf } from '../../ts/methods/dpf.js';
import { gap } from '../../ts/methods/gap.js';
import { ggr } from '../../ts/methods/ggr.js';
import { gmp } from '../../ts/methods/gmp.js';
import { gse } from '../../ts/methods/gse.js';
import { rigl } from '../../ts/methods/rigl.js';
import { set } from '../../ts/methods/set.js';
import { shared, snfs } from '../../ts/methods/snfs.js';
import { staticPattern } from '../../ts/methods/static.js';
import { topKast } from '../../ts/methods/top_kast.js';
import { adam, momentum, sgd } from '../../ts/optimizers/index.js';
import type { Training } from '../../ts/topology/training.js';
import {
  active,
  convolutionWired,
  drop,
  fullyWired,
  gradients,
  type Kind,
  magnitudes,
  RATE,
  ranked,
  type SimLayer,
  simLayer,
  smallest,
  theta,
  update,
} from '../support/simulation.js';
import { expectClose, onEachBackend, tf, tfl } from '../support/tf.js';

const [IN, HIDDEN, OUT, BATCH, STEPS, EVERY] = [12, 11, 7, 9, 50, 5];
/** RigL's cosine from 0.3, to step 40. */
const fraction = (step: number, start = 0.3) => (start / 2) * (1 + Math.cos((Math.PI * step) / 40));
const due = (step: number) => step % EVERY === 0 && step <= 40;

/** One edit of the simulation. `grown[l]` is where the library grew, for methods that draw at random. */
type Edit = (layers: SimLayer[], g: Float64Array[], step: number, grown: number[][]) => void;

/** The sets A and B by magnitude; what leaves B stays as it is and loses its slots. */
function topKastEdit(layers: SimLayer[]): void {
  for (const layer of layers) {
    const { mask, trained = mask } = layer;
    const order = ranked(magnitudes(layer), () => true);
    const [nA, nB] = [mask, trained].map((set) => set.reduce((a, b) => a + b, 0));
    mask.fill(0);
    trained.fill(0);
    for (const i of order.slice(0, nA)) mask[i] = 1;
    for (const i of order.slice(0, nB)) trained[i] = 1;
    for (const i of order.slice(nB)) layer.m[i] = layer.v[i] = layer.steps[i] = 0;
  }
}

interface Run {
  make(): Training;
  edit: Edit;
  /** Joins the gradients of a step. */
  penalty?(layer: SimLayer, gradient: Float64Array): void;
  /** Edit steps update nothing. */
  instead?: boolean;
  layer?: { density: number; backwardDensity?: number };
}

const abs = (g: Float64Array) => g.map(Math.abs);

/** Drops, then grows by gradient; just-dropped positions may return, with value and moments. */
function riglEdit(layers: SimLayer[], g: Float64Array[], step: number): void {
  layers.forEach((layer, l) => {
    const k = Math.floor(active(layer) * fraction(step));
    const gone = new Set(smallest(layer, k));
    const back = new Set(ranked(abs(g[l]), (i) => layer.mask[i] === 0 || gone.has(i)).slice(0, k));
    for (const i of gone) if (!back.has(i)) drop(layer, i);
    for (const i of back) layer.mask[i] = 1;
  });
}

function ggrEdit(layers: SimLayer[], g: Float64Array[], step: number): void {
  const counts = layers.map((layer) => Math.floor(active(layer) * fraction(step)));
  const needs = layers.map((layer, l) => Math.max(0, Math.min(layer.units, active(layer)) - (active(layer) - counts[l])));
  const total = counts.reduce((a, b) => a + b, 0);
  const candidates = layers.map((layer, l) => ranked(abs(g[l]), (i) => layer.mask[i] === 0));
  const chosen = candidates.map((own, l) => own.slice(0, needs[l]));
  const rest = candidates.flatMap((own, l) => own.slice(needs[l]).map((i) => ({ l, i, score: Math.abs(g[l][i]) })));
  rest.sort((a, b) => b.score - a.score || a.l - b.l || a.i - b.i);
  for (const { l, i } of rest.slice(0, total - needs.reduce((a, b) => a + b, 0))) chosen[l].push(i);
  layers.forEach((layer, l) => {
    for (const i of smallest(layer, counts[l])) drop(layer, i);
    for (const i of chosen[l]) layer.mask[i] = 1;
  });
}

function snfsEdit(layers: SimLayer[], g: Float64Array[], step: number): void {
  const counts = layers.map((layer) => Math.floor(active(layer) * fraction(step, 0.5)));
  const importance = layers.map((layer, l) => g[l].reduce((sum, gi, i) => sum + (layer.mask[i] ? Math.abs(gi) : 0), 0) / active(layer));
  const shares = shared(
    counts.reduce((a, b) => a + b, 0),
    importance,
    layers.map((layer) => layer.mask.length - active(layer)),
  );
  layers.forEach((layer, l) => {
    const grown = ranked(abs(g[l]), (i) => layer.mask[i] === 0).slice(0, shares[l]);
    for (const i of smallest(layer, counts[l])) drop(layer, i);
    for (const i of grown) layer.mask[i] = 1;
  });
}

/** By gradient, ⌈⌉ instead of ⌊⌋, just-dropped positions not eligible. */
function gseEdit(layers: SimLayer[], g: Float64Array[], step: number): void {
  layers.forEach((layer, l) => {
    const k = Math.ceil(active(layer) * fraction(step, 0.2));
    const grown = ranked(abs(g[l]), (i) => layer.mask[i] === 0).slice(0, k);
    for (const i of smallest(layer, k)) drop(layer, i);
    for (const i of grown) layer.mask[i] = 1;
  });
}

function randomEdit(layers: SimLayer[], _g: Float64Array[], step: number, grown: number[][]): void {
  layers.forEach((layer, l) => {
    const k = Math.floor(active(layer) * fraction(step));
    expect(grown[l].length).toBe(k);
    for (const i of grown[l]) expect(layer.mask[i], 'grown where a weight is').toBe(0);
    for (const i of smallest(layer, k)) drop(layer, i);
    for (const i of grown[l]) layer.mask[i] = 1;
  });
}

function signSplitEdit(layers: SimLayer[], _g: Float64Array[], _step: number, grown: number[][]): void {
  layers.forEach((layer, l) => {
    const sides = [(i: number) => layer.w[i] >= 0, (i: number) => layer.w[i] < 0];
    const gone = sides.flatMap((side) => {
      const own = ranked(magnitudes(layer), (i) => layer.mask[i] === 1 && side(i));
      return own.slice(own.length - Math.ceil(0.3 * own.length));
    });
    expect(grown[l].length).toBe(gone.length);
    for (const i of gone) drop(layer, i);
    for (const i of grown[l]) layer.mask[i] = 1;
  });
}

const cubicDensity = (step: number, initial: number, final: number) => final + (initial - final) * (1 - Math.min(1, step / 40)) ** 3;

function gmpEdit(scope: 'layer' | 'global' | 'lamp'): Edit {
  return (layers, _g, step) => {
    const density = cubicDensity(step, 1, 0.2);
    if (scope === 'layer') {
      for (const layer of layers) {
        for (const i of smallest(layer, active(layer) - Math.max(1, Math.round(density * layer.mask.length)))) drop(layer, i);
      }
      return;
    }
    const all = layers.flatMap((layer, l) => {
      const order = ranked(magnitudes(layer), (i) => layer.mask[i] === 1);
      let sum = 0;
      return order.map((i) => {
        sum += theta(layer, i) ** 2;
        return { l, i, score: scope === 'lamp' ? theta(layer, i) ** 2 / sum : Math.abs(theta(layer, i)) };
      });
    });
    all.sort((a, b) => b.score - a.score || a.l - b.l || a.i - b.i);
    const size = layers.reduce((total, layer) => total + layer.mask.length, 0);
    for (const { l, i } of all.slice(Math.round(density * size))) drop(layers[l], i);
  };
}

function dpfEdit(layers: SimLayer[], _g: Float64Array[], step: number): void {
  const size = layers.reduce((total, layer) => total + layer.mask.length, 0);
  const all = layers.flatMap((layer, l) => Array.from(magnitudes(layer), (score, i) => ({ l, i, score })));
  all.sort((a, b) => b.score - a.score || a.l - b.l || a.i - b.i);
  for (const layer of layers) layer.mask.fill(0);
  for (const { l, i } of all.slice(0, Math.round(cubicDensity(step, 1, 0.2) * size))) layers[l].mask[i] = 1;
}

/** Edits at steps 1, 6, 11, …: partition (edit number mod their number) dense, the others pruned. */
function gapEdit(layers: SimLayer[], _g: Float64Array[], step: number): void {
  const dense = step === 40 ? -1 : ((step - 1) / EVERY) % layers.length;
  layers.forEach((layer, l) => {
    if (l === dense) layer.mask.fill(1);
    else for (const i of smallest(layer, Math.max(0, active(layer) - Math.round(0.3 * layer.mask.length)))) drop(layer, i);
  });
}

const common = { every: EVERY, endStep: 40 };
const runs: Record<string, Run> = {
  static: { make: () => staticPattern(), edit: () => {} },
  'set, sign-split': { make: () => set({ ...common }), edit: signSplitEdit },
  'set, magnitude': { make: () => set({ ...common, dropRule: 'magnitude' }), edit: randomEdit },
  rigl: { make: () => rigl({ ...common }), edit: riglEdit },
  "rigl, as Google's": { make: () => rigl({ ...common, timing: 'instead' }), edit: riglEdit, instead: true },
  ggr: { make: () => ggr({ ...common }), edit: ggrEdit },
  // So many candidates that every position is among them.
  'gse, uniform': { make: () => gse({ ...common, candidates: 60 }), edit: gseEdit },
  'gse, grabo': { make: () => gse({ ...common, candidates: 400, sampling: 'grabo' }), edit: gseEdit },
  snfs: { make: () => snfs({ ...common }), edit: snfsEdit },
  'gmp, layer': { make: () => gmp({ ...common, density: 0.2 }), edit: gmpEdit('layer'), layer: { density: 1 } },
  'gmp, global': { make: () => gmp({ ...common, density: 0.2, scope: 'global' }), edit: gmpEdit('global'), layer: { density: 1 } },
  'gmp, lamp': { make: () => gmp({ ...common, density: 0.2, scope: 'lamp' }), edit: gmpEdit('lamp'), layer: { density: 1 } },
  dpf: { make: () => dpf({ ...common, density: 0.2 }), edit: dpfEdit, layer: { density: 1, backwardDensity: 1 } },
  topKast: {
    make: () => topKast({ every: 5, regularization: 0.02 }),
    edit: topKastEdit,
    penalty({ w, mask, alpha }, gradient) {
      // λ on A, λ/density on B∖A.
      w.forEach((phi, i) => {
        gradient[i] += (mask[i] ? 0.02 : 0.02 / 0.3) * Math.sign(phi) * Math.abs(phi) ** alpha;
      });
    },
    layer: { density: 0.3, backwardDensity: 0.6 },
  },
  gap: { make: () => gap({ ...common }), edit: gapEdit },
};

function dueFor(name: string, step: number): boolean {
  if (name === 'gap') return (step - 1) % EVERY === 0 ? step <= 40 : step === 40;
  if (name === 'dpf' || name === 'topKast') return step % EVERY === 0;
  return due(step);
}

type Layer = SparseDense | SparseConv2D;

function read(layer: Layer): { mask: Uint8Array; trained: Uint8Array; values: Float64Array } {
  const { rows, cols } = layer.pattern;
  const [mask, trained, values] = [new Uint8Array(rows * cols), new Uint8Array(rows * cols), new Float64Array(rows * cols)];
  const numbers = layer.values.dataSync();
  layer.pattern.forEach((i, row, col, inA) => {
    mask[row * cols + col] = Number(inA);
    trained[row * cols + col] = 1;
    values[row * cols + col] = numbers[i];
  });
  return { mask, trained, values };
}

/** A model, its sparse layers, and how these are wired. */
interface Network {
  model: tfl.Sequential;
  own: Layer[];
  wired: Parameters<typeof simLayer>[0][];
  input: number[];
}

type Extra = { alpha: number; density?: number; backwardDensity?: number };

function denseNetwork(extra: Extra): Network {
  const layer = (units: number, seed: number, activation: 'tanh' | 'linear', cols?: number) =>
    dense({ units, activation, useBias: false, density: 0.3, seed, ...extra, ...(cols ? { inputShape: [cols] } : {}) });
  const own = [layer(HIDDEN, 1, 'tanh', IN), layer(OUT, 2, 'linear')];
  return { model: tfl.sequential({ layers: own }), own, wired: [fullyWired(HIDDEN, IN), fullyWired(OUT, HIDDEN)], input: [IN] };
}

/** Two convolutions, the second with a stride beside a dilation, and a dense layer. */
function convNetwork(extra: Extra): Network {
  const common = { activation: 'tanh' as const, useBias: false, density: 0.3, ...extra };
  const own = [
    conv2d({ ...common, filters: 3, kernelSize: [3, 2], padding: 'same', seed: 1, inputShape: [5, 6, 2] }),
    conv2d({ ...common, filters: 4, kernelSize: 2, strides: [1, 2], dilationRate: [2, 1], seed: 2 }),
    dense({ ...common, activation: 'linear', units: OUT, seed: 3 }),
  ];
  const [first, second, last] = own;
  const wired = [
    convolutionWired(
      { input: 5, kernel: 3, stride: 1, dilation: 1, before: 1, output: 5 },
      { input: 6, kernel: 2, stride: 1, dilation: 1, before: 0, output: 6 },
      2,
      3,
    ),
    convolutionWired(
      { input: 5, kernel: 2, stride: 1, dilation: 2, before: 0, output: 3 },
      { input: 6, kernel: 2, stride: 2, dilation: 1, before: 0, output: 3 },
      3,
      4,
    ),
    fullyWired(OUT, 3 * 3 * 4),
  ];
  return { model: tfl.sequential({ layers: [first, second, tfl.layers.flatten(), last] }), own, wired, input: [5, 6, 2] };
}

async function compare(
  { make, edit, instead, penalty, layer: extra }: Run,
  name: string,
  kind: Kind,
  optimizer: tf.Optimizer,
  alpha: number,
  network = denseNetwork,
) {
  const { model, own, wired, input } = network({ alpha, ...extra });
  const method = make().attach(model, optimizer);
  const sim = own.map((one, l) => {
    const { mask, trained, values } = read(one);
    return one.backwardDensity === undefined
      ? simLayer(wired[l], alpha, values, mask)
      : simLayer(wired[l], alpha, one.theta(), mask, trained);
  });
  let moved = 0;
  for (let step = 1; step <= STEPS; step++) {
    const x = tf.randomNormal([BATCH, ...input], 0, 1, 'float32', step);
    const target = tf.randomUniform<tf.Rank.R2>([BATCH, OUT], -1, 1, 'float32', 1000 + step);
    const before = own.map(read);
    optimizer.minimize(
      () => tf.mul(0.5, tf.sum(tf.square(tf.sub(model.apply(x) as tf.Tensor, target)))) as tf.Scalar,
      false,
      own.map((one) => one.values),
    );
    await method.step();
    const samples = tf.tidy(() => tf.reshape(x, [BATCH, -1]).arraySync() as number[][]);
    const g = gradients(sim, samples, target.arraySync());
    const skipped = instead && dueFor(name, step);
    sim.forEach((one, l) => {
      penalty?.(one, g[l]);
      if (!skipped) update(one, g[l], kind);
    });
    const after = own.map(read);
    const grown = after.map(({ mask }, l) => [...mask.keys()].filter((i) => mask[i] && !before[l].mask[i]));
    const masks = sim.map((one) => one.mask.slice());
    if (dueFor(name, step)) edit(sim, g, step, grown);
    sim.forEach((one, l) => {
      // What is drawn at random is taken over; where it was drawn has been checked.
      for (const i of grown[l]) if (masks[l][i] === 0 && one.mask[i] && !one.trained) one.w[i] = after[l].values[i];
      expect(Array.from(after[l].mask), `${name}: pattern of layer ${l} after step ${step}`).toEqual(Array.from(one.mask));
      if (one.trained) expect(Array.from(after[l].trained)).toEqual(Array.from(one.trained));
      const { mask, trained = mask } = one;
      const expected = one.w.map((w, i) => (trained[i] ? w : 0));
      expectClose(after[l].values, expected, 1e-4);
      moved += grown[l].length;
    });
    tf.dispose([x, target]);
  }
  method.detach();
  model.dispose();
  optimizer.dispose();
  // tfjs's own momentum forgets this one.
  (optimizer as { c?: tf.Tensor }).c?.dispose();
  return moved;
}

const optimizers: Record<string, [Kind, () => tf.Optimizer]> = {
  'our sgd': ['sgd', () => sgd(RATE)],
  'our momentum': ['momentum', () => momentum(RATE, 0.9)],
  'our adam': ['adam', () => adam(RATE, 0.9, 0.999, 1e-7)],
  'tf.train.momentum': ['momentum', () => tf.train.momentum(RATE, 0.9)],
};

onEachBackend('50 steps equal a dense masked simulation', () => {
  describe.each(Object.keys(optimizers))('with %s', (which) => {
    test.each(Object.keys(runs))('%s', async (name) => {
      const [kind, make] = optimizers[which];
      const moved = await compare(runs[name], name, kind, make(), 1);
      if (!['static', 'gmp, layer', 'gmp, global', 'gmp, lamp', 'dpf'].includes(name)) expect(moved).toBeGreaterThan(20);
    });
  });

  test.each(Object.keys(runs))('%s with Powerpropagation', async (name) => {
    await compare(runs[name], name, 'sgd', sgd(RATE), 2);
  });

  describe.each(['our momentum', 'our adam', 'tf.train.momentum'])('convolutions with %s', (which) => {
    test.each(Object.keys(runs))('%s', async (name) => {
      const [kind, make] = optimizers[which];
      const moved = await compare(runs[name], name, kind, make(), 1, convNetwork);
      if (!['static', 'gmp, layer', 'gmp, global', 'gmp, lamp', 'dpf'].includes(name)) expect(moved).toBeGreaterThan(20);
    });
  });

  test.each(Object.keys(runs))('convolutions: %s with Powerpropagation', async (name) => {
    await compare(runs[name], name, 'sgd', sgd(RATE), 2, convNetwork);
  });
});
