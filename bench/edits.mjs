// What an edit of the pattern costs, against the training steps between two of them.

import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-wasm';
import { ggr, gse, layers, optimizers, Random, rigl, set, staticPattern, topKast } from '../dist/index.js';
import { check, interleaved, markdown, median, record } from './support.mjs';

const BATCH = 128;
const DENSITY = 0.1;
/** Every step an edit, at the full fraction: the dearest there is. */
const always = { every: 1, endStep: Infinity };

const methods = (schedule) => ({
  'SET, sign-split, drawn values': () => set(schedule),
  'SET, magnitude, zeros': () => set({ ...schedule, dropRule: 'magnitude' }),
  RigL: () => rigl(schedule),
  GGR: () => ggr(schedule),
  'GSE, uniform': () => gse(schedule),
  'Top-KAST, stored': () => topKast(),
  'Top-KAST, seeded': () => topKast(),
});

function network(widths, name, optimizer) {
  const model = tfl.sequential();
  const kast = name.startsWith('Top-KAST') ? { backwardDensity: 2 * DENSITY, theta: name.endsWith('seeded') ? 'seeded' : 'stored' } : {};
  widths.slice(1).forEach((units, i) => {
    const last = i === widths.length - 2;
    const shape = i ? {} : { inputShape: [widths[0]] };
    model.add(
      layers.dense({
        units,
        activation: last ? 'linear' : 'relu',
        density: DENSITY,
        kernelInitializer: 'heNormal',
        seed: i,
        ...shape,
        ...kast,
      }),
    );
  });
  model.compile({ optimizer: optimizer(), loss: 'meanSquaredError' });
  return model;
}

function data(widths) {
  const random = new Random(3);
  const draw = (features) =>
    tf.tensor2d(
      Float32Array.from({ length: BATCH * features }, () => random.next() - 0.5),
      [BATCH, features],
    );
  return { x: draw(widths[0]), y: draw(widths.at(-1)) };
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

const nnzOf = (model) => model.layers.reduce((sum, layer) => sum + layer.pattern.nnz, 0);

/** Milliseconds of the edits alone (median), and of whole steps, each with an edit after it (median and mean), over `rounds`. */
async function measure(widths, optimizer, rounds, schedule = always) {
  const { x, y } = data(widths);
  const rivals = {};
  const [edits, wholes] = [{}, {}];
  for (const [name, make] of Object.entries({ 'no edit': staticPattern, ...methods(schedule) })) {
    const model = network(widths, name, optimizer);
    const method = make().attach(model);
    const nnz = nnzOf(model);
    [edits[name], wholes[name]] = [[], []];
    rivals[name] = async () => {
      const start = performance.now();
      await model.trainOnBatch(x, y);
      const begin = performance.now();
      await method.step();
      edits[name].push(performance.now() - begin);
      wholes[name].push(performance.now() - start);
      check(nnzOf(model) === nnz, `${name} changed the number of weights from ${nnz} to ${nnzOf(model)}`);
    };
    await rivals[name]();
    const { grown, density } = method.report();
    check(name === 'no edit' ? grown === 0 : grown > 0, `${name} grew ${grown} weights at density ${density}`);
  }
  const times = await interleaved(rivals, { warmup: 2, rounds });
  tf.dispose([x, y]);
  return Object.fromEntries(
    Object.entries(times).map(([name, time]) => [name, { step: time.median, edit: median(edits[name]), mean: mean(wholes[name]) }]),
  );
}

const cells = (times) => {
  const step = times['no edit'].step;
  return Object.entries(times).map(([name, { edit }]) => [
    name,
    name === 'no edit' ? '' : edit.toFixed(2),
    name === 'no edit' ? step.toFixed(2) : (edit / step).toFixed(2),
  ]);
};

export async function run({ short }) {
  tf.enableProdMode();
  await tf.setBackend('wasm');
  const rounds = short ? 2 : 40;
  const sgd = () => optimizers.sgd(0.01);
  const layer = await measure([1024, 1024], sgd, rounds);
  const layerAdam = await measure([1024, 1024], () => optimizers.adam(0.001), rounds);
  const mlp = await measure([784, 1024, 1024, 10], sgd, rounds);
  // A run as RigL's authors make it: 30 % at first, along a cosine to nothing at 75 % of the steps, one edit in 100. Here the edits follow one another,
  // and each counts with its step, which also records activations for it.
  const run = await measure([784, 1024, 1024, 10], sgd, rounds, { every: 1, endStep: rounds + 3 });
  const share = (name) => (0.75 * (run[name].mean - run['no edit'].mean)) / (100 * run['no edit'].mean);
  const growth = share('RigL') - share('SET, magnitude, zeros');
  const text = [
    `One layer 1024×1024, density ${DENSITY}, batch ${BATCH}, 30 % of the weights dropped and grown at each edit (Top-KAST: B at ${2 * DENSITY}). Milliseconds of an edit, and the edit in training steps of a network of this one layer (whose step is in the first row).`,
    '',
    'SGD:',
    '',
    markdown(['', 'edit ms', 'steps'], cells(layer)),
    '',
    'Adam, whose moments move along:',
    '',
    markdown(['', 'edit ms', 'steps'], cells(layerAdam)),
    '',
    'All three layers of a perceptron 784-1024-1024-10, SGD:',
    '',
    markdown(['', 'edit ms', 'steps'], cells(mlp)),
    '',
    `Over a whole run of this perceptron with one edit in 100 steps, 30 % at first and less along the cosine until 75 % of the steps, RigL adds ${(100 * share('RigL')).toFixed(2)} %, of which growth by gradient instead of at random is ${(100 * growth).toFixed(2)} %; GGR adds ${(100 * share('GGR')).toFixed(2)} %.`,
  ].join('\n');
  console.log(text);
  if (!short) record('edits', { layer, layerAdam, mlp, share: { rigl: share('RigL'), growth, ggr: share('GGR') } }, text);
}
