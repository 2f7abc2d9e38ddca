// The worker's side: a model, and what the page may ask of it.

import * as tf from '@tensorflow/tfjs-core';
import { type Callback, type LayersModel, loadLayersModel } from '@tensorflow/tfjs-layers';
import * as comlink from 'comlink/dist/esm/comlink.mjs';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { ready } from '#load';
import { OptionError, WorkerError } from '../errors.js';
import { artifactsOf } from '../files/model_files.js';
import { Control, type Progress } from './control.js';
import { type Answer, type Numbers, toWire } from './wire.js';

/** A compiled model, and the callbacks of its fits: methods and others. */
export interface Built {
  model: LayersModel;
  callbacks?: Callback[];
}

/** Samples for `fit` and `evaluate`. */
export interface Data {
  x: tf.Tensor;
  y: tf.Tensor;
  validationData?: [tf.Tensor, tf.Tensor];
}

/** What the worker's script brings along. */
export interface Service {
  /** Makes the model that `trainer.build(options)` asks for; compiled, if it is to be trained. */
  build?(options: never): Built | LayersModel | Promise<Built | LayersModel>;
  /** Makes the data that `trainer.fit({ data: options })` asks for. The tensors stay the script's: to be kept for the next fit, or disposed. */
  data?(options: never): Data | Promise<Data>;
  /** Callbacks for a model that the page sent with `trainer.load`. Its optimizer comes along where it was saved with it; else compile it here. */
  loaded?(model: LayersModel): Callback[] | undefined | Promise<Callback[] | undefined>;
  /** Whatever else the page may ask: `trainer.call(name, ...args)` runs it between two steps, with the model first. Results must be clonable. */
  functions?: Record<string, (model: LayersModel | undefined, ...args: never[]) => unknown>;
}

/** Options of a fit that go over as they are. */
export interface FitOptions {
  batchSize?: number | undefined;
  epochs?: number | undefined;
  initialEpoch?: number | undefined;
  shuffle?: boolean | undefined;
  validationSplit?: number | undefined;
}

export interface Fitted {
  /** By the name of each log, one number per epoch. */
  history: Record<string, number[]>;
  epoch: number[];
  /** Whether `cancel` ended it. */
  cancelled: boolean;
}

/** The numbers of a fit, or what the script's `data` gets. */
export type Samples = { x: Numbers; y: Numbers; validationData: [Numbers, Numbers] | undefined } | { data: unknown };

type Listener = (progress: Progress) => Promise<unknown>;

/** The artifacts of a model, from one side to the other. */
export type Artifacts = tf.io.ModelArtifacts;

function tensor({ data, shape }: Numbers): tf.Tensor {
  return tf.tensor(data, shape, data instanceof Int32Array ? 'int32' : 'float32');
}

async function dataOf(result: tf.Tensor): Promise<Numbers> {
  const data = await result.data();
  // bool comes as bytes. A copy, which can be given away.
  return { data: data instanceof Float32Array ? data.slice() : Int32Array.from(data), shape: result.shape };
}

class Host {
  #model: LayersModel | undefined;
  #callbacks: Callback[] = [];
  #fit: Control | undefined;
  /** What has the model to itself. */
  #taken: 'build' | 'load' | 'fit' | undefined;

  constructor(readonly service: Service) {}

