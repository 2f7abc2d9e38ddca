// LeNet-300-100 on MNIST at four sparsities: what each method reaches under one recipe.
//
// node bench/results/lenet.mjs [--tune | --short | --report] [--work DIR]

import * as tfl from '@tensorflow/tfjs-layers';
import { erk, ggr, gse, layers, optimizers, rigl, set, staticPattern, topKast } from '../../dist/index.js';
import { check, markdown } from '../support.mjs';
import {
  accuracy,
  finished,
  firstOf,
  free,
  isMain,
  lastOf,
  mean,
  mnist,
  options,
  percent,
  provenance,
  publish,
  start,
  sweep,
  train,
} from './support.mjs';

const BATCH = 100;
const EPOCHS = 6;
const densities = [0.1, 0.05, 0.02, 0.01];
/** Chosen by `--tune` among `rates`, with static patterns, on images that are neither trained on nor tested with. */
const rate = { 1: 0.2, 2: 0.2 };
const rates = [0.02, 0.05, 0.1, 0.2];
const shapes = [
  [784, 300],
  [300, 100],
  [100, 10],
];

/** `perEpoch`: how often the authors of SET edit. All edits end with three quarters of the steps, as RigL's. */
const methods = {
  static: () => staticPattern(),
  set: ({ endStep, perEpoch, seed }) => set({ every: perEpoch, endStep, seed }),
  rigl: ({ endStep, seed }) => rigl({ every: 100, endStep, seed }),
  ggr: ({ endStep, seed }) => ggr({ every: 100, endStep, seed }),
  gse: ({ endStep, seed }) => gse({ every: 100, endStep, seed }),
  topKast: () => topKast({ every: 10 }),
};

const settings = [1, 2, 3].flatMap((seed) => [
  ...densities.flatMap((density) =>
    [1, 2].flatMap((alpha) => Object.keys(methods).map((method) => ({ density, alpha, method, seed, epochs: EPOCHS }))),
  ),
  { density: 1, alpha: 1, method: 'dense', seed, epochs: EPOCHS },
]);

function build({ density, alpha, method, seed }) {
  const model = tfl.sequential();
  erk(shapes, density).forEach((share, i) => {
    const explores = method === 'topKast' && share < 1 ? { backwardDensity: Math.min(1, 2 * share) } : {};
    model.add(
      layers.dense({
        ...(i === 0 ? { inputShape: [784] } : {}),
        units: shapes[i][1],
        activation: i < 2 ? 'relu' : 'softmax',
        kernelInitializer: 'heNormal',
        density: share,
        ...explores,
        alpha,
        seed: seed * 1000 + i,
      }),
    );
  });
  return model;
}

async function one(setting, { train: samples, test }, learningRate = rate[setting.alpha]) {
  const { method, seed, epochs } = setting;
  const perEpoch = samples.count / BATCH;
  const steps = Math.ceil(epochs * perEpoch);
  const endStep = Math.floor(0.75 * steps);
  const model = build(setting);
  model.compile({ optimizer: optimizers.momentum(learningRate, 0.9, true), loss: 'categoricalCrossentropy' });
  const trained = methods[method]?.({ endStep, perEpoch, seed }).attach(model);
  // A tenth of the rate once the pattern is at rest.
  const step = (t) => (t <= endStep ? learningRate : learningRate / 10);
  await train(model, samples, { steps, batch: BATCH, seed, method: trained, rate: step });
  trained?.detach();
  const result = { accuracy: accuracy(model, test) };
  free(model);
  return result;
}

const tuning = [1, 2].flatMap((alpha) =>
  rates.map((learningRate) => ({ density: 0.05, alpha, method: 'static', seed: 9, epochs: EPOCHS, learningRate })),
);

/** The last 5000 training images stand in for the test. */
async function tune(work) {
  await start();
  const { train: all } = await mnist();
  const data = { train: firstOf(all, 55_000), test: lastOf(all, 5000) };
  await sweep('lenet-tune', tuning, ({ learningRate, ...setting }) => one(setting, data, learningRate), work);
}

