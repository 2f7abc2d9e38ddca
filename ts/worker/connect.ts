// The page's side: a model in a worker, as an object with promises.

import * as comlink from 'comlink/dist/esm/comlink.mjs';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { checkNumber, OptionError, WorkerError } from '../errors.js';
import type { Progress } from './control.js';
import type { Artifacts, FitOptions, Fitted, Remote, Samples } from './serve.js';
import { type Answer, fromWire, type Numbers, type NumbersLike, plain } from './wire.js';

/** What {@link connect} needs of a worker of Node. */
export interface NodeWorker {
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'exit', listener: (code: number) => void): unknown;
  postMessage(message: unknown): void;
  terminate(): unknown;
}

export interface ConnectOptions {
  /** Milliseconds in which the script has to be there; Infinity for no limit. Default 30 000. */
  timeout?: number | undefined;
}

/** Samples by the script's `data(options)`, or sent along. */
export type SamplesLike =
  | { data: unknown }
  | {
      x: NumbersLike;
      y: NumbersLike;
      validationData?: [NumbersLike, NumbersLike] | undefined;
      /** Whether the worker gets the arrays themselves, not copies: at once, but gone here afterwards. Default false. */
      transfer?: boolean | undefined;
    };

export type TrainerFitArgs = SamplesLike &
  FitOptions & {
    onProgress?: ((progress: Progress) => unknown) | undefined;
    /** Least milliseconds from one progress to the next; the end of an epoch always comes. Default 100. */
    interval?: number | undefined;
  };

const ASK_MS = 100;

/** A model that lives and trains in a worker. Every promise rejects with what was thrown there, or with a WorkerError when the worker is gone. */
export class Trainer {
  readonly #worker: Worker | NodeWorker;
  readonly #remote: Remote;
  /** Why the worker is gone. */
  #gone: Error | undefined;
  /** What rejects each call under way. */
  readonly #calls = new Set<(reason: Error) => void>();
  /** When the last call is on its way. */
  #sent: Promise<unknown> = Promise.resolve();

  /** @internal */
  constructor(worker: Worker | NodeWorker) {
    this.#worker = worker;
    if ('on' in worker) {
      worker.on('error', (error: Error) => this.#end(new WorkerError(`the worker ended: ${error.message}`, { cause: error })));
      worker.on('exit', (code: number) => this.#end(new WorkerError(`the worker ended with exit code ${code}`)));
    } else {
      worker.addEventListener('error', (event) => {
        // Without a message where the script itself could not be loaded.
        const { message, filename, lineno } = event;
        const what = message ? `${message} (${filename}:${lineno})` : 'its script could not be loaded';
        this.terminate(new WorkerError(`the worker ended: ${what}`));
      });
    }
    const port = 'on' in worker ? nodeEndpoint(worker) : worker;
    this.#remote = comlink.wrap(port) as unknown as Remote;
  }

  /** @internal */
  async start(timeout: number): Promise<this> {
    // Node tells when a worker has ended.
    const lock = 'on' in this.#worker || !globalThis.navigator?.locks ? '' : `tfjs-sparse worker ${Math.random()}`;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let asking: ReturnType<typeof setInterval> | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const late = () => reject(new WorkerError(`the worker did not answer within ${timeout} ms: does its script call serve()?`));
        // Again and again: in browsers what is posted is lost while a module's script awaits something before it calls serve().
        const ask = () => void this.#ask(() => this.#remote.hello(lock)).then(resolve, reject);
        // Timers know no Infinity.
        if (timeout < 2 ** 31) timer = setTimeout(late, timeout);
        asking = setInterval(ask, ASK_MS);
        ask();
      });
    } catch (error) {
      this.terminate(error as Error);
      throw error;
    } finally {
      clearTimeout(timer);
      clearInterval(asking);
    }
    if (lock) {
      // Ours as soon as the worker, which holds it, is gone.
      navigator.locks.request(lock, () => this.#end(new WorkerError('the worker ended'))).catch(() => {});
    }
    return this;
  }

  #end(reason: Error): void {
    this.#gone ??= reason;
    for (const reject of this.#calls) reject(this.#gone);
  }

