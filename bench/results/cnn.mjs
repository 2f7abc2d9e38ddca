// LeNet-5 and a network like VGG on MNIST and Fashion-MNIST: a tenth of the weights beside all of them.
//
// node bench/results/cnn.mjs [--tune | --short | --report] [--data DIR] [--work DIR]

import { buildNetwork } from '../../dist/cli/network.js';
import { er, fastDense, optimizers, Random, rigl, staticPattern, topKast } from '../../dist/index.js';
import { build as buildLayers, described, kernelsOf, vgg } from '../networks.mjs';
import { check, markdown } from '../support.mjs';
import { fashion } from './fashion.mjs';
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
  pick,
  provenance,
  publish,
  start,
  sweep,
  train,
} from './support.mjs';

const [BATCH, EPOCHS, DENSITY] = [64, 5, 0.1];
/** Fashion-MNIST is harder: sparse networks still gain where dense ones hardly do. */
const LONGER = 12;
/** An epoch takes four times as long as one of LeNet-5. */
const VGG_EPOCHS = 4;
/** Chosen by `--tune` on images that are neither trained on nor tested with. */
const RATE = 0.003;
const sets = { mnist: 'MNIST', fashion: 'Fashion-MNIST' };

/** As `lenet.mjs` has them. All edits end with three quarters of the steps. */
const methods = {
  static: () => staticPattern(),
  rigl: ({ endStep, seed }) => rigl({ every: 100, endStep, seed }),
  topKast: () => topKast({ every: 10 }),
};

/** The default first, then whether other distributions do as well. */
const kinds = [
  ['dense', ''],
  ['topKast', 'er'],
  ['rigl', 'er'],
  ['static', 'er'],
  ['topKast', 'erk'],
  ['topKast', 'uniform'],
];

const main = kinds.slice(0, 4);
const settings = [
  [{}, main, Object.keys(sets), EPOCHS],
  [{}, kinds.slice(4), Object.keys(sets), EPOCHS],
  [{}, main, ['fashion'], LONGER],
  [{ network: 'vgg' }, main.slice(0, 2), ['mnist'], VGG_EPOCHS],
  [{ network: 'vgg' }, main.slice(0, 2), ['fashion'], LONGER],
  [{ network: 'vgg-512' }, main.slice(0, 2), ['fashion'], EPOCHS],
].flatMap(([network, some, names, epochs]) =>
  [1, 2, 3].flatMap((seed) =>
    names.flatMap((set) => some.map(([method, distribution]) => ({ ...network, set, method, distribution, rate: RATE, seed, epochs }))),
  ),
);

/** Rates, two epochs each, and then whether the gap on Fashion-MNIST closes. */
const tuning = [
  ...[
    ['dense', ''],
    ['topKast', 'er'],
    ['topKast', 'erk'],
  ].flatMap(([method, distribution]) => [0.001, 0.003].map((rate) => ({ set: 'mnist', method, distribution, rate, seed: 9, epochs: 2 }))),
  ...[
    ['dense', ''],
    ['topKast', 'er'],
  ].flatMap(([method, distribution]) => [5, 10].map((epochs) => ({ set: 'fashion', method, distribution, rate: RATE, seed: 9, epochs }))),
];

/**
 * A quarter as wide as the one of `bench/cnn.mjs`: as it is, an epoch would take a quarter of an hour. The second has hidden layers as VGG has them, two
 * of eight times the last convolution's filters.
 */
const VGG = { vgg: vgg(28, 1, 16, [64]), 'vgg-512': vgg(28, 1, 16, [512, 512]) };

function buildVgg({ network, method, rate, seed }) {
  const share = (density) => er(kernelsOf(VGG[network]), density);
  const sparse = {
    densities: share(DENSITY),
    ...(method === 'topKast' ? { backwardDensities: share(2 * DENSITY) } : {}),
  };
  const model = buildLayers(VGG[network], { seed, ...(method === 'dense' ? {} : sparse) });
  model.compile({ optimizer: optimizers.adam(rate), loss: 'categoricalCrossentropy' });
  return model;
}

/** The network that `train --model lenet5` builds, or the other one. */
function build({ network, method, distribution, rate, seed }) {
  if (network) return buildVgg({ network, method, rate, seed });
  return buildNetwork(
    {
      model: 'lenet5',
      layers: [],
      density: DENSITY,
      backwardDensity: 2 * DENSITY,
      distribution: distribution || 'er',
      method: method === 'topKast' ? 'top-kast' : method,
      alpha: 1,
      dense: method === 'dense',
      optimizer: 'adam',
      learningRate: rate,
      seed,
    },
    784,
    10,
  );
}

