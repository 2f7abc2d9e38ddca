// A run on disk: `model/`, replaced as a whole, with the model, its optimizer and where the run stands; `history.json` beside it.

import { mkdir, readFile, rmdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { FileError } from '../errors.js';
import { writeFileWhole, writeFolder } from '../files/atomic.js';
import { checkSaved, type TrainOptions } from './options.js';
import { checkNewFolder, checkWritable } from './out.js';
import { filesOf, loadModel } from './saved_model.js';

export interface EpochRecord {
  epoch: number;
  loss: number;
  testAccuracy: number;
  msPerStep: number;
  /** Density by the name of the sparse layer at the end of the epoch. Runs of 0.1.0 have none of these. */
  layers?: Record<string, number>;
  /** Of all sparse layers together. */
  density?: number;
  /** What the method moved in the epoch, and ITOP's R_s of the layers that it trains. Not in runs without a method. */
  dropped?: number;
  grown?: number;
  regrown?: number;
  explored?: number;
}

/** What a method has moved. */
export type MovedCounts = Record<'dropped' | 'grown' | 'regrown', number>;

/** Where a run stands: `batch` steps of `epoch` (from 0) are done. */
export interface RunState {
  options: TrainOptions;
  epoch: number;
  batch: number;
  /** Sum of the losses of the epoch so far, and the time spent in it. */
  lossSum: number;
  milliseconds: number;
  /** What moved in the epoch before the run was interrupted. */
  moved?: MovedCounts;
  history: EpochRecord[];
}

const FORMAT = 'tfjs-sparse run 1';

/** A folder that a run has for itself. */
export interface Reserved {
  folder: string;
  /** Gives it back: removes what was made for it, as long as nothing has been saved there. */
  release(): Promise<void>;
}

/** Makes the folder for a new run; refuses one that holds anything, and one that cannot be written. Of two runs at once only one gets it. */
export async function newRunFolder({ out, model, dense, method }: TrainOptions): Promise<Reserved> {
  const kind = dense ? 'dense' : method;
  return out === undefined ? nextFree('runs', model === 'mlp' ? kind : `${model}-${kind}`) : reserve(out);
}

async function nextFree(parent: string, name: string): Promise<Reserved> {
  await checkWritable(parent);
  const first = await made(parent);
  for (let n = 1; ; n++) {
    const folder = join(parent, `${name}-${n}`);
    // Also an empty one that is there: it is that of another run, or nobody knows whose.
    if (await takes(folder)) return { folder, release: () => removeEmpty(folder, first ?? folder) };
  }
}

async function reserve(folder: string): Promise<Reserved> {
  await checkNewFolder(folder);
  const first = await made(folder);
  const model = join(folder, 'model');
  if (!(await takes(model))) throw new FileError(`${folder}: expected a new or empty folder, received one that another run has just taken`);
  return { folder, release: () => removeEmpty(model, first ?? model) };
}

/** Makes a folder and the way to it. Returns the first that was missing. */
async function made(folder: string): Promise<string | undefined> {
  return mkdir(folder, { recursive: true }).catch((cause: NodeJS.ErrnoException) => {
    throw new FileError(`${folder}: cannot be written (${cause.code})`, { cause });
  });
}

/** Makes a folder; false if it is there. */
async function takes(folder: string): Promise<boolean> {
  try {
    await mkdir(folder);
    return true;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    throw new FileError(`${folder}: cannot be written (${code})`, { cause });
  }
}

/** Removes folders from `folder` up to `last`, until one holds something. */
async function removeEmpty(folder: string, last: string): Promise<void> {
  const end = resolve(last);
  try {
    for (let at = resolve(folder); ; at = dirname(at)) {
      await rmdir(at);
      if (at === end) return;
    }
  } catch {
    // It stays.
  }
}

export async function saveRun(folder: string, model: LayersModel, state: RunState): Promise<void> {
  const files = await filesOf(model);
  files['run.json'] = JSON.stringify({ format: FORMAT, ...state }, null, 2);
  await writeFolder(join(folder, 'model'), files);
  await writeFileWhole(join(folder, 'history.json'), JSON.stringify(state.history, null, 2));
}

/** The state of a run, and a way to its model, which needs the backend to be set first. */
export async function loadRun(folder: string): Promise<{ state: RunState; load(): Promise<LayersModel> }> {
  const file = join(folder, 'model', 'run.json');
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new FileError(`${file}: cannot be read (${cause.code}); expected the folder of a run of train`, { cause });
  });
  return { state: parseState(file, text), load: () => loadModel(join(folder, 'model')) };
}

function parseState(file: string, text: string): RunState {
  let state: RunState & { format?: string };
  try {
    state = JSON.parse(text);
  } catch (cause) {
    throw new FileError(`${file}: expected JSON, received ${(cause as Error).message}`, { cause });
  }
  const whole = (n: unknown) => Number.isSafeInteger(n) && (n as number) >= 0;
  if (
    state?.format !== FORMAT ||
    !isObject(state.options) ||
    !(Array.isArray(state.history) && state.history.every(isRecord)) ||
    !(whole(state.epoch) && whole(state.batch) && numbers(state, 'lossSum', 'milliseconds')) ||
    !(state.moved === undefined || (isObject(state.moved) && numbers(state.moved, 'dropped', 'grown', 'regrown')))
  ) {
    throw new FileError(`${file}: expected the state of a run (${FORMAT})`);
  }
  try {
    return { ...state, options: checkSaved(state.options) };
  } catch (cause) {
    throw new FileError(`${file}: ${(cause as Error).message}`, { cause });
  }
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
const numbers = (record: object, ...names: string[]) => names.every((name) => Number.isFinite((record as Record<string, unknown>)[name]));

function isRecord(record: unknown): boolean {
  if (!isObject(record) || !numbers(record, 'epoch', 'loss', 'testAccuracy', 'msPerStep')) return false;
  const later = ['density', 'dropped', 'grown', 'regrown', 'explored'].filter((name) => name in record);
  const { layers = {} } = record as { layers?: unknown };
  return numbers(record, ...later) && isObject(layers) && numbers(layers, ...Object.keys(layers));
}