// Accuracy in %.
const published = [
  ['SET [1]', '98.39', '98.14', '97.74', '95.80'],
  ['DSR [1]', '98.44', '98.32', '98.14', '97.54'],
  ['DeepR [1]', '98.19', '98.06', '98.21', '94.0'],
  ['Sparse Momentum [1]', '98.67', '98.53', '98.20', '97.53'],
  ['Sparse Momentum [2]', '', '98.47', '98.01', '97.64'],
  ['dense [1]', '98.69', '', '', ''],
];

function report(runs, tuned) {
  const cell = (method, density, alpha) => {
    const found = runs.filter(({ setting: s }) => s.method === method && s.density === density && s.alpha === alpha);
    // A network that says the same of every image has diverged; its 10 % would hide what the others do.
    const all = found.map(({ result }) => result.accuracy).filter((share) => share > 0.2);
    const diverged = found.length - all.length;
    const notes = [...(found.length === 3 ? [] : [`${found.length} of 3 seeds`]), ...(diverged > 0 ? [`${diverged} diverged`] : [])];
    const numbers = all.length > 0 ? [`${percent(mean(all))} (${percent(Math.min(...all))}–${percent(Math.max(...all))})`] : [];
    return [...numbers, ...(found.length > 0 ? notes : [])].join(', ');
  };
  const head = ['', ...densities.map((d) => `${percent(1 - d, 0)} % sparse`)];
  const ours = (alpha) => Object.keys(methods).map((method) => [method, ...densities.map((density) => cell(method, density, alpha))]);
  const parts = [
    provenance(runs),
    `Test accuracy in %, mean over seeds (least to most).\n\nα = 1:\n\n${markdown(head, ours(1))}\n\nDense twin, α = 1: ${cell('dense', 1, 1)}.`,
    `α = 2:\n\n${markdown(head, ours(2))}`,
    `Published, after 100 to 200 epochs: [1] MNIST, fully connected, [2] LeNet-300-100, its errors taken from 100; both from the results in [Dettmers's repository](https://github.com/TimDettmers/sparse_learning).\n\n${markdown(head, published)}`,
  ];
  const column = (alpha) => rates.map((r) => tuned.find(({ setting: s }) => s.alpha === alpha && s.learningRate === r)?.result.accuracy);
  const rows = [1, 2].map((alpha) => [`α = ${alpha}`, ...column(alpha).map((value) => (value === undefined ? '' : percent(value)))]);
  parts.push(
    `The check that chose the rates, static patterns at 95 %, seed 9, accuracy in % on 5000 images held back from training:\n\n${markdown(['rate', ...rates], rows)}`,
  );
  publish('lenet', [...runs, ...tuned], parts.join('\n\n'));
}

const isTuning = (run) => 'learningRate' in run.setting;

export async function run({ short, work }) {
  await start();
  const data = await mnist();
  if (short) {
    const small = { train: firstOf(data.train, 3000), test: firstOf(data.test, 1000) };
    for (const method of Object.keys(methods)) {
      for (const alpha of [1, 2]) {
        const { accuracy } = await one({ density: 0.05, alpha, method, seed: 1, epochs: 6 }, small);
        console.log(`${method}, alpha ${alpha}: ${percent(accuracy)} %`);
        check(accuracy > 0.6, `${method}, alpha ${alpha}: accuracy ${accuracy}`);
      }
    }
    return;
  }
  const runs = await sweep('lenet', settings, (setting) => one(setting, data), work);
  report(runs, finished('lenet-tune', work));
}

if (isMain(import.meta.url)) {
  const { report: only, tune: tunes, ...rest } = options({ tune: { type: 'boolean', default: false } });
  if (tunes) await tune(rest.work);
  else if (only) {
    const runs = finished('lenet', rest.work).filter((run) => !isTuning(run));
    const tuned = finished('lenet-tune', rest.work);
    report(runs, tuned.length > 0 ? tuned : finished('lenet', rest.work).filter(isTuning));
  } else await run(rest);
}
