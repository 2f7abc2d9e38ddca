// Each method against a dense masked simulation: 50 steps of a network of two layers, edits among them.

import { describe, expect, test } from 'vitest';
import { dense, type SparseDense } from '../../ts/layers/index.js';
import { dpf } from '../../ts/methods/dpf.js';
import { gap } from '../../ts/methods/gap.js';
import { ggr } from '../../ts/methods/ggr.js';
import { gmp } from '../../ts/methods/gmp.js';
import { gse } from '../../ts/methods/gse.js';
import { rigl } from '../../ts/methods/rigl.js';
import { set } from '../../ts/methods/set.js';
import { shared, snfs } from '../../ts/methods/snfs.js';
import { staticPattern } from '../../ts/methods/static.js';
import { adam, momentum, sgd } from '../../ts/optimizers/index.js';
import type { Training } from '../../ts/topology/training.js';
import {
  active,
  drop,
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

interface Run {
  make(): Training;
  edit: Edit;
  /** Trained positions, where these are not the mask's. */
  everywhere?: boolean;
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
  const needs = layers.map((layer, l) => Math.max(0, Math.min(layer.rows, active(layer)) - (active(layer) - counts[l])));
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

/** Edits at steps 1, 6, 11, …: partition (edit number mod 2) dense, the other pruned. */
function gapEdit(layers: SimLayer[], _g: Float64Array[], step: number): void {
  const dense = step === 40 ? -1 : ((step - 1) / EVERY) % 2;
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
  dpf: { make: () => dpf({ ...common, density: 0.2 }), edit: dpfEdit, everywhere: true, layer: { density: 1, backwardDensity: 1 } },
  gap: { make: () => gap({ ...common }), edit: gapEdit },
};

function dueFor(name: string, step: number): boolean {
  if (name === 'gap') return (step - 1) % EVERY === 0 ? step <= 40 : step === 40;
  if (name === 'dpf') return step % EVERY === 0;
  return due(step);
}

function read(layer: SparseDense): { mask: Uint8Array; values: Float64Array } {
  const { rows, cols } = layer.pattern;
  const mask = new Uint8Array(rows * cols);
  const values = new Float64Array(rows * cols);
  const numbers = layer.values.dataSync();
  layer.pattern.forEach((i, row, col, inA) => {
    mask[row * cols + col] = Number(inA);
    values[row * cols + col] = numbers[i];
  });
  return { mask, values };
}

async function compare(
  { make, edit, everywhere, instead, layer: extra }: Run,
  name: string,
  kind: Kind,
  optimizer: tf.Optimizer,
  alpha: number,
) {
  const layer = (units: number, seed: number, activation: 'tanh' | 'linear', cols?: number) =>
    dense({ units, activation, useBias: false, density: 0.3, seed, alpha, ...extra, ...(cols ? { inputShape: [cols] } : {}) });
  const own = [layer(HIDDEN, 1, 'tanh', IN), layer(OUT, 2, 'linear')];
  const model = tfl.sequential({ layers: own });
  const method = make().attach(model, optimizer);
  const sim = own.map((one) => {
    const { mask, values } = read(one);
    return simLayer(one.pattern.rows, one.pattern.cols, alpha, values, mask);
  });
  let moved = 0;
  for (let step = 1; step <= STEPS; step++) {
    const x = tf.randomNormal<tf.Rank.R2>([BATCH, IN], 0, 1, 'float32', step);
    const target = tf.randomUniform<tf.Rank.R2>([BATCH, OUT], -1, 1, 'float32', 1000 + step);
    const before = own.map(read);
    optimizer.minimize(
      () => tf.mul(0.5, tf.sum(tf.square(tf.sub(model.apply(x) as tf.Tensor, target)))) as tf.Scalar,
      false,
      own.map((one) => one.values),
    );
    await method.step();
    const g = gradients(sim, x.arraySync(), target.arraySync());
    const skipped = instead && dueFor(name, step);
    sim.forEach((one, l) => {
      if (!skipped) update(one, g[l], kind, everywhere ? new Uint8Array(one.mask.length).fill(1) : one.mask);
    });
    const after = own.map(read);
    const grown = after.map(({ mask }, l) => [...mask.keys()].filter((i) => mask[i] && !before[l].mask[i]));
    const masks = sim.map((one) => one.mask.slice());
    if (dueFor(name, step)) edit(sim, g, step, grown);
    sim.forEach((one, l) => {
      // What is drawn at random is taken over; where it was drawn has been checked.
      for (const i of grown[l]) if (masks[l][i] === 0 && one.mask[i] && !everywhere) one.w[i] = after[l].values[i];
      expect(Array.from(after[l].mask), `${name}: pattern of layer ${l} after step ${step}`).toEqual(Array.from(one.mask));
      const expected = everywhere ? one.w : one.w.map((w, i) => (one.mask[i] ? w : 0));
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
});
