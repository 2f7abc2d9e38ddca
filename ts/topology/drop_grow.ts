// Dynamic sparse training: every so often drop some weights and grow as many others. A method is the rule by which it chooses.

import type * as tf from '@tensorflow/tfjs-core';
import { checkCount, checkNumber, OptionError, ShapeError } from '../errors.js';
import { Probe } from '../ops/probe.js';
import { releasePattern } from '../ops/sparse_dense.js';
import { lowest, replace } from '../ops/whole_layer.js';
import type { CsrPattern } from '../pattern/csr.js';
import { mixedSeed } from '../pattern/random.js';
import { carried, type Edit, freshValues, newEntries } from './edit.js';
import { LayerView } from './layer_view.js';
import { numbers } from './numbers.js';
import { type Anneal, annealName, between, checkSchedule, cosine, type Schedule, type ScheduleArgs } from './schedule.js';
import type { SparseLayer } from './sparse_layer.js';
import { Training, type TrainingArgs } from './training.js';

/**
 * How a method chooses. The three functions in which methods differ; everything else is the same for all.
 *
 * ```js
 * // Drops the weights that the last step made smaller the most; grows at random.
 * const mine = { name: 'mine', dropScore: ({ weights, gradients }) => weights.map((w, i) => -w * gradients[i]), usesGradients: true,
 *                grow: eachLayer((layer, k) => layer.randomFree(k)) };
 * callbacks: [dropGrow(mine, { dropFraction: 0.2, endStep: 5000 })]
 * ```
 */
export interface Rule {
  readonly name: string;
  /** How many weights a layer drops. Default: ⌊nnz·fraction⌋. */
  dropCount?: ((layer: LayerView, fraction: number) => number) | undefined;
  /** A score for each weight `[nnz]`; those with the lowest are dropped, of equal ones the higher position. Default: |θ|. */
  dropScore?: ((layer: LayerView, fraction: number) => Float32Array) | undefined;
  /** The weights to drop by position in the pattern, ascending, for what no score says. Instead of the two above. */
  drop?: ((layer: LayerView, fraction: number) => Uint32Array) | undefined;
  /**
   * Where each layer grows: free positions, ascending, for each of `layers`. `counts` is what they drop; layers may get other shares of the sum
   * ({@link eachLayer} gives each its own). Where less is grown in all, less is dropped.
   */
  grow(layers: readonly LayerView[], counts: readonly number[]): Uint32Array[];
  /** Whether `grow` or `dropScore` ask for gradients; without it the layers do not record them. */
  readonly usesGradients?: boolean | undefined;
}

export interface DropGrowArgs extends ScheduleArgs, TrainingArgs {
  /** Share of a layer's weights that is dropped at the first edit, in [0, 1]. Default 0.3, as RigL and SET. */
  dropFraction?: number | undefined;
  /** How that share falls until `endStep`. Default `cosine`, as RigL. */
  anneal?: Anneal | undefined;
  /** Whether positions just dropped may grow again at once; they then keep value and moments. Default: as the method was published. */
  regrow?: boolean | undefined;
  /**
   * Values of grown weights: 0, or drawn as the layer's initializer would. Default: as published, and 'initializer' for layers with an `alpha` above 1,
   * where a 0 has no gradient and would stay for ever.
   */
  growInit?: 'zeros' | 'initializer' | undefined;
  /** Steps whose gradients are added up for growth. Default 1, the step at hand. Memory: 4·batch·(in + out) bytes a step and layer. */
  accumulate?: number | undefined;
  /**
   * 'after': an edit follows the update of its step. 'instead': the step updates nothing, as in Google's RigL; its gradients only decide what grows.
   * Default 'after', which loses no step.
   */
  timing?: 'after' | 'instead' | undefined;
  /** Of everything drawn at random. Default 0. */
  seed?: number | undefined;
}