  get model(): LayersModel {
    if (!this.#model) throw new WorkerError('trainer: expected a model: build(options) or load(artifacts) first');
    return this.#model;
  }

  /** One at a time: a model must not go while it trains, nor the slower of two come last. */
  async #alone<T>(what: 'build' | 'load' | 'fit', work: () => Promise<T>): Promise<T> {
    if (this.#taken) throw new WorkerError(`trainer.${what}: expected no ${this.#taken} under way; wait for it, or cancel() a fit`);
    this.#taken = what;
    try {
      return await work();
    } finally {
      this.#taken = undefined;
    }
  }

  build(options: unknown): Promise<void> {
    return this.#alone('build', async () => {
      if (!this.service.build) throw new OptionError('trainer.build', 'a worker whose serve({ build }) makes models', this.service);
      const built = await this.service.build(options as never);
      const isModel = typeof (built as LayersModel)?.predict === 'function';
      const { model, callbacks = [] } = isModel ? { model: built as LayersModel } : ((built ?? {}) as Built);
      if (typeof model?.predict !== 'function') throw new OptionError('serve build', 'a model, or { model, callbacks }', built);
      this.#replace(model, callbacks);
    });
  }

  /** From artifacts that came over, or from a URL that tfjs can load. */
  load(source: Artifacts | string): Promise<void> {
    return this.#alone('load', async () => {
      const model = await loadLayersModel(typeof source === 'string' ? source : tf.io.fromMemory(source));
      try {
        this.#replace(model, (await this.service.loaded?.(model)) ?? []);
      } catch (error) {
        if (this.#model !== model) model.dispose();
        throw error;
      }
    });
  }

  #replace(model: LayersModel, callbacks: Callback[]): void {
    if (this.#model && this.#model !== model) {
      const { optimizer, isOptimizerOwned } = this.#model as LayersModel & { isOptimizerOwned: boolean };
      this.#model.dispose();
      // tfjs disposes only those that it made itself.
      if (!isOptimizerOwned) optimizer?.dispose();
    }
    this.#model = model;
    this.#callbacks = callbacks;
  }

  fit(samples: Samples, options: FitOptions, listener: Listener | undefined, interval: number): Promise<Fitted> {
    return this.#alone('fit', async () => {
      const { model } = this;
      const control = new Control(listener, interval);
      this.#fit = control;
      const own: tf.Tensor[] = [];
      try {
        const { x, y, validationData } = await this.#tensors(samples, own);
        const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
        const callbacks = [...this.#callbacks, control];
        const validation = validationData ? { validationData } : {};
        const { history, epoch } = await model.fit(x, y, { verbose: 0, ...given, ...validation, callbacks, yieldEvery: 'never' });
        return { history: history as Record<string, number[]>, epoch, cancelled: control.cancelled };
      } finally {
        this.#fit = undefined;
        tf.dispose(own);
      }
    });
  }

  async #tensors(samples: Samples, own: tf.Tensor[]): Promise<Data> {
    if ('data' in samples) {
      if (!this.service.data)
        throw new OptionError('trainer.fit data', 'a worker whose serve({ data }) has data, or x and y', samples.data);
      return this.service.data(samples.data as never);
    }
    const made = (numbers: Numbers) => {
      own.push(tensor(numbers));
      return own[own.length - 1];
    };
    const { x, y, validationData } = samples;
    const [first, second] = [made(x), made(y)];
    return validationData
      ? { x: first, y: second, validationData: [made(validationData[0]), made(validationData[1])] }
      : { x: first, y: second };
  }

  get #running(): Control {
    if (!this.#fit) throw new WorkerError('trainer: expected a fit under way');
    return this.#fit;
  }

  async pause(): Promise<void> {
    this.#running.pause();
  }

  async resume(): Promise<void> {
    this.#running.resume();
  }

  /** Nothing to cancel is as good as cancelled. */
  async cancel(): Promise<void> {
    this.#fit?.cancel();
  }

  async predict(x: Numbers, batchSize: number | undefined): Promise<Numbers> {
    const { model } = this;
    const result = tf.tidy(() => {
      const input = tensor(x);
      return model.predict(input, batchSize === undefined ? {} : { batchSize });
    });
    if (Array.isArray(result)) {
      tf.dispose(result);
      throw new OptionError('trainer.predict', 'a model with one output', `${result.length} outputs`);
    }
    const numbers = await dataOf(result);
    result.dispose();
    return numbers;
  }

  /** Loss and metrics by name. */
  async evaluate(samples: Samples, batchSize: number | undefined): Promise<Record<string, number>> {
    const { model } = this;
    const own: tf.Tensor[] = [];
    try {
      const { x, y } = await this.#tensors(samples, own);
      const scalars = [model.evaluate(x, y, batchSize === undefined ? {} : { batchSize })].flat();
      const values = scalars.map((scalar) => scalar.dataSync()[0]);
      tf.dispose(scalars);
      return Object.fromEntries(model.metricsNames.map((name, i) => [name, values[i]]));
    } finally {
      tf.dispose(own);
    }
  }

  async save(url: string, includeOptimizer: boolean): Promise<void> {
    await this.model.save(url, { includeOptimizer });
  }

  async artifacts(includeOptimizer: boolean): Promise<Artifacts> {
    const { weightData, ...rest } = (await artifactsOf(this.model, includeOptimizer)) as Artifacts;
    return { ...rest, weightData: tf.io.CompositeArrayBuffer.join(weightData) };
  }

  async call(name: string, args: unknown[]): Promise<unknown> {
    const { functions = {} } = this.service;
    if (!Object.hasOwn(functions, name)) {
      throw new OptionError('trainer.call', `one of serve's functions (${Object.keys(functions).join(', ') || 'none'})`, name);
    }
    return functions[name](this.#model, ...(args as never[]));
  }
}

