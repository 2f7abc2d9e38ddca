// GMP: gradual magnitude pruning (Zhu and Gupta 2017, https://arxiv.org/abs/1710.01878), as in tensorflow-model-optimization.

import { checkNumber, OptionError } from '../errors.js';
import { LayerView } from '../topology/layer_view.js';
import { type Anneal, annealName, between, checkSchedule, cubic, type ScheduleArgs } from '../topology/schedule.js';
import { checkScope, keptOf, pruneTo, type Scope } from '../topology/select.js';
import type { SparseLayer } from '../topology/sparse_layer.js';
import { Training, type TrainingArgs } from '../topology/training.js';

export interface GmpArgs extends ScheduleArgs, TrainingArgs {
  /** Share of all weights that is left at `endStep`, in (0, 1]. */
  density: number;
  /** How layers share it. Default 'layer'. */
  scope?: Scope | undefined;
  /** The way there. Default `cubic`. */
  anneal?: Anneal | undefined;
}

/**
 * Starts from the density of the layers (make them with `density: 1` to start dense) and takes away the smallest |θ| step by step:
 * d(t) = density + (initial − density)·(1 − u)³. What is gone does not return. Memory and time fall with the density, but at the start they are those of
 * the initial one: a dense start costs more than a dense layer would.
 */
export class Gmp extends Training {
  readonly name = 'gmp';
  protected readonly savedAs = 'gmp';
  readonly density: number;
  readonly scope: Scope;
  readonly anneal: Anneal;
  readonly #scheduleArgs: ScheduleArgs;

  constructor(args: GmpArgs = {} as GmpArgs) {
    super(args);
    this.density = checkNumber('gmp density', args.density, 0, 1, true);
    this.scope = checkScope('gmp scope', args.scope ?? 'layer');
    this.anneal = args.anneal ?? cubic;
    const { beginStep = 0, endStep, every = 100 } = args;
    this.#scheduleArgs = { beginStep, endStep, every };
    checkSchedule('gmp', this.#scheduleArgs, this.anneal);
  }

  protected options(): Record<string, unknown> {
    const { density, scope, anneal } = this;
    return { density, scope, anneal: annealName(anneal), ...this.schedule.toJSON() };
  }

  protected refuses(layer: SparseLayer): string | undefined {
    return layer.backwardDensity === undefined ? undefined : 'layers without a backwardDensity';
  }

  protected override begin(layers: readonly SparseLayer[], step: number): void {
    this.schedules(this.#scheduleArgs, step);
    if (this.schedule.endStep === Infinity) throw new OptionError('gmp endStep', 'the step at which the density is reached', Infinity);
    // Of a finished run that goes on, nothing is left to prune.
    const positions = (layer: SparseLayer) => layer.pattern.rows * layer.pattern.cols;
    const [nnz, target] = [
      layers.reduce((n, layer) => n + layer.pattern.nnz, 0),
      layers.reduce((n, layer) => n + this.density * positions(layer), 0),
    ];
    if (step >= this.schedule.endStep && nnz > target + layers.length) {
      throw new OptionError('gmp endStep', `a step after ${step}, where the optimizer is`, this.schedule.endStep);
    }
    const sparser = layers.find((layer) => layer.density < this.density);
    if (sparser) {
      throw new OptionError(
        `gmp density for ${sparser.name}`,
        `at most its own, ${sparser.density}: pruning takes weights away`,
        this.density,
      );
    }
  }

  protected async after(step: number, layers: readonly SparseLayer[]): Promise<void> {
    const { schedule } = this;
    // The last edit reaches the target, also where `every` does not divide the way.
    if (!schedule.due(step) && step !== schedule.endStep) return;
    const u = schedule.progress(step);
    const targets = layers.map(
      ({ density, pattern }) => between('gmp', density, this.density, this.anneal, u) * pattern.rows * pattern.cols,
    );
    const weights = layers.map((layer, i) => ({ name: layer.name, weights: new LayerView(layer, i, step, 0).weights }));
    await this.edit(pruneTo(layers, keptOf(this.name, weights, targets, this.scope)));
  }
}

/** See {@link Gmp}. */
export function gmp(args: GmpArgs): Gmp {
  return new Gmp(args);
}
