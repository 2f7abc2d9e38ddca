// Workers of Node, running what was built; browsers are tested with the packed tarball.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { layers, OptionError, optimizers, ShapeError, topKast, WorkerError } from '../../ts/index.js';
import { connect, type Progress, serve, type Trainer } from '../../ts/worker.js';
import '@tensorflow/tfjs-backend-cpu';

let trainer: Trainer;

const script = new URL('./trainer.mjs', import.meta.url);
/** tfjs greets every Node thread with an advertisement. */
const quiet = { stderr: true, stdout: true };

beforeAll(() => tf.setBackend('cpu'));
beforeEach(async () => {
  trainer = await connect(new Worker(script, quiet));
});
afterEach(() => trainer.terminate());

function samples(count: number) {
  const x = Float32Array.from({ length: 8 * count }, (_, i) => Math.sin(i * i));
  const y = Float32Array.from({ length: 2 * count }, (_, i) => Number(x[8 * (i >> 1)] > 0 === (i % 2 === 0)));
  return { x: { data: x, shape: [count, 8] }, y: { data: y, shape: [count, 2] } };
}

test('a model trained in a worker is the one trained here, bit for bit', async () => {
  const model = tfl.sequential({
    layers: [
      layers.dense({ inputShape: [8], units: 16, activation: 'relu', density: 0.3, backwardDensity: 0.6, seed: 1, name: 'hidden' }),
      layers.dense({ units: 2, activation: 'softmax', density: 0.5, seed: 2, name: 'output' }),
    ],
  });
  model.compile({ optimizer: optimizers.adam(0.05), loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
  const { x, y } = samples(64);
  const [xs, ys] = [tf.tensor(x.data, [64, 8]), tf.tensor(y.data, [64, 2])];
  const here = await model.fit(xs, ys, { epochs: 3, batchSize: 16, shuffle: false, verbose: 0, callbacks: [topKast()] });

  await trainer.build({ optimizer: 'adam' });
  const seen: Progress[] = [];
  const options = { epochs: 3, batchSize: 16, shuffle: false, interval: 0 };
  const there = await trainer.fit({ x, y: ys, ...options, onProgress: (progress) => seen.push(progress) });
  expect(there).toEqual({ history: here.history, epoch: [0, 1, 2], cancelled: false });
  const ends = seen.filter(({ epochEnd }) => epochEnd);
  expect(ends.map(({ epoch, step, logs }) => [epoch, step, logs.loss, logs.density])).toEqual(
    [0, 1, 2].map((epoch) => [epoch, 4 * (epoch + 1), here.history.loss[epoch], here.history.density[epoch]]),
  );
  expect(seen.length).toBeGreaterThan(3);
  for (const { epochs, stepsPerEpoch, milliseconds } of seen) {
    expect([epochs, stepsPerEpoch, milliseconds > 0]).toEqual([3, 4, true]);
  }

  const expected = model.predict(xs) as tf.Tensor;
  expect(await trainer.predict(x)).toEqual({ data: expected.dataSync(), shape: [64, 2] });
  const [loss, accuracy] = (model.evaluate(xs, ys) as tf.Scalar[]).map((scalar) => scalar.dataSync()[0]);
  expect(await trainer.evaluate({ x, y })).toEqual({ loss, acc: accuracy });
  // Out of the worker, and into another.
  const artifacts = await trainer.artifacts({ includeOptimizer: true });
  const copy = await tfl.loadLayersModel(tf.io.fromMemory(artifacts));
  expect((copy.predict(xs) as tf.Tensor).dataSync()).toEqual(expected.dataSync());
  await model.fit(xs, ys, { epochs: 4, initialEpoch: 3, batchSize: 16, shuffle: false, verbose: 0, callbacks: [topKast()] });
  const second = await connect(new Worker(script, quiet));
  await second.load(artifacts);
  await second.fit({ x, y, epochs: 4, initialEpoch: 3, batchSize: 16, shuffle: false });
  expect((await second.predict(x)).data).toEqual((model.predict(xs) as tf.Tensor).dataSync());
  second.terminate();
  model.dispose();
  copy.dispose();
});

test('pause, questions meanwhile, resume, cancel', async () => {
  await trainer.build();
  let steps = 0;
  const fitted = trainer.fit({
    ...samples(64),
    epochs: 1e6,
    batchSize: 16,
    interval: 0,
    onProgress: (progress) => {
      steps = progress.step;
    },
  });
  const until = async (reached: () => boolean) => {
    while (!reached()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await until(() => steps > 0);
  await trainer.pause();
  // What was on its way when it halted.
  expect((await trainer.predict(samples(3).x)).shape).toEqual([3, 2]);
  const halted = (await trainer.call('density', 'hidden')) as number;
  expect(halted).toBe(0.3);
  const [first, second] = [await trainer.artifacts(), await trainer.artifacts()];
  expect(new Uint8Array(first.weightData as ArrayBuffer)).toEqual(new Uint8Array(second.weightData as ArrayBuffer));
  const before = steps;
  await trainer.resume();
  await until(() => steps > before + 10);
  await trainer.pause();
  await trainer.cancel();
  expect(await fitted).toMatchObject({ cancelled: true });
  await trainer.cancel();
  await expect(trainer.pause()).rejects.toThrow('trainer: expected a fit under way');
});

test('a pause asked in the same breath does not overtake the fit', async () => {
  await trainer.build();
  let steps = 0;
  const onProgress = ({ step }: Progress) => {
    steps = step;
  };
  const fitted = trainer.fit({ ...samples(64), epochs: 1e6, batchSize: 16, interval: 0, onProgress });
  await trainer.pause();
  // What was on its way arrives; no more comes.
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(steps).toBe(1);
  await trainer.cancel();
  expect((await fitted).cancelled).toBe(true);
});

test('a pause that comes after cancel, within the same step, does not hold up its end', async () => {
  await trainer.build();
  const fitted = trainer.fit({ ...samples(64), epochs: 1e6, batchSize: 16 });
  const cancelled = trainer.cancel();
  // Refused where the fit has ended by then.
  const paused = trainer.pause().catch(() => {});
  expect((await fitted).cancelled).toBe(true);
  await Promise.all([cancelled, paused]);
});

test('a model is built, loaded and trained by one call at a time, in the order of the calls', async () => {
  const slow = trainer.build({ units: 8, wait: 50 });
  await expect(trainer.build({ units: 24 })).rejects.toThrow('trainer.build: expected no build under way');
  await expect(trainer.fit(samples(8))).rejects.toThrow('trainer.fit: expected no build under way');
  await slow;
  const fitted = trainer.fit({ ...samples(8), epochs: 1e6 });
  await expect(trainer.build({ units: 24 })).rejects.toThrow('trainer.build: expected no fit under way; wait for it, or cancel() a fit');
  await expect(trainer.load(await trainer.artifacts())).rejects.toThrow('trainer.load: expected no fit under way');
  await trainer.cancel();
  expect((await fitted).cancelled).toBe(true);
});

test('a listener that never answers holds up an epoch, and no cancel', async () => {
  await trainer.build();
  const silent = new Promise(() => {});
  const fitted = trainer.fit({ ...samples(8), epochs: 10, onProgress: () => silent });
  await new Promise((resolve) => setTimeout(resolve, 100));
  await trainer.cancel();
  expect(await fitted).toMatchObject({ cancelled: true, epoch: [0] });
});

test('a listener that refuses the end of the last epoch is heard', async () => {
  await trainer.build();
  const onProgress = async ({ epochEnd }: Progress) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (epochEnd) throw new RangeError('enough');
  };
  await expect(trainer.fit({ ...samples(8), interval: 0, onProgress })).rejects.toThrow(new RangeError('enough'));
});

test('a part of an array goes over alone', async () => {
  await trainer.build();
  const { x, y } = samples(8);
  const whole = new Float32Array(1000);
  whole.set(x.data, 100);
  const part = { data: whole.subarray(100, 164), shape: [8, 8] };
  expect((await trainer.predict(part)).data).toEqual((await trainer.predict(x)).data);
  await trainer.fit({ x: part, y, transfer: true });
  expect(whole.length).toBe(1000);
});

test('a tensor is not given away', async () => {
  await trainer.build();
  const { x, y } = samples(8);
  const xs = tf.tensor(x.data.slice(), [8, 8]);
  await trainer.fit({ x: xs, y, transfer: true });
  expect(xs.dataSync()).toEqual(x.data);
  xs.dispose();
});

test('data by the script, or sent and given away; no tensor stays', async () => {
  await trainer.build();
  const numbers = samples(32);
  await trainer.fit({ ...numbers, epochs: 1 });
  const before = await trainer.call('tensors');
  expect(numbers.x.data.length).toBe(256);
  await trainer.fit({ ...numbers, validationData: [samples(4).x, samples(4).y], transfer: true });
  expect(numbers.x.data.length).toBe(0);
  await trainer.evaluate(samples(8));
  await trainer.build();
  await trainer.fit(samples(8));
  expect(await trainer.call('tensors')).toBe(before);
  expect((await trainer.fit({ data: { count: 16 } })).history.loss).toHaveLength(1);
});

test('saves where the worker can, loads from there', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'worker-'));
  await trainer.build({ seed: 7 });
  await trainer.save(`file://${folder}/model`);
  const { data } = await trainer.predict(samples(5).x);
  await trainer.build({ seed: 8 });
  expect((await trainer.predict(samples(5).x)).data).not.toEqual(data);
  await trainer.load(`file://${folder}/model`);
  expect((await trainer.predict(samples(5).x)).data).toEqual(data);
  rmSync(folder, { recursive: true });
  await expect(trainer.load(`file://${folder}/none`)).rejects.toMatchObject({ name: 'FileError' });
  expect((await trainer.predict(samples(5).x)).data).toEqual(data);
});

