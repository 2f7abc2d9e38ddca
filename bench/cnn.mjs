// One training step of two convolutional networks, dense and sparse, interleaved in one run.

import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import { er, erk, fastDense, optimizers, Random, toDense } from '../dist/index.js';
import { build as buildLayers, described, kernelsOf, LENET5, vgg } from './networks.mjs';
import { check, interleaved, markdown, record } from './support.mjs';

const NETWORKS = { 'LeNet-5': { batch: 64, ...LENET5 }, 'VGG-like': { batch: 32, ...vgg(32, 3, 64, [256]) } };

/** All layers at one density, or a tenth of all weights shared: by ER, as `train --model lenet5` does, or by ERK. */
const SPARSE = { 0.2: 0.2, 0.1: 0.1, 0.05: 0.05, '0.1 by ER': er, '0.1 by ERK': erk };

const CPU = 'tfjs-cpu';

const densitiesOf = (network, density) =>
  typeof density === 'function' ? density(kernelsOf(network), 0.1) : kernelsOf(network).map(() => density);

/** A compiled model, sparse where there are densities. */
const build = (network, densities) => compile(buildLayers(network, { densities }), densities !== undefined);

function compile(model, sparse) {
  model.compile({ optimizer: sparse ? optimizers.sgd(0.01) : tf.train.sgd(0.01), loss: 'categoricalCrossentropy' });
  return model;
}

/** Kernels are registered for the whole process: each step has its own, and puts others in place only after another's turn. */
let undo;
function useOurs(ours) {
  if (ours) undo ??= fastDense();
  else {
    undo?.();
    undo = undefined;
  }
}

/** One training step of a model; resolves to the loss. */
function stepOf(model, { x, y }, backend = 'wasm', ours = true) {
  return async () => {
    if (tf.getBackend() !== backend) await tf.setBackend(backend);
    useOurs(ours);
    return model.trainOnBatch(x, y);
  };
}

function dataOf({ batch, input }) {
  const random = new Random(3);
  const x = tf.tensor(
    Float32Array.from({ length: batch * tf.util.sizeFromShape(input) }, () => random.next()),
    [batch, ...input],
  );
  const classes = new Float32Array(batch * 10);
  for (let i = 0; i < batch; i++) classes[i * 10 + (i % 10)] = 1;
  return { x, y: tf.tensor2d(classes, [batch, 10]) };
}

/** At density 1 three steps have the losses of tfjs's own layers from the same weights. */
async function checkAnswer(network, data) {
  useOurs(true);
  const full = build(network, densitiesOf(network, 1));
  const plain = compile(await toDense(full), false);
  const [ours, theirs] = [stepOf(full, data), stepOf(plain, data)];
  for (let i = 0; i < 3; i++) {
    const [a, b] = [await ours(), await theirs()];
    check(Math.abs(a - b) < 1e-3, `step ${i + 1} at density 1: loss ${a}, dense ${b}`);
  }
  for (const model of [full, plain]) model.dispose();
}

/** What tfjs's wasm backend says of a dense step without our kernels; nothing if it does it. */
async function refusal(network, data) {
  const model = build(network);
  const said = await stepOf(model, data, 'wasm', false)().then(
    () => undefined,
    (error) => error.message.split('\n')[0],
  );
  model.dispose();
  return said;
}

export async function run({ short }) {
  tf.enableProdMode();
  await tf.setBackend('wasm');
  const results = [];
  const tables = [];
  for (const [name, network] of Object.entries(NETWORKS)) {
    const small = name === 'LeNet-5';
    const data = dataOf(network);
    if (small || !short) await checkAnswer(network, data);
    const shipped = await refusal(network, data);
    check(/Conv2DBackpropFilter.*not registered/.test(shipped ?? ''), `tfjs-wasm as shipped: ${shipped ?? 'it trains'}`);
    const steps = Object.fromEntries(
      Object.entries(SPARSE).map(([label, density]) => [`ours at ${label}`, stepOf(build(network, densitiesOf(network, density)), data)]),
    );
    steps['tfjs-wasm with fastDense()'] = stepOf(build(network), data);
    const first = {};
    for (const [label, step] of Object.entries(steps)) first[label] = await step();
    // So that the engine has compiled all of them for good.
    await interleaved(steps, { rounds: small ? 10 : 3, turn: short ? 0 : 300 });
    const quick = { rounds: 2, turn: 30 };
    const times = await interleaved(steps, short ? quick : { rounds: small ? 15 : 8, turn: small ? 150 : 300 });
    for (const [label, step] of Object.entries(steps)) {
      const last = await step();
      check(Number.isFinite(last) && last < first[label], `${label}: loss went from ${first[label]} to ${last}`);
    }
    // A step of the other takes ten minutes: of one image, times the batch.
    if (small || !short) {
      const part = small ? 1 : network.batch;
      const plain = stepOf(build(network), dataOf({ ...network, batch: network.batch / part }), 'cpu', false);
      check(Number.isFinite(await plain()), 'tfjs-cpu: the loss is no number');
      const { [CPU]: one } = await interleaved({ [CPU]: plain }, { rounds: small && !short ? 3 : 1 });
      times[part === 1 ? CPU : `${CPU}, one image × ${part}`] = { min: one.min * part, median: one.median * part };
      await tf.setBackend('wasm');
    }
    const dense = times['tfjs-wasm with fastDense()'].median;
    results.push({ name, batch: network.batch, shipped, times });
    const rows = Object.entries(times).map(([label, t]) => [label, ms(t.median), ms(t.min), `${(dense / t.median).toPrecision(2)}×`]);
    rows.splice(Object.keys(SPARSE).length + 1, 0, ['tfjs-wasm as shipped', 'cannot train', '', '']);
    const head = ['', 'median ms', 'min ms', 'as fast as dense'];
    tables.push(`**${name}, batch ${network.batch}**\n\n${markdown(head, rows)}`);
    console.log(tables.at(-1), '\n');
  }
  const made = Object.entries(NETWORKS).map(([name, network]) => `${name}: ${network.input.join('×')}, ${described(network)}`);
  const text = `One training step on made-up images, SGD, \`trainOnBatch\`, loss read back. ${made.join('. ')}. Ours at one density in all layers, or with a tenth of all weights shared by ER (convolutions stay almost dense) or ERK; the rivals dense. \`fastDense()\`, which gives tfjs this package's dense convolutions, products and pooling gradients (\`trainingKernels()\` is among them), is on for ours and for the dense wasm row. As shipped, tfjs's wasm backend has no gradient of a convolution's kernel and cannot train.\n\n${tables.join('\n\n')}`;
  if (!short) record('cnn', { results }, text);
}

const ms = (/** @type {number} */ value) => (value < 100 ? value.toFixed(2) : value.toFixed(0));