  /** Calls go over in the order in which they were made, also where one of them has to get its numbers together first. */
  async #ask<A, T>(call: (argument: A) => Promise<Answer<T>>, argument?: Promise<A>): Promise<T> {
    // It may fail before its turn has come.
    argument?.catch(() => {});
    const turn = this.#sent.then(() => argument as Promise<A>);
    const answer = turn.then(call);
    this.#sent = turn.catch(() => {});
    const got = await new Promise<Answer<T>>((resolve, reject) => {
      if (this.#gone) return reject(this.#gone);
      // Not a race with one promise for all calls: that would keep each answer for as long as the worker lives.
      this.#calls.add(reject);
      answer.then(resolve, reject).finally(() => this.#calls.delete(reject));
    });
    if ('error' in got) throw fromWire(got.error);
    return got.value;
  }

  /** Makes the model by the script's `build`, in the place of the one before. */
  build(options?: unknown): Promise<void> {
    return this.#ask(() => this.#remote.build(options));
  }

  /** Takes over a model: artifacts (see {@link artifacts}), or a URL that tfjs can load in the worker. */
  load(source: Artifacts | string): Promise<void> {
    return this.#ask(() => this.#remote.load(source));
  }

  /**
   * Trains, as `model.fit`. Between steps the worker answers other calls. The model keeps what it has learnt also when the fit ends early.
   */
  async fit(args: TrainerFitArgs): Promise<Fitted> {
    const { batchSize, epochs, initialEpoch, shuffle, validationSplit, onProgress, interval = 100 } = args;
    checkNumber('trainer.fit interval', interval, 0, Infinity);
    const listener = onProgress && comlink.proxy(async (progress: Progress) => void (await onProgress(progress)));
    const options = { batchSize, epochs, initialEpoch, shuffle, validationSplit };
    return this.#ask((samples) => this.#remote.fit(samples, options, listener, interval), samplesOf('trainer.fit', args));
  }

  /** Halts the fit after the step under way. Everything else can be asked meanwhile. */
  pause(): Promise<void> {
    return this.#ask(() => this.#remote.pause());
  }

  resume(): Promise<void> {
    return this.#ask(() => this.#remote.resume());
  }

  /** Ends the fit, paused or not, after the step under way: its promise resolves, with `cancelled` true. */
  cancel(): Promise<void> {
    return this.#ask(() => this.#remote.cancel());
  }

  /** The model's output, for models with one. */
  async predict(x: NumbersLike, { batchSize }: { batchSize?: number | undefined } = {}): Promise<Numbers> {
    return this.#ask((numbers) => this.#remote.predict(numbers, batchSize), plain('trainer.predict x', x));
  }

  /** Loss and metrics by name. */
  async evaluate(samples: SamplesLike, { batchSize }: { batchSize?: number | undefined } = {}): Promise<Record<string, number>> {
    return this.#ask((numbers) => this.#remote.evaluate(numbers, batchSize), samplesOf('trainer.evaluate', samples));
  }

  /** Saves where the worker can: `indexeddb://name` in browsers (workers have no localStorage and no downloads), `file://folder` on Node. */
  save(url: string, { includeOptimizer = false }: { includeOptimizer?: boolean } = {}): Promise<void> {
    return this.#ask(() => this.#remote.save(url, includeOptimizer));
  }

  /** The model as tfjs's artifacts, transferred: for `tf.loadLayersModel(tf.io.fromMemory(artifacts))` here, for a download, or for another worker. */
  artifacts({ includeOptimizer = false }: { includeOptimizer?: boolean } = {}): Promise<Artifacts> {
    return this.#ask(() => this.#remote.artifacts(includeOptimizer));
  }

  /** Runs one of the script's `functions`, between two steps. */
  call(name: string, ...args: unknown[]): Promise<unknown> {
    return this.#ask(() => this.#remote.call(name, args));
  }

  /** Ends the worker, whatever it does; calls under way reject. */
  terminate(reason: Error = new WorkerError('the worker was terminated')): void {
    this.#end(reason);
    this.#worker.terminate();
  }
}

async function samplesOf(what: string, samples: SamplesLike): Promise<Samples> {
  if ('data' in samples) return { data: samples.data };
  const pair = samples.validationData;
  const numbers = {
    x: await plain(`${what} x`, samples.x),
    y: await plain(`${what} y`, samples.y),
    validationData:
      pair &&
      ([await plain(`${what} validationData[0]`, pair[0]), await plain(`${what} validationData[1]`, pair[1])] as [Numbers, Numbers]),
  };
  if (!samples.transfer) return numbers;
  const buffers = [numbers.x, numbers.y, ...(numbers.validationData ?? [])].map(({ data }) => data.buffer as ArrayBuffer);
  return comlink.transfer(numbers, [...new Set(buffers)]);
}

/**
 * The trainer whose script, in `worker`, calls `serve`:
 *
 * ```js
 * const trainer = await connect(new Worker(new URL('./trainer.worker.js', import.meta.url), { type: 'module' }));
 * await trainer.build({ density: 0.1 });
 * const { history } = await trainer.fit({ x, y, epochs: 5, onProgress: ({ logs }) => show(logs.loss) });
 * ```
 *
 * `worker` is a Web Worker or a worker of `node:worker_threads`. Throws a WorkerError when its script cannot be loaded, throws, or does not serve; the
 * worker is terminated then.
 */
export function connect(worker: Worker | NodeWorker, { timeout = 30_000 }: ConnectOptions = {}): Promise<Trainer> {
  if (typeof worker?.postMessage !== 'function') return Promise.reject(new OptionError('connect', 'a worker', worker));
  if (!(timeout > 0)) return Promise.reject(new OptionError('connect timeout', 'a number > 0', timeout));
  return new Trainer(worker).start(timeout);
}