/** A rule that serves each layer by itself: as many grown as dropped. */
export function eachLayer(grow: (layer: LayerView, k: number) => Uint32Array): Rule['grow'] {
  return (layers, counts) => layers.map((layer, i) => grow(layer, Math.min(counts[i], layer.free)));
}

/** `args`, and what a method was published with where they leave something open. */
export function withDefaults<T extends object>(published: Partial<T>, args: T): T {
  const given = Object.entries(args).filter(([, value]) => value !== undefined);
  return { ...published, ...Object.fromEntries(given) } as T;
}

/** Trains layers by a {@link Rule}. The number of weights over all its layers stays as it is, exactly. */
export class DropGrow extends Training {
  readonly name: string;
  /** Nothing for a rule of the user's: its functions cannot be saved. */
  protected readonly savedAs: string | undefined;
  readonly dropFraction: number;
  readonly anneal: Anneal;
  readonly regrow: boolean;
  readonly growInit: 'zeros' | 'initializer' | undefined;
  readonly accumulate: number;
  readonly timing: 'after' | 'instead';
  readonly seed: number;
  readonly #schedule: ScheduleArgs;
  #resolved: Schedule | undefined;
  #undoSkip: (() => void) | undefined;

  /** `extra` are options of the rule, to be saved with the others; nothing for a rule of the user's. */
  constructor(
    readonly rule: Rule,
    args: DropGrowArgs = {},
    readonly extra: Record<string, unknown> | undefined = undefined,
  ) {
    super(args);
    const { name } = rule;
    this.name = name;
    this.savedAs = extra && name;
    this.dropFraction = checkNumber(`${name} dropFraction`, args.dropFraction ?? 0.3, 0, 1);
    this.anneal = args.anneal ?? cosine;
    this.regrow = args.regrow ?? false;
    this.growInit = args.growInit;
    if (args.growInit !== undefined && args.growInit !== 'zeros' && args.growInit !== 'initializer') {
      throw new OptionError(`${name} growInit`, "'zeros' or 'initializer'", args.growInit);
    }
    this.accumulate = checkCount(`${name} accumulate`, args.accumulate ?? 1, 1);
    this.timing = args.timing ?? 'after';
    if (this.timing !== 'after' && this.timing !== 'instead') {
      throw new OptionError(`${name} timing`, "'after' or 'instead'", args.timing);
    }
    this.seed = checkCount(`${name} seed`, args.seed ?? 0, 0);
    const { beginStep, endStep, every } = args;
    this.#schedule = { beginStep, endStep, every };
    checkSchedule(name, this.#schedule, this.anneal);
    if (this.accumulate > (every ?? 100))
      throw new OptionError(`${name} accumulate`, `at most the ${every ?? 100} steps between edits`, this.accumulate);
  }

  /** When it edits. Known once a model is attached. */
  get schedule(): Schedule {
    if (!this.#resolved) throw new Error(`${this.name}: attach(model) before asking for the schedule`);
    return this.#resolved;
  }

  protected options(): Record<string, unknown> {
    const { dropFraction, anneal, regrow, growInit = null, accumulate, timing, seed } = this;
    return {
      dropFraction,
      anneal: annealName(anneal),
      regrow,
      growInit,
      accumulate,
      timing,
      seed,
      ...this.extra,
      ...this.schedule.toJSON(),
    };
  }

  protected refuses(layer: SparseLayer): string | undefined {
    return layer.backwardDensity === undefined ? undefined : 'layers without a backwardDensity (that is Top-KAST, for topKast())';
  }

  protected override begin(layers: readonly SparseLayer[], step: number): void {
    const stuck = this.growInit === 'zeros' ? layers.find((layer) => layer.alpha > 1) : undefined;
    if (stuck) {
      throw new OptionError(
        `${this.name} growInit of ${stuck.name}`,
        `'initializer', since at alpha ${stuck.alpha} a weight of 0 has no gradient and would never move`,
        'zeros',
      );
    }
    this.#resolved = this.scheduled(this.#schedule, step);
  }

  protected override before(step: number, layers: readonly SparseLayer[]): void {
    if (this.timing === 'instead' && this.schedule.due(step)) this.#undoSkip ??= skipNextUpdate(this.optimizer);
    const records = this.rule.usesGradients && this.schedule.dueWithin(step, this.accumulate);
    for (const layer of layers) layer.probe = records ? (this.accumulate > 1 ? (layer.probe ?? new Probe()) : new Probe()) : undefined;
  }

  protected override end(): void {
    // A skip that no step has used must not outlive the method.
    this.#undoSkip?.();
    this.#undoSkip = undefined;
  }

  protected async after(step: number, layers: readonly SparseLayer[]): Promise<void> {
    if (!this.schedule.due(step)) return;
    this.#undoSkip?.();
    this.#undoSkip = undefined;
    const views = layers.map((layer, i) => new LayerView(layer, i, step, this.seed));
    const { counts, grown, dropped } = this.#choose(
      views,
      between(this.name, this.dropFraction, 0, this.anneal, this.schedule.progress(step)),
    );
    const edits: Edit[] = [];
    try {
      views.forEach((view, i) => {
        if (counts[i] === 0 && grown[i].length === 0) return;
        const { layer } = view;
        const next = this.#replace(view, dropped[i], grown[i]);
        edits.push({ layer, next, values: (source) => this.#values(layer, next, source, mixedSeed(this.seed, step, i, 3)) });
      });
    } catch (error) {
      for (const { next } of edits) releasePattern(next);
      throw error;
    }
    await this.edit(edits);
    for (const layer of layers) layer.probe = undefined;
  }

  #choose(views: readonly LayerView[], fraction: number): { counts: number[]; grown: Uint32Array[]; dropped: Uint32Array[] } {
    const { rule } = this;
    const chosen = views.map((view) => numbers(`${this.name} weights of ${view.name}`, () => rule.drop?.(view, fraction)));
    const counts = views.map((view, i) => {
      const count = chosen[i]?.length ?? rule.dropCount?.(view, fraction) ?? Math.floor(view.nnz * fraction);
      return Math.min(view.nnz, checkCount(`${this.name} dropCount of ${view.name}`, count, 0));
    });
    const drop = (view: LayerView, i: number): Uint32Array => {
      const own = chosen[i];
      if (own) return this.#fewer(view, own, counts[i], fraction);
      return counts[i] === 0 ? new Uint32Array(0) : this.#ranked(view, this.#scores(view, fraction), counts[i]);
    };
    // Where dropped positions may grow again, what is dropped must be known first; else what can grow decides how much is dropped.
    let dropped: Uint32Array[] | undefined;
    const kept: CsrPattern[] = [];
    if (this.regrow) {
      dropped = views.map(drop);
      views.forEach((view, i) => {
        kept.push(replace(view.pattern, (dropped as Uint32Array[])[i], new Uint32Array(0)));
        view.release(kept[i]);
      });
    } else {
      limit(
        counts,
        views.reduce((sum, view) => sum + view.free, 0),
      );
    }
    let grown: Uint32Array[];
    try {
      grown = rule.grow(views, counts);
    } finally {
      for (const pattern of kept) releasePattern(pattern);
    }
    const wanted = counts.slice();
    this.#balance(views, counts, grown);
    // What was dropped too much comes back, unless it has grown again already.
    const back = (all: Uint32Array, i: number) =>
      counts[i] === wanted[i] ? all : this.#fewer(views[i], all, counts[i], fraction, grown[i]);
    return { counts, grown, dropped: dropped?.map(back) ?? views.map(drop) };
  }

  #scores(view: LayerView, fraction: number): Float32Array {
    const scores = this.rule.dropScore?.(view, fraction) ?? view.magnitudes;
    if (scores.length !== view.nnz) throw new ShapeError(`${this.name} dropScore of ${view.name}`, [view.nnz], [scores.length]);
    return scores;
  }

  /** The positions of the k lowest scores. */
  #ranked(view: LayerView, scores: Float32Array, k: number): Uint32Array {
    return numbers(`${this.name} scores of ${view.name}`, () => lowest(scores, k));
  }

