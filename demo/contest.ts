// The two networks: each in a worker of its own, both with the same time.

import { connect, type Progress, type Trainer } from 'tfjs-sparse/worker';
import { TEST_IMAGES } from './mnist.js';
import type { Snapshot } from './network.worker.js';
import type { Settings } from './settings.js';

/** Steps of the fit by which a run's length in steps is guessed: schedules of methods need it. */
const TRIAL_STEPS = 150;
/** Milliseconds after which it ends anyway. */
const TRIAL_TIME = 2000;
/** Milliseconds between two looks at a network. */
const LOOK = 500;
/** Test images that a look takes, so that it is over soon; all of them at the end. */
const SOME: Record<Settings['model'], number> = { mlp: 2000, lenet5: 500 };

export interface Look extends Snapshot {
  /** Of training: without looks and pauses. */
  seconds: number;
  steps: number;
  loss: number;
}

/** One network and its worker. */
export class Contestant {
  looks: Look[] = [];
  #trainer: Promise<Trainer> | undefined;
  #progress: Progress | undefined;
  #stopped = false;
  /** A running mean: the loss of single batches jumps. */
  #loss = Number.NaN;

  constructor(
    readonly dense: boolean,
    readonly base: string,
  ) {}

  /** The worker; a new one where the last has died. */
  get trainer(): Promise<Trainer> {
    this.#trainer ??= connect(new Worker(new URL('./network.worker.ts', import.meta.url), { type: 'module' }));
    this.#trainer.catch(() => {
      this.#trainer = undefined;
    });
    return this.#trainer;
  }

  /** Ends the worker, if there is one, whatever it does. */
  async end(): Promise<void> {
    const trainer = this.#trainer;
    this.#trainer = undefined;
    await trainer?.then((each) => each.terminate()).catch(() => {});
  }

  /** Ends a run early; what it has learnt stays. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await (await this.trainer).cancel();
  }

  get seconds(): number {
    return (this.#progress?.milliseconds ?? 0) / 1000;
  }

  async load(images: number): Promise<void> {
    this.#stopped = false;
    await (await this.trainer).call('load', this.base, images);
  }

  /** Trains for `settings.seconds`. `changed` is told after each look. */
  async run(settings: Settings, changed: () => void): Promise<void> {
    const trainer = await this.trainer;
    const { model, batch: batchSize, images, seconds } = settings;
    const { base } = this;
    this.looks = [];
    this.#progress = undefined;
    this.#loss = Number.NaN;
    // A schedule needs to know how many steps these seconds will be. The twin has none.
    const steps = this.dense ? 1 : Math.ceil((1000 * seconds) / (await this.#trial(trainer, settings)));
    if (this.#stopped) return;
    await trainer.build({ settings, dense: this.dense, steps });
    let over = false;
    if (this.#stopped) return;
    const fit = trainer
      .fit({
        data: { base, images, model },
        batchSize,
        epochs: 1e6,
        onProgress: async (progress) => {
          this.#progress = progress;
          this.#loss = Number.isNaN(this.#loss) ? progress.logs.loss : 0.8 * this.#loss + 0.2 * progress.logs.loss;
          if (!Number.isFinite(progress.logs.loss)) throw new Error('the loss is no number any more; another optimizer may do better');
          if (this.seconds >= seconds && !over) {
            over = true;
            await trainer.cancel();
          }
        },
      })
      .finally(() => {
        over = true;
      });
    const watch = async () => {
      for (let last = 0; !over; ) {
        await new Promise((resolve) => setTimeout(resolve, LOOK));
        if (over || !this.#progress || this.#progress.step === last) continue;
        last = this.#progress.step;
        await this.look(SOME[model]);
        changed();
      }
    };
    await Promise.all([fit, watch()]);
    await this.look(TEST_IMAGES);
    changed();
  }

  /** Milliseconds of a step, by those of a short fit that come after the engine has warmed up. */
  async #trial(trainer: Trainer, settings: Settings): Promise<number> {
    const { model, batch: batchSize, images } = settings;
    await trainer.build({ settings, dense: this.dense, steps: 1e9 });
    const seen: Progress[] = [];
    await trainer.fit({
      data: { base: this.base, images, model, count: Math.min(images, TRIAL_STEPS * batchSize) },
      batchSize,
      interval: 0,
      onProgress: async (progress) => {
        seen.push(progress);
        if (progress.milliseconds > TRIAL_TIME) await trainer.cancel();
      },
    });
    const [half, end] = [seen[seen.length >> 1], seen[seen.length - 1]];
    return half === end ? end.milliseconds / end.step : (end.milliseconds - half.milliseconds) / (end.step - half.step);
  }

  async look(images: number): Promise<void> {
    const trainer = await this.trainer;
    const snapshot = (await trainer.call('snapshot', images)) as Snapshot;
    const { step: steps = 0 } = this.#progress ?? {};
    this.looks.push({ ...snapshot, seconds: this.seconds, steps, loss: this.#loss });
  }
}