test('errors come back as themselves', async () => {
  const thrown = async (name: string) => trainer.call(name).catch((error: unknown) => error);
  const misshape = (await thrown('misshape')) as ShapeError;
  expect(misshape).toBeInstanceOf(ShapeError);
  expect(misshape).toMatchObject({ message: 'a thing: expected [2, *], received [3, 4]', expected: [2, '*'], received: [3, 4] });
  expect(misshape.stack).toContain('trainer.mjs');
  const caused = (await thrown('caused')) as TypeError;
  expect(caused).toBeInstanceOf(TypeError);
  expect(caused.cause).toBeInstanceOf(RangeError);
  expect(((await thrown('cyclic')) as Error).cause).toMatchObject({ message: 'round and round' });
  expect(await thrown('text')).toEqual(new Error('just text'));
  await expect(trainer.call('none')).rejects.toBeInstanceOf(OptionError);
  await expect(trainer.predict(samples(1).x)).rejects.toThrow('expected a model');
  await trainer.build();
  await expect(trainer.predict({ data: new Float32Array(3), shape: [1, 4] })).rejects.toThrow(
    'trainer.predict x shape: expected one of 3 elements',
  );
  await expect(trainer.predict({ data: new Float64Array(8) as unknown as Float32Array, shape: [1, 8] })).rejects.toThrow(
    'trainer.predict x: expected a tensor, or { data: Float32Array or Int32Array, shape }, received Float64Array',
  );
  await expect(trainer.predict({ data: new Float32Array(6), shape: [2, 3] })).rejects.toThrow();
  const refusing = () => {
    throw new SyntaxError('the page is tired');
  };
  await expect(trainer.fit({ ...samples(8), onProgress: refusing })).rejects.toThrow(new SyntaxError('the page is tired'));
  // None of this has hurt it.
  expect((await trainer.fit(samples(8))).cancelled).toBe(false);
});