  /** Of the positions `dropped` those `k` with the lowest scores; those that are among `grown` places in any case. */
  #fewer(view: LayerView, dropped: Uint32Array, k: number, fraction: number, grown?: Uint32Array): Uint32Array {
    if (dropped.length <= k) return dropped;
    const flat = view.pattern.flat();
    const again = new Set(grown);
    const scores = this.#scores(view, fraction);
    const ranking = Float32Array.from(dropped, (at) => (again.has(flat[at]) ? -Infinity : scores[at]));
    return this.#ranked(view, ranking, k).map((at) => dropped[at]);
  }

  /** Makes `counts` add up to what was grown. */
  #balance(views: readonly LayerView[], counts: number[], grown: readonly Uint32Array[]): void {
    views.forEach((view, i) => {
      const size = grown[i]?.length ?? -1;
      if (size < 0 || size > view.free)
        throw new OptionError(`${this.name} growth in ${view.name}`, `at most the ${view.free} positions that are free`, size);
    });
    let surplus = counts.reduce((a, b) => a + b, 0) - grown.reduce((sum, positions) => sum + positions.length, 0);
    if (surplus < 0) {
      const total = counts.reduce((a, b) => a + b, 0);
      throw new OptionError(
        `${this.name} growth over ${views.length} layers`,
        `${total} weights, as many as were dropped`,
        total - surplus,
      );
    }
    for (let i = 0; i < counts.length && surplus > 0; i++) {
      const less = Math.min(surplus, Math.max(0, counts[i] - grown[i].length));
      counts[i] -= less;
      surplus -= less;
    }
  }

  #replace(view: LayerView, dropped: Uint32Array, grown: Uint32Array): CsrPattern {
    try {
      return replace(view.pattern, dropped, grown, this.regrow);
    } catch (cause) {
      throw new OptionError(`${this.name} growth in ${view.name}`, 'free positions in ascending order', (cause as Error).message, {
        cause,
      });
    }
  }

  #values(layer: SparseLayer, next: CsrPattern, source: Int32Array, key: number): Float32Array {
    const values = carried(layer.values.dataSync() as Float32Array, source);
    if ((this.growInit ?? (layer.alpha > 1 ? 'initializer' : 'zeros')) === 'zeros') return values;
    const grown = newEntries(source);
    const flat = next.flat();
    const positions = new Uint32Array(grown.length);
    for (let n = 0; n < grown.length; n++) positions[n] = flat[grown[n]];
    const drawn = freshValues(layer, next, positions, key);
    for (let n = 0; n < grown.length; n++) values[grown[n]] = drawn[n];
    return values;
  }
}

/** Makes the optimizer's steps count and do nothing else, until what is returned is called. */
function skipNextUpdate(optimizer: tf.Optimizer): () => void {
  // The user may have put a function of their own before that of the class.
  const before = Object.getOwnPropertyDescriptor(optimizer, 'applyGradients');
  const skip = function (this: tf.Optimizer & { incrementIterations(): void }) {
    this.incrementIterations();
  } as tf.Optimizer['applyGradients'];
  optimizer.applyGradients = skip;
  return () => {
    if (optimizer.applyGradients !== skip) return;
    if (before) Object.defineProperty(optimizer, 'applyGradients', before);
    else Reflect.deleteProperty(optimizer, 'applyGradients');
  };
}

/** Lowers `counts` in proportion until their sum is at most `most`. */
function limit(counts: number[], most: number): void {
  const total = counts.reduce((a, b) => a + b, 0);
  if (total <= most) return;
  for (let i = 0; i < counts.length; i++) counts[i] = Math.floor((counts[i] * most) / total);
}

/** A method from a rule of your own. */
export function dropGrow(rule: Rule, args?: DropGrowArgs): DropGrow {
  return new DropGrow(rule, args);
}
