// What every training method shares: taking charge of layers, its turn after each step, and what it reports.

import * as tf from '@tensorflow/tfjs-core';
import { Callback, type LayersModel } from '@tensorflow/tfjs-layers';
import { checkFlag, checkOptions, OptionError } from '../errors.js';
import { type Carry, carrierOf } from './carry.js';
import { type Edit, editAll, type Moved } from './edit.js';
import { nextTask } from './next_task.js';
import { Schedule, type ScheduleArgs } from './schedule.js';
import { type SparseLayer, sparseLayers } from './sparse_layer.js';

/** What happened to the layers of a method since it was last asked. */
export interface Report extends Moved {
  /** Weights in the forward pass over all positions. */
  density: number;
  /**
   * ITOP's R_s: the share of all positions that have ever had a weight (Liu et al. 2021, https://arxiv.org/abs/2102.02887). Undefined where not tracked.
   */
  explored: number | undefined;
  /** Density by the name of the layer. */
  layers: Record<string, number>;
}

export interface TrainingArgs {
  /** Names of the layers to train. Default: every sparse layer that the method can train. */
  layers?: readonly string[] | undefined;
  /**
   * Whether to record which positions have had a weight: one bit for each position of a layer, as a weight `explored` of the layer (so that `getWeights()`
   * taken before a first fit does not fit into `setWeights()` after it), also in saved models. Default true.
   */
  track?: boolean | undefined;
}

/** As tfjs's `yieldEvery: 'auto'` aims at: about one frame. */
const YIELD_MS = 16;

/**
 * A training method. As a callback of `model.fit`:
 * ```js
 * await model.fit(xs, ys, { epochs: 10, callbacks: [method] });
 * ```
 * In a loop of your own: `method.attach(model, optimizer)`, then `await method.step()` after each step of the optimizer, and `method.detach()` at the
 * end; after a fit that threw, too, or layers keep what the method has set for the next step, such as Top-KAST's penalty. What a method does at a step
 * depends on its options, the step count of the optimizer and the layers, all of which are saved with a model (`includeOptimizer: true`): a resumed run goes
 * on as an uninterrupted one would.
 */
export abstract class Training extends Callback {
  abstract readonly name: string;
  /** The name under which `resume` makes it again. */
  protected abstract readonly savedAs: string | undefined;
  /** Everything needed to make the same method again; plain numbers, strings and booleans. */
  protected abstract options(): Record<string, unknown>;
  /** Whether the method can train this layer; if not, why. */
  protected abstract refuses(layer: SparseLayer): string | undefined;
  /** Called when the layers are known, with the steps that the optimizer has done. Throws where options do not fit. */
  protected begin(_layers: readonly SparseLayer[], _step: number): void {}
  /** What is due after step `step`. */
  protected abstract after(step: number, layers: readonly SparseLayer[]): Promise<void> | void;
  /** Called before each step, with its number. */
  protected before(_step: number, _layers: readonly SparseLayer[]): void {}
  /** Called when the layers are given back. */
  protected end(_layers: readonly SparseLayer[]): void {}

  readonly #names: readonly string[] | undefined;
  readonly #track: boolean;
  /** The options as they were given. */
  readonly #given: object;
  #layers: SparseLayer[] = [];
  #optimizer: tf.Optimizer | undefined;
  /** The model, if its optimizer is the one that steps. */
  #compiled: LayersModel | undefined;
  #carry: Carry | undefined;
  #schedule: Schedule | undefined;
  #moved: Moved = { dropped: 0, grown: 0, regrown: 0 };
  #yielded = 0;
  #inFit = false;
  #stepping = false;

  constructor(args: TrainingArgs = {}) {
    super();
    const { layers, track = true } = args;
    if (layers !== undefined && !Array.isArray(layers)) throw new OptionError('method layers', 'an array of names', layers);
    this.#names = layers;
    this.#track = checkFlag('method track', track);
    this.#given = args;
  }