const held = new Map<string, Promise<void>>();

/** What a page asks first, until it is answered. `lock`, if not empty, is a name it will wait for. */
async function hello(lock: string): Promise<void> {
  // The browser gives a lock back when its holder is gone, however that came about: the only sign a page gets of it.
  if (lock && !held.has(lock)) {
    held.set(lock, new Promise<void>((taken) => void navigator.locks.request(lock, () => forever(taken))));
  }
  await held.get(lock);
  await ready();
}

function forever(began: () => void): Promise<never> {
  began();
  return new Promise(() => {});
}

type Answered<F extends (...args: never[]) => Promise<unknown>> = (...args: Parameters<F>) => Promise<Answer<Awaited<ReturnType<F>>>>;

/** The calls that a page can make. */
export type Remote = { [K in keyof Omit<Host, 'service' | 'model'>]: Answered<Host[K]> } & { hello: Answered<typeof hello> };

/**
 * To be called once by a worker's script, with what it can make:
 *
 * ```js
 * // trainer.worker.js
 * serve({ build: ({ density }) => ({ model: makeModel(density), callbacks: [topKast()] }) });
 * ```
 *
 * The page then has a `Trainer` by `connect(new Worker(…))`. Backends, custom layers and data loading belong in this script. In a Web Worker of a browser
 * or in a worker of Node.
 */
export function serve(service: Service): void {
  const host = new Host(service);
  const call: { [K in keyof Remote]: Remote[K] } = {
    hello: answering(hello),
    build: answering((options) => host.build(options)),
    load: answering((source) => host.load(source)),
    fit: answering(async (samples, options, listener, interval) => {
      try {
        return await host.fit(samples, options, listener, interval);
      } finally {
        // It came with a port of its own.
        (listener as Partial<comlink.ProxyMethods> | undefined)?.[comlink.releaseProxy]?.();
      }
    }),
    pause: answering(() => host.pause()),
    resume: answering(() => host.resume()),
    cancel: answering(() => host.cancel()),
    predict: answering(
      (x, batchSize) => host.predict(x, batchSize),
      ({ data }) => data.buffer,
    ),
    evaluate: answering((samples, batchSize) => host.evaluate(samples, batchSize)),
    save: answering((url, includeOptimizer) => host.save(url, includeOptimizer)),
    artifacts: answering(
      (includeOptimizer) => host.artifacts(includeOptimizer),
      ({ weightData }) => weightData as ArrayBuffer,
    ),
    call: answering((name, args) => host.call(name, args)),
  };
  comlink.expose(call, endpoint());
}

/** Comlink sends thrown errors as plain ones; these go as answers, to be made whole again. `given` is what is not needed here any more. */
function answering<A extends unknown[], T>(
  call: (...args: A) => Promise<T>,
  given?: (value: T) => ArrayBufferLike,
): (...args: A) => Promise<Answer<T>> {
  return async (...args) => {
    try {
      const value = await call(...args);
      return comlink.transfer({ value }, given ? [given(value) as ArrayBuffer] : []);
    } catch (error) {
      return { error: toWire(error) };
    }
  };
}

function endpoint(): comlink.Endpoint {
  // Not an import: bundlers for browsers would look for the module.
  const threads = globalThis.process?.getBuiltinModule?.('node:worker_threads');
  if (threads?.parentPort) return nodeEndpoint(threads.parentPort);
  if (threads || 'window' in globalThis) {
    throw new WorkerError('serve: expected to run in a worker, received the main thread; connect() is for there');
  }
  return globalThis as unknown as comlink.Endpoint;
}
