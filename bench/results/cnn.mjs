// LeNet-5 on MNIST and Fashion-MNIST: a tenth of the weights beside all of them.
//
// node bench/results/cnn.mjs [--short | --report] [--data DIR] [--work DIR]

import { buildNetwork } from '../../dist/cli/network.js';
import { fastDense, Random, rigl, staticPattern, topKast } from '../../dist/index.js';
import { check, markdown } from '../support.mjs';
import { fashion } from './fashion.mjs';
import {
  accuracy,
  finished,
  firstOf,
  free,
  isMain,
  mean,
  mnist,
  options,
  percent,
  pick,
  provenance,
  publish,
  start,
  sweep,
  train,
} from './support.mjs';

const [BATCH, EPOCHS, RATE, DENSITY] = [64, 5, 0.001, 0.1];
const sets = { mnist: 'MNIST', fashion: 'Fashion-MNIST' };

/** As `lenet.mjs` has them. All edits end with three quarters of the steps. */
const methods = {
  static: () => staticPattern(),
  rigl: ({ endStep, seed }) => rigl({ every: 100, endStep, seed }),
  topKast: () => topKast({ every: 10 }),
};

/** What the task asks for first, then whether another distribution does as well. */
const settings = [
  ...[1, 2, 3].flatMap((seed) =>
    Object.keys(sets).flatMap((set) => [
      { set, method: 'dense', distribution: '', seed, epochs: EPOCHS },
      ...Object.keys(methods).map((method) => ({ set, method, distribution: 'erk', seed, epochs: EPOCHS })),
    ]),
  ),
  ...[1, 2, 3].flatMap((seed) =>
    Object.keys(sets).flatMap((set) =>
      ['static', 'topKast'].map((method) => ({ set, method, distribution: 'uniform', seed, epochs: EPOCHS })),
    ),
  ),
];

/** The network that `train --model lenet5` builds. */
function build({ method, distribution, seed }) {
  return buildNetwork(
    {
      model: 'lenet5',
      layers: [],
      density: DENSITY,
      backwardDensity: 2 * DENSITY,
      distribution,
      method: method === 'topKast' ? 'top-kast' : method,
      alpha: 1,
      dense: method === 'dense',
      optimizer: 'adam',
      learningRate: RATE,
      seed,
    },
    784,
    10,
  );
}

async function one(setting, { train: samples, test }) {
  const { method, seed, epochs } = setting;
  const steps = Math.ceil((epochs * samples.count) / BATCH);
  const endStep = Math.floor(0.75 * steps);
  const model = build(setting);
  const trained = methods[method]?.({ endStep, seed }).attach(model);
  // A tenth of the rate once the pattern is at rest.
  const rate = (t) => (t <= endStep ? RATE : RATE / 10);
  const history = [];
  const every = Math.floor(steps / epochs);
  const then = () => history.push(accuracy(model, test));
  await train(model, samples, { steps, batch: BATCH, seed, method: trained, rate, every, then });
  trained?.detach();
  const result = { accuracy: accuracy(model, test), history };
  free(model);
  return result;
}

/** Of all 70 000 images, which the package does not divide: one draw for all runs. */
async function fashionSplit(folder) {
  const all = await fashion(folder);
  const order = Uint32Array.from({ length: all.count }, (_, i) => i);
  new Random(1).shuffle(order);
  return { train: pick(all, order.subarray(0, 60_000)), test: pick(all, order.subarray(60_000)) };
}

function report(runs) {
  const cell = (set, method, distribution) => {
    const all = runs.filter(({ setting: s }) => s.set === set && s.method === method && s.distribution === distribution);
    if (all.length === 0) return ['', ''];
    const shares = all.map(({ result }) => result.accuracy);
    const range = `${percent(mean(shares))} (${percent(Math.min(...shares))}–${percent(Math.max(...shares))})`;
    const dense = (seed) => runs.find(({ setting: s }) => s.set === set && s.method === 'dense' && s.seed === seed)?.result.accuracy;
    const gap = mean(all.map(({ setting, result }) => result.accuracy - (dense(setting.seed) ?? Number.NaN)));
    const of = all.length === 3 ? '' : `, ${all.length} of 3 seeds`;
    return [`${range}${of}`, method === 'dense' ? '' : `${gap < 0 ? '−' : '+'}${percent(Math.abs(gap))}`];
  };
  const kinds = [['dense', ''], ...['erk', 'uniform'].flatMap((how) => Object.keys(methods).map((method) => [method, how]))];
  const rows = kinds
    .map(([method, how]) => [`${method}${how && `, ${how}`}`, ...Object.keys(sets).flatMap((set) => cell(set, method, how))])
    .filter(([, ...cells]) => cells.some((text) => text !== ''));
  const head = ['', ...Object.values(sets).flatMap((name) => [name, 'against dense'])];
  publish('cnn', runs, `${provenance(runs)}\n\nTest accuracy in %, mean over seeds (least to most):\n\n${markdown(head, rows)}`);
}

export async function run({ short, work, data: folder }) {
  await start();
  // Products, convolutions and pooling of tfjs at their best.
  fastDense();
  if (short) {
    const { train, test } = await mnist();
    const small = { train: firstOf(train, 3000), test: firstOf(test, 1000) };
    for (const method of ['dense', ...Object.keys(methods)]) {
      const { accuracy } = await one({ method, distribution: 'erk', seed: 1, epochs: 3 }, small);
      console.log(`${method}: ${percent(accuracy)} %`);
      check(accuracy > 0.6, `${method}: accuracy ${accuracy}`);
    }
    return;
  }
  const data = { mnist: await mnist(), fashion: await fashionSplit(folder) };
  report(await sweep('cnn', settings, (setting) => one(setting, data[setting.set]), work));
}

if (isMain(import.meta.url)) {
  const { report: only, ...rest } = options({ data: { type: 'string' } });
  if (only) report(finished('cnn', rest.work));
  else await run(rest);
}