async function one(setting, { train: samples, test }) {
  const { method, rate, seed, epochs } = setting;
  const steps = Math.ceil((epochs * samples.count) / BATCH);
  const endStep = Math.floor(0.75 * steps);
  const model = build(setting);
  const trained = methods[method]?.({ endStep, seed }).attach(model);
  // A tenth of the rate once the pattern is at rest.
  const rateAt = (t) => (t <= endStep ? rate : rate / 10);
  const history = [];
  const every = Math.floor(steps / epochs);
  const then = () => history.push(accuracy(model, test));
  await train(model, samples, { steps, batch: BATCH, seed, method: trained, rate: rateAt, every, then });
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

/** The last 5000 training images stand in for the test. */
async function tune({ work, data: folder }) {
  await start();
  fastDense();
  const held = ({ train: all }) => ({ train: firstOf(all, 55_000), test: lastOf(all, 5000) });
  const data = { mnist: held(await mnist()), fashion: held(await fashionSplit(folder)) };
  await sweep('cnn-tune', tuning, (setting) => one(setting, data[setting.set]), work);
}

function report(runs, tuned) {
  const cell = (set, method, distribution, epochs, network) => {
    const same = runs.filter(({ setting: s }) => s.set === set && s.epochs === epochs && s.network === network);
    const all = same.filter(({ setting: s }) => s.method === method && s.distribution === distribution);
    if (all.length === 0) return ['', ''];
    const shares = all.map(({ result }) => result.accuracy);
    const range = `${percent(mean(shares))} (${percent(Math.min(...shares))}–${percent(Math.max(...shares))})`;
    const dense = (seed) => same.find(({ setting: s }) => s.method === 'dense' && s.seed === seed)?.result.accuracy;
    const gap = mean(all.map(({ setting, result }) => result.accuracy - (dense(setting.seed) ?? Number.NaN)));
    const of = all.length === 3 ? '' : `, ${all.length} of 3 seeds`;
    return [`${range}${of}`, method === 'dense' ? '' : `${gap < 0 ? '−' : '+'}${percent(Math.abs(gap))}`];
  };
  const table = (some, columns, network) => {
    const rows = some
      .map(([method, how]) => [
        `${method}${how && `, ${how}`}`,
        ...columns.flatMap(([set, epochs]) => cell(set, method, how, epochs, network)),
      ])
      .filter(([, ...cells]) => cells.some((text) => text !== ''));
    return markdown(['', ...columns.flatMap(([set, epochs]) => [`${sets[set]}, ${epochs} epochs`, 'against dense'])], rows);
  };
  const tunedRows = tuning.map((setting) => {
    const found = tuned.find((run) => JSON.stringify(run.setting) === JSON.stringify(setting));
    const { set, method, distribution, rate, epochs } = setting;
    return [sets[set], `${method}${distribution && `, ${distribution}`}`, rate, epochs, found ? percent(found.result.accuracy) : ''];
  });
  const parts = [
    provenance(runs),
    `Test accuracy in %, mean over seeds (least to most), and how far that is from dense with the same seeds, in points. LeNet-5:\n\n${table(kinds, [...Object.keys(sets).map((set) => [set, EPOCHS]), ['fashion', LONGER]])}`,
    `Like VGG, a quarter as wide (${described(VGG.vgg)}):\n\n${table(main, Object.entries({ mnist: VGG_EPOCHS, fashion: LONGER }), 'vgg')}`,
    `With hidden layers as VGG has them (${described(VGG['vgg-512'])}):\n\n${table(main, [['fashion', EPOCHS]], 'vgg-512')}`,
    `On 5000 images held back from training, seed 9, accuracy in %; by the first six the rate was chosen:\n\n${markdown(['', 'network', 'rate', 'epochs', 'accuracy'], tunedRows)}`,
  ];
  publish('cnn', [...runs, ...tuned], parts.join('\n\n'));
}

const isTuning = ({ setting }) => setting.seed === 9;

export async function run({ short, work, data: folder }) {
  await start();
  // Products, convolutions and pooling of tfjs at their best.
  fastDense();
  if (short) {
    const { train, test } = await mnist();
    const small = { train: firstOf(train, 3000), test: firstOf(test, 1000) };
    for (const method of ['dense', ...Object.keys(methods)]) {
      const { accuracy } = await one({ method, distribution: 'er', rate: RATE, seed: 1, epochs: 3 }, small);
      console.log(`${method}: ${percent(accuracy)} %`);
      check(accuracy > 0.6, `${method}: accuracy ${accuracy}`);
    }
    return;
  }
  const data = { mnist: await mnist(), fashion: await fashionSplit(folder) };
  const runs = await sweep('cnn', settings, (setting) => one(setting, data[setting.set]), work);
  report(runs, finished('cnn-tune', work));
}

if (isMain(import.meta.url)) {
  const { report: only, tune: tunes, ...rest } = options({ data: { type: 'string' }, tune: { type: 'boolean', default: false } });
  if (tunes) await tune(rest);
  else if (only) {
    const runs = finished('cnn', rest.work).filter((run) => !isTuning(run));
    const tuned = finished('cnn-tune', rest.work);
    report(runs, tuned.length > 0 ? tuned : finished('cnn', rest.work).filter(isTuning));
  } else await run(rest);
}
