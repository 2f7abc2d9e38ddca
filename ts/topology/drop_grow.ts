// Dynamic sparse training: every so often drop some weights and grow as many others. A method is the rule by which it chooses (`choose.ts`).

import type * as tf from '@tensorflow/tfjs-core';
import { checkCount, checkFlag, checkNumber, OptionError } from '../errors.js';
import { Probe } from '../ops/probe.js';
import { replace } from '../ops/whole_layer.js';
import type { CsrPattern } from '../pattern/csr.js';
import { mixedSeed } from '../pattern/random.js';
import { choose, type Rule } from './choose.js';
import { withDraws, withZeros } from './edit.js';
import { LayerView } from './layer_view.js';
import { type Anneal, annealName, between, checkSchedule, cosine, type ScheduleArgs } from './schedule.js';
import type { SparseLayer } from './sparse_layer.js';
import { Training, type TrainingArgs } from './training.js';

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
  readonly #scheduleArgs: ScheduleArgs;
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
    this.regrow = checkFlag(`${name} regrow`, args.regrow ?? false);
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
    this.#scheduleArgs = { beginStep, endStep, every };
    checkSchedule(name, this.#scheduleArgs, this.anneal);
    if (this.accumulate > (every ?? 100))
      throw new OptionError(`${name} accumulate`, `at most the ${every ?? 100} steps between edits`, this.accumulate);
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
        `'initializer', since at alpha ${stuck.alpha} a weight of 0 has no gradient`,
        'zeros',
      );
    }
    this.schedules(this.#scheduleArgs, step);
    const { every, endStep } = this.schedule;
    // With an end of the user's own, a run that goes on may have had its edits.
    const first = this.#scheduleArgs.endStep === undefined ? step + 1 : 1;
    if (endStep < Infinity && !this.schedule.dueWithin(first, endStep + 1 - first)) {
      console.warn(`${this.name}: no edit will come: every ${every} steps up to step ${endStep}. Give another \`every\` or \`endStep\`.`);
    }
  }

  protected override before(step: number, layers: readonly SparseLayer[]): void {
    if (this.timing === 'instead' && this.schedule.due(step)) this.#undoSkip ??= skipNextUpdate(this.optimizer);
    const records = this.rule.usesGradients && this.schedule.dueWithin(step, this.accumulate);
    const { optimizer } = this;
    // The edit that they are for comes by then.
    const last = step + this.accumulate - 1;
    for (const layer of layers) {
      const before = this.accumulate > 1 ? layer.probe : undefined;
      layer.probe = records ? (before ?? new Probe(() => optimizer.iterations < last)) : undefined;
    }
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
    const fraction = between(this.name, this.dropFraction, 0, this.anneal, this.schedule.progress(step));
    const { grown, dropped } = choose(this.rule, views, fraction, this.regrow);
    const moving = views.filter((_, i) => dropped[i].length > 0 || grown[i].length > 0);
    await this.edit(
      moving.map((view) => ({
        layer: view.layer,
        next: () => this.#replace(view, dropped[view.index], grown[view.index]),
        values: (source, next) => this.#values(view.layer, next, source, mixedSeed(this.seed, step, view.index, 3)),
      })),
    );
    for (const layer of layers) layer.probe = undefined;
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
    const init = this.growInit ?? (layer.alpha > 1 ? 'initializer' : 'zeros');
    return init === 'zeros' ? withZeros(layer, source) : withDraws(layer, next, source, key);
  }
}

/** Makes the optimizer's next step count and do nothing else; returns what takes that back. */
function skipNextUpdate(optimizer: tf.Optimizer): () => void {
  // The user, or another method, may have put a function of their own before that of the class.
  const before = Object.getOwnPropertyDescriptor(optimizer, 'applyGradients');
  const undo = () => {
    if (optimizer.applyGradients !== skip) return;
    if (before) Object.defineProperty(optimizer, 'applyGradients', before);
    else Reflect.deleteProperty(optimizer, 'applyGradients');
  };
  const skip = function (this: tf.Optimizer & { incrementIterations(): void }) {
    // Of two methods each takes its own away; and a fit that fails tells nobody to.
    undo();
    this.incrementIterations();
  } as tf.Optimizer['applyGradients'];
  optimizer.applyGradients = skip;
  return undo;
}

/** A method from a rule of your own. */
export function dropGrow(rule: Rule, args?: DropGrowArgs): DropGrow {
  return new DropGrow(rule, args);
}
