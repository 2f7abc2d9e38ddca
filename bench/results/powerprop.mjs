// Powerpropagation's notebook on MNIST (Schwarz et al. 2021, https://arxiv.org/abs/2110.00296): train dense, prune once, do not train again.
//
// node bench/results/powerprop.mjs [--short | --report] [--work DIR]

import * as tfl from '@tensorflow/tfjs-layers';
import { layers, optimizers, prune } from '../../dist/index.js';
import { check, markdown } from '../support.mjs';
import { chart } from './chart.mjs';
import {
  accuracy,
  finished,
  firstOf,
  free,
  image,
  isMain,
  mnist,
  options,
  percent,
  provenance,
  publish,
  start,
  sweep,
  train,
} from './support.mjs';

const alphas = [1, 2, 3, 4, 5];
const settings = alphas.map((alpha) => ({ alpha, seed: 1, steps: 50_000 }));
const FRACTIONS = 20;
/** geomspace(0.01, 1, 20), from all to few: pruning goes one way. */
const fractions = Array.from({ length: FRACTIONS }, (_, i) => 0.01 ** (i / (FRACTIONS - 1)));

// Sonnet widens its truncated normal so that what the cut leaves has the deviation asked for; tfjs does not.
const CUT = 0.87962566103423978;

function build(alpha, seed) {
  const layer = (units, activation, i) =>
    layers.dense({
      ...(i === 0 ? { inputShape: [784] } : {}),
      units,
      activation,
      alpha,
      density: 1,
      seed: seed * 1000 + i,
      kernelInitializer: tfl.initializers.varianceScaling({
        scale: 1 / CUT ** 2,
        mode: 'fanIn',
        distribution: 'normal',
        seed: seed * 1000 + i,
      }),
    });
  const model = tfl.sequential({ layers: [layer(300, 'relu', 0), layer(100, 'relu', 1), layer(10, 'softmax', 2)] });
  model.compile({ optimizer: optimizers.sgd(0.1), loss: 'categoricalCrossentropy' });
  return model;
}

async function one({ alpha, seed, steps }, { train: all, test }, keep = fractions) {
  const model = build(alpha, seed);
  // The notebook sets the last 5000 aside.
  const samples = firstOf(all, 55_000);
  const then = (step) => process.stderr.write(`alpha ${alpha}: step ${step}, ${percent(accuracy(model, firstOf(test, 1000)), 1)} %\n`);
  await train(model, samples, { steps, batch: 60, seed, every: 5000, then });
  const points = [];
  for (const density of keep) {
    if (density < 1) await prune(model, { density });
    points.push({ density, accuracy: accuracy(model, test) });
  }
  free(model);
  return { points };
}

function report(runs) {
  const at = (run, i) => run.result.points[i].accuracy;
  const rows = fractions.map((density, i) => [percent(density), ...runs.map((run) => percent(at(run, i)))]);
  publish(
    'powerprop',
    runs,
    `${provenance(runs)}\n\nTest accuracy in %:\n\n${markdown(['kept, %', ...runs.map(({ setting }) => `α = ${setting.alpha}`)], rows)}`,
  );
  const series = runs.map(({ setting, result }) => ({
    name: setting.alpha === 1 ? 'α = 1 (ordinary)' : `α = ${setting.alpha}`,
    points: result.points.map(({ density, accuracy }) => [100 * density, 100 * accuracy]),
  }));
  const title = 'MNIST, 784-300-100-10, pruned once after training';
  image(
    'powerprop',
    chart({ title, x: 'weights kept, % (log scale)', y: 'test accuracy, %', ticks: [100, 50, 20, 10, 5, 2, 1], top: 100, series }),
  );
}

export async function run({ short, work }) {
  await start();
  const data = await mnist();
  if (short) {
    const { points } = await one({ alpha: 2, seed: 1, steps: 300 }, data, [1, 0.3, 0.1]);
    console.log(points.map(({ density, accuracy }) => `${percent(density, 0)} % kept: ${percent(accuracy)} %`).join('\n'));
    check(points[0].accuracy > 0.8 && points[1].accuracy > 0.7, `accuracies ${JSON.stringify(points)}`);
    return;
  }
  report(await sweep('powerprop', settings, (setting) => one(setting, data), work));
}

if (isMain(import.meta.url)) {
  const { report: only, ...rest } = options();
  if (only) report(finished('powerprop', rest.work));
  else await run(rest);
}