test('a worker that dies says so, in what is under way and in what comes', async () => {
  const died = trainer.call('die');
  await expect(died).rejects.toThrow('the worker ended with exit code 3');
  await expect(trainer.build()).rejects.toBeInstanceOf(WorkerError);
});

test('terminated calls reject', async () => {
  await trainer.build();
  const fitted = trainer.fit({ ...samples(8), epochs: 1e6 });
  trainer.terminate();
  await expect(fitted).rejects.toThrow('the worker was terminated');
});

test('a script that is missing, throws, or does not serve', async () => {
  const none = new URL('./none.mjs', import.meta.url);
  await expect(connect(new Worker(none, quiet))).rejects.toThrow(/the worker ended: .*none\.mjs/);
  const broken = new Worker('throw new Error("not today")', { ...quiet, eval: true });
  await expect(connect(broken)).rejects.toMatchObject({ name: 'WorkerError', message: 'the worker ended: not today' });
  const idle = new Worker('setInterval(() => {}, 1000)', { ...quiet, eval: true });
  await expect(connect(idle, { timeout: 50 })).rejects.toThrow('did not answer within 50 ms: does its script call serve()?');
  await expect(connect(broken, { timeout: Number.NaN })).rejects.toThrow('connect timeout: expected a number > 0, received NaN');
  (await connect(new Worker(script, quiet), { timeout: Number.POSITIVE_INFINITY })).terminate();
  await expect(connect({} as Worker)).rejects.toThrow('connect: expected a worker');
  expect(() => serve({})).toThrow('expected to run in a worker');
});
