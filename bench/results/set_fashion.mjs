// SET's tutorial task: 2000 images of Fashion-MNIST (Mocanu et al. 2018, https://arxiv.org/abs/1707.04780), sparse that moves, sparse that rests, dense.
//
// node bench/results/set_fashion.mjs [--short | --report] [--data DIR] [--work DIR]

import * as tfl from '@tensorflow/tfjs-layers';
import { layers, optimizers, Random, set, setEpsilon, staticPattern } from '../../dist/index.js';
import { check, markdown } from '../support.mjs';
import { sigmoidError, thinned } from './authors.mjs';
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

const [TRAIN, TEST, BATCH, EPOCHS] = [2000, 1000, 40, 400];
const widths = [784, 1000, 1000, 1000, 10];
const shapes = widths.slice(1).map((units, i) => [widths[i], units]);
const kinds = ['set', 'static', 'dense'];

const settings = [
  ...[1, 2, 3].flatMap((seed) => ['set', 'static'].map((kind) => ({ kind, slope: 'authors', seed, epochs: EPOCHS }))),
  ...['set', 'static'].map((kind) => ({ kind, slope: 'exact', seed: 1, epochs: EPOCHS })),
  { kind: 'dense', slope: 'authors', seed: 1, epochs: EPOCHS },
];

// The authors' dense script sums gradients over the 40 images of a batch at rate 0.001; a mean is 40 times smaller.
const rateOf = (kind) => (kind === 'dense' ? 0.001 * BATCH : 0.05);

function build({ kind, slope, seed }) {
  const rate = rateOf(kind);
  // They take 2e-4 of each weight at each step, outside momentum and rate. Inside both, the same is 2e-4·(1 − 0.9)/rate, and tfjs's l2 has no half.
  const l2 = (2e-4 * 0.1) / rate / 2;
  const [first, second, third] = setEpsilon(shapes, 13);
  const shares = kind === 'dense' ? [1, 1, 1, 1] : [first, second, third, 1];
  const model = tfl.sequential();
  shares.forEach((density, i) => {
    model.add(
      layers.dense({
        ...(i === 0 ? { inputShape: [784] } : {}),
        name: i === 3 ? `output${seed}${kind}` : `hidden${i}${seed}${kind}`,
        units: widths[i + 1],
        // The loss applies the sigmoid.
        activation: i < 3 ? 'relu' : 'linear',
        kernelInitializer: tfl.initializers.randomNormal({ stddev: 0.1, seed: seed * 1000 + i }),
        kernelRegularizer: tfl.regularizers.l2({ l2 }),
        biasRegularizer: tfl.regularizers.l2({ l2 }),
        density,
        seed: seed * 1000 + i,
      }),
    );
    if (i < 3) model.add(thinned({ rate: 0.2, random: new Random(seed * 1000 + 100 + i) }));
  });
  model.compile({ optimizer: optimizers.momentum(rate, 0.9), loss: sigmoidError(slope) });
  return model;
}

async function one({ kind, slope, seed, epochs }, data) {
  const model = build({ kind, slope, seed });
  const perEpoch = data.train.count / BATCH;
  // After each epoch but the last.
  const hidden = model.layers.filter(({ name }) => name.startsWith('hidden') && kind === 'set').map(({ name }) => name);
  const method =
    kind === 'set' ? set({ every: perEpoch, endStep: Math.max(0, (epochs - 1) * perEpoch), seed, layers: hidden }) : staticPattern();
  method.attach(model);
  const history = [];
  const then = (step) => {
    history.push(accuracy(model, data.test));
    if (history.length % 40 === 0)
      process.stderr.write(`${kind} ${slope} ${seed}: epoch ${step / perEpoch}, ${percent(history.at(-1), 1)} %\n`);
  };
  await train(model, data.train, { steps: epochs * perEpoch, batch: BATCH, seed, method, every: perEpoch, then });
  method.detach();
  free(model);
  return { max: Math.max(...history), last: history.at(-1), history };
}

/** 2000 and 1000 images that the seed draws from all; the same for all kinds. */
function split(all, seed) {
  const order = Uint32Array.from({ length: all.count }, (_, i) => i);
  new Random(seed).shuffle(order);
  return { train: pick(all, order.subarray(0, TRAIN)), test: pick(all, order.subarray(TRAIN, TRAIN + TEST)) };
}

// Means of five seeds, from the authors' logs.
const published = { set: ['83.72', '82.56'], static: ['81.62', '80.60'], dense: ['84.00', '81.98'] };

function report(runs) {
  const rows = ['authors', 'exact'].flatMap((slope) =>
    kinds.flatMap((kind) => {
      const own = runs.filter(({ setting: s }) => s.kind === kind && s.slope === slope);
      if (own.length === 0) return [];
      const of = (what) => {
        const all = own.map(({ result }) => what(result));
        return `${percent(mean(all))}${all.length > 1 ? ` (${percent(Math.min(...all), 1)}–${percent(Math.max(...all), 1)})` : ''}`;
      };
      return [
        [
          kind,
          slope,
          own.length,
          of(({ max }) => max),
          of(({ last }) => last),
          of(({ history }) => mean(history.slice(-50))),
          ...(slope === 'authors' ? published[kind] : ['', '']),
        ],
      ];
    }),
  );
  const head = ['', 'slope', 'seeds', 'best epoch', 'last epoch', 'mean of the last 50', 'published best', 'published last'];
  publish('set_fashion', runs, `${provenance(runs)}\n\nTest accuracy in %, mean (least to most):\n\n${markdown(head, rows)}`);
}

export async function run({ short, work, data: folder }) {
  await start();
  if (short) {
    // MNIST in place of a download.
    const { train, test } = await mnist();
    const data = { train: firstOf(train, TRAIN), test: firstOf(test, TEST) };
    for (const kind of ['set', 'static']) {
      const { last } = await one({ kind, slope: 'authors', seed: 1, epochs: 6 }, data);
      console.log(`${kind}: ${percent(last)} %`);
      check(last > 0.25, `${kind}: accuracy ${last}`);
    }
    return;
  }
  const all = await fashion(folder);
  console.log(`${all.count} images`);
  report(await sweep('set_fashion', settings, (setting) => one(setting, split(all, setting.seed)), work));
}

if (isMain(import.meta.url)) {
  const { report: only, ...rest } = options({ data: { type: 'string' } });
  if (only) report(finished('set_fashion', rest.work));
  else await run(rest);
}