  /** Takes charge of a model's layers. `optimizer` defaults to the one the model was compiled with. */
  attach(model: LayersModel, optimizer: tf.Optimizer | undefined = model.optimizer): this {
    if (this.#optimizer)
      throw new OptionError(`${this.name} attach`, 'a method that trains no model yet: make one for each', 'a second model');
    if (!optimizer) throw new OptionError(`${this.name} attach`, 'a compiled model, or an optimizer', optimizer);
    const layers = this.#choose(model);
    for (const layer of layers) {
      if (layer.owner instanceof Training && this.#outlived(layer.owner)) layer.owner.detach();
      if (layer.owner) {
        throw new OptionError(
          `${this.name} attach`,
          'layers that no other method trains',
          `${layer.name}, which ${layer.owner.name} trains`,
        );
      }
    }
    for (const { name, pattern } of layers) {
      const { rows, cols } = pattern;
      if (rows * cols >= 2 ** 32)
        throw new OptionError(`${this.name} attach`, 'layers of fewer than 2^32 positions', `${name}, ${rows}·${cols}`);
    }
    this.begin(layers, optimizer.iterations);
    const options = { ...this.options(), layers: this.#names, track: this.#track };
    try {
      checkOptions(this.name, this.#given, Object.keys(options));
    } catch (error) {
      this.end(layers);
      throw error;
    }
    for (const layer of layers) {
      layer.owner = this;
      if (this.#track) layer.explored();
    }
    this.#layers = layers;
    this.#optimizer = optimizer;
    this.#compiled = optimizer === model.optimizer ? model : undefined;
    // For `resume`: what is needed to make this method again stays with the layers, also in a saved model.
    const saved = JSON.stringify({ name: this.savedAs ?? null, options });
    for (const layer of layers) layer.method = saved;
    this.before(optimizer.iterations + 1, this.#active());
    return this;
  }

  /** Whether a method was left over by a `model.fit` that failed, which tells its callbacks nothing. All callbacks of one fit get the same `params`. */
  #outlived(other: Training): boolean {
    return this.#inFit && other.#inFit && other.params !== this.params;
  }

  #choose(model: LayersModel): SparseLayer[] {
    const all = sparseLayers(model);
    const unknown = this.#names?.find((name) => !all.some((layer) => layer.name === name));
    if (unknown !== undefined) {
      const expected = `names of sparse layers (${all.map((layer) => layer.name).join(', ')})`;
      throw new OptionError(`${this.name} layers`, expected, unknown);
    }
    const wanted = all.filter((layer) => this.#names === undefined || this.#names.includes(layer.name));
    const reasons = wanted.map((layer) => this.refuses(layer));
    const chosen = wanted.filter((_, i) => reasons[i] === undefined);
    const refused = wanted.findIndex((_, i) => reasons[i] !== undefined);
    if (refused >= 0 && (this.#names !== undefined || chosen.length === 0)) {
      throw new OptionError(`${this.name} attach`, reasons[refused] as string, wanted[refused].name);
    }
    if (chosen.length === 0) {
      throw new OptionError(
        `${this.name} attach`,
        'a model with sparse layers',
        model.layers.map((layer) => layer.name),
      );
    }
    return chosen;
  }

  #active(): SparseLayer[] {
    return this.#layers.filter((layer) => layer.trainable);
  }

  /** Gives the layers back as they are. */
  detach(): void {
    if (!this.#optimizer) return;
    this.end(this.#layers);
    for (const layer of this.#layers) {
      layer.owner = undefined;
      layer.probe = undefined;
    }
    this.#optimizer = undefined;
    this.#compiled = undefined;
  }

  /** The optimizer of the model at hand. */
  protected get optimizer(): tf.Optimizer {
    if (!this.#optimizer) throw new Error(`${this.name}: attach(model) before step()`);
    return this.#optimizer;
  }

  /** To be called, and awaited, after each step of the optimizer. Frozen layers (`trainable = false`) are left alone. */
  async step(): Promise<void> {
    if (this.#stepping) throw new OptionError(`${this.name} step`, 'one at a time, awaited', 'another');
    const { optimizer } = this;
    const { iterations } = optimizer;
    if (this.#compiled && this.#compiled.optimizer !== optimizer) {
      throw new OptionError(`${this.name} step`, 'detach() and attach() after compile()', 'another optimizer');
    }
    this.#stepping = true;
    const active = this.#active();
    // One that was frozen since would record for ever.
    for (const layer of this.#layers) if (!layer.trainable) layer.probe = undefined;
    // Slots of tfjs's optimizers are asked for once a step, by the first edit.
    this.#carry = undefined;
    try {
      await this.after(iterations, active);
      this.before(iterations + 1, active);
    } catch (error) {
      // Nobody will tell it that training has ended.
      this.detach();
      throw error;
    } finally {
      this.#stepping = false;
    }
  }

  /** Asks the optimizer for its slots, which may fail: to be awaited before anything that cannot be undone. */
  protected async prepare(): Promise<Carry> {
    this.#carry ??= await carrierOf(this.optimizer);
    return this.#carry;
  }

  /** Gives layers other patterns. See `editAll`. */
  protected async edit(edits: readonly Edit[]): Promise<void> {
    const moved = editAll(edits, await this.prepare(), this.#track);
    this.#moved.dropped += moved.dropped;
    this.#moved.grown += moved.grown;
    this.#moved.regrown += moved.regrown;
  }

  /** What has happened since the last call, and where the layers stand, also after the end. Counting begins anew. */
  report(): Report {
    if (this.#layers.length === 0) throw new Error(`${this.name}: attach(model) before report()`);
    return summed([this.#takeCounts()]);
  }

  #takeCounts(): Counts {
    const counts: Counts = { ...this.#moved, nnz: 0, size: 0, seen: this.#track ? 0 : undefined, layers: {} };
    for (const layer of this.#layers) {
      const { pattern } = layer;
      const [nnz, size] = [pattern.forwardNnz, pattern.rows * pattern.cols];
      counts.nnz += nnz;
      counts.size += size;
      if (counts.seen !== undefined) counts.seen += ones(layer.explored());
      counts.layers[layer.name] = nnz / size;
    }
    this.#moved = { dropped: 0, grown: 0, regrown: 0 };
    return counts;
  }

  /** When it edits, for methods that have a schedule. Known once a model is attached. */
  get schedule(): Schedule {
    if (!this.#schedule) throw new Error(`${this.name}: attach(model) before asking for the schedule`);
    return this.#schedule;
  }

  /**
   * Makes the schedule of a run that has done `step` steps. By default it begins with the run, which is where `initialEpoch` epochs ago the optimizer was (one
   * that has trained before begins anew, one that is resumed does not), and ends after 75 % of the steps of `model.fit`, if these are known.
   */
  protected schedules({ beginStep, endStep, every }: ScheduleArgs, step: number): void {
    const { epochs, initialEpoch, samples, steps, batchSize } = (this.params ?? {}) as Record<string, number | null | undefined>;
    const perEpoch = steps ?? (samples && batchSize ? Math.ceil(samples / batchSize) : undefined);
    const known = this.#inFit && epochs && perEpoch;
    const start = known ? Math.max(0, step - (initialEpoch ?? 0) * perEpoch) : 0;
    this.#schedule = new Schedule(this.name, {
      every,
      beginStep: beginStep ?? (endStep === undefined ? start : undefined),
      endStep: endStep ?? (known ? start + Math.floor(0.75 * epochs * perEpoch) : undefined),
    });
  }

  override setModel(model: Parameters<Callback['setModel']>[0]): void {
    // tfjs takes its flag back when a fit fails, too.
    const { isTraining } = (this.model ?? {}) as unknown as { isTraining?: boolean };
    if (this.#optimizer && this.#inFit && isTraining && (this.model as unknown) !== model) {
      throw new OptionError(`${this.name} callback`, 'one method for each fit under way', 'a second fit');
    }
    super.setModel(model);
    this.#inFit = true;
    // A fit that failed never told its callbacks that it ended.
    if (this.#optimizer) this.detach();
    try {
      this.attach(model as LayersModel);
    } catch (error) {
      this.#inFit = false;
      throw error;
    }
  }

  /** By now every method of this fit has taken its layers: a Top-KAST layer that nobody took would never explore. */
  override async onTrainBegin(): Promise<void> {
    // tfjs takes all callbacks for plain objects where the first is one, and copies the methods of ours.
    if (!this.model) throw new OptionError('model.fit callbacks', 'instances of tf.CustomCallback beside a method', 'a plain object');
    const orphan = sparseLayers(this.model).find((layer) => layer.orphaned);
    if (orphan) {
      this.detach();
      throw new OptionError(
        'model.fit callbacks',
        `a topKast() for ${orphan.name}, which has a backwardDensity`,
        'no method that trains it',
      );
    }
  }

  override async onBatchEnd(): Promise<void> {
    await this.step();
    // With a callback of this kind in the list, tfjs itself no longer yields to the page.
    if (tf.util.now() - this.#yielded > YIELD_MS) {
      await nextTask();
      this.#yielded = tf.util.now();
    }
  }

  /**
   * Puts the report into the logs, and so into `history`: density, dropped, grown, regrown, explored, and `NAME_density` of each layer. Several methods of
   * one fit add up.
   */
  override async onEpochEnd(_epoch: number, logs: Record<string, unknown> = {}): Promise<void> {
    const all = [...(reports.get(logs) ?? []), this.#takeCounts()];
    reports.set(logs, all);
    const { layers, explored, ...rest } = summed(all);
    const each = Object.entries(layers).map(([name, density]) => [`${name}_density`, density]);
    Object.assign(logs, rest, explored === undefined ? {} : { explored }, Object.fromEntries(each));
  }

  override async onTrainEnd(): Promise<void> {
    this.detach();
    this.#inFit = false;
  }
}

interface Counts extends Moved {
  nnz: number;
  size: number;
  /** Positions that have ever had a weight, where that is tracked. */
  seen: number | undefined;
  layers: Record<string, number>;
}

/** What the methods of a fit have put into the logs of an epoch. */
const reports = new WeakMap<object, Counts[]>();

function summed(all: readonly Counts[]): Report {
  const total = (of: (counts: Counts) => number) => all.reduce((sum, counts) => sum + of(counts), 0);
  const size = total((counts) => counts.size);
  return {
    dropped: total((counts) => counts.dropped),
    grown: total((counts) => counts.grown),
    regrown: total((counts) => counts.regrown),
    density: total((counts) => counts.nnz) / size,
    explored: all.some((counts) => counts.seen === undefined) ? undefined : total((counts) => counts.seen ?? 0) / size,
    layers: Object.assign({}, ...all.map((counts) => counts.layers)),
  };
}

/** How many bits are set. */
function ones(bits: Uint32Array): number {
  let total = 0;
  for (let word of bits) {
    word -= (word >>> 1) & 0x55555555;
    word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
    total += Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return total;
}
