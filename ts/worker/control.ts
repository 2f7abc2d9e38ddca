// The callback by which a fit in a worker can be watched, paused and cancelled.

import type { Tensor } from '@tensorflow/tfjs-core';
import type { Logs } from '@tensorflow/tfjs-layers';
import { Callback } from '@tensorflow/tfjs-layers';
import { nextTask } from '../topology/next_task.js';

/** Where a fit is. */
export interface Progress {
  /** From 0. */
  epoch: number;
  epochs: number;
  /** Steps done since `fit` began. */
  step: number;
  stepsPerEpoch: number;
  /** What tfjs logs: after a step its `loss` and metrics, at the end of an epoch their means, `val_…`, and what methods report. */
  logs: Record<string, number>;
  /** Whether this is the end of an epoch. */
  epochEnd: boolean;
  /** Time spent in steps so far: without pauses, validation and what else the worker was asked. */
  milliseconds: number;
}

/** Messages get their turn about once a frame. */
const YIELD_MS = 16;

export class Control extends Callback {
  #cancelled = false;
  #cancel: () => void = () => {};
  readonly #cancelling = new Promise<void>((resolve) => {
    this.#cancel = resolve;
  });
  #resume: (() => void) | undefined;
  #paused: Promise<void> | undefined;
  #epoch = 0;
  #step = 0;
  #began = 0;
  #milliseconds = 0;
  #yielded = 0;
  #sent = 0;
  #sending: Promise<unknown> | undefined;
  #refused: { error: unknown } | undefined;

  /** `listen` gets at most one progress per `interval` ms, besides the end of each epoch. */
  constructor(
    readonly listen: ((progress: Progress) => Promise<unknown>) | undefined,
    readonly interval: number,
  ) {
    super();
  }

  get cancelled(): boolean {
    return this.#cancelled;
  }

  pause(): void {
    // A fit that is to end has nobody left who would resume it.
    if (this.#cancelled) return;
    this.#paused ??= new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  resume(): void {
    this.#resume?.();
    this.#paused = undefined;
  }

  cancel(): void {
    this.#cancelled = true;
    this.#cancel();
    this.resume();
  }

  override async onEpochBegin(epoch: number): Promise<void> {
    this.#epoch = epoch;
  }

  override async onBatchBegin(): Promise<void> {
    this.#began = performance.now();
  }

  override async onBatchEnd(_batch: number, logs?: Logs): Promise<void> {
    const now = performance.now();
    this.#milliseconds += now - this.#began;
    this.#step++;
    if (now - this.#sent > this.interval && !this.#sending) this.#send(logs, false);
    if (now - this.#yielded > YIELD_MS) {
      await nextTask();
      this.#yielded = performance.now();
    }
    while (this.#paused) await this.#paused;
    if (this.#cancelled) this.model.stopTraining = true;
    if (this.#refused) throw this.#refused.error;
  }

  override async onEpochEnd(_epoch: number, logs?: Logs): Promise<void> {
    await this.#answered();
    this.#send(logs, true);
    await this.#answered();
  }

  /** A listener that is late is waited for, unless the fit is cancelled. */
  async #answered(): Promise<void> {
    await Promise.race([this.#sending, this.#cancelling]);
    if (this.#cancelled) this.model.stopTraining = true;
    if (this.#refused) throw this.#refused.error;
  }

  /** Steps do not wait for the page; a listener that throws ends the fit with its error. */
  #send(logs: Logs | undefined, epochEnd: boolean): void {
    if (!this.listen) return;
    this.#sent = performance.now();
    const { epochs, steps, samples, batchSize } = this.params as unknown as Record<string, number>;
    const progress = {
      epoch: this.#epoch,
      epochs,
      step: this.#step,
      stepsPerEpoch: steps ?? Math.ceil(samples / batchSize),
      logs: loggedNumbers(logs),
      epochEnd,
      milliseconds: this.#milliseconds,
    };
    this.#sending = this.listen(progress).then(
      () => {
        this.#sending = undefined;
      },
      (error) => {
        this.#refused = { error };
      },
    );
  }
}

/** Among the logs of a step are tensors and counters of tfjs. */
function loggedNumbers(logs: Logs = {}): Record<string, number> {
  const numbers: Record<string, number> = {};
  for (const [name, value] of Object.entries(logs as Record<string, number | Tensor>)) {
    if (name !== 'batch' && name !== 'size') numbers[name] = typeof value === 'number' ? value : value.dataSync()[0];
  }
  return numbers;
}
