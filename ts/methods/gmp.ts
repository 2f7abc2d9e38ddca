// GMP: gradual magnitude pruning (Zhu and Gupta 2017, https://arxiv.org/abs/1710.01878), as in tensorflow-model-optimization.

import { checkNumber, OptionError } from '../errors.js';
import { replace } from '../ops/whole_layer.js';
import { carried } from '../topology/edit.js';
import { LayerView } from '../topology/layer_view.js';
import { type Anneal, checkSchedule, cubic, type Schedule, type ScheduleArgs } from '../topology/schedule.js';
import { checkScope, keptOf, others, type Scope } from '../topology/select.js';
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
  readonly density: number;
  readonly scope: Scope;
  readonly anneal: Anneal;
  readonly #args: ScheduleArgs;
  #schedule: Schedule | undefined;

  constructor(args: GmpArgs) {
    super(args);
    this.density = checkNumber('gmp density', args.density, 0, 1, true);
    this.scope = checkScope('gmp scope', args.scope ?? 'layer');
    this.anneal = args.anneal ?? cubic;
    const { beginStep = 0, endStep, every = 100 } = args;
    this.#args = { beginStep, endStep, every };
    checkSchedule('gmp', this.#args);
  }

  protected options(): Record<string, unknown> {
    const { density, scope, anneal } = this;
    return { density, scope, anneal: anneal.name, ...(this.#schedule as Schedule).toJSON() };
  }

  protected refuses(layer: SparseLayer): string | undefined {
    return layer.backwardDensity === undefined ? undefined : 'layers without a backwardDensity';
  }

  protected override begin(layers: readonly SparseLayer[], step: number): void {
    this.#schedule = this.scheduled(this.#args, step);
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
    const schedule = this.#schedule as Schedule;
    // The last edit reaches the target, also where `every` does not divide the way.
    if (!schedule.due(step) && step !== schedule.endStep) return;
    const left = this.anneal(schedule.progress(step));
    const targets = layers.map(({ density, pattern }) => (this.density + (density - this.density) * left) * pattern.rows * pattern.cols);
    await this.prepare();
    const weights = layers.map((layer, i) => new LayerView(layer, i, step, 0).weights.slice());
    const kept = keptOf(this.name, weights, targets, this.scope);
    layers.forEach((layer, i) => {
      const { pattern } = layer;
      if (kept[i].length === pattern.nnz) return;
      const next = replace(pattern, others(kept[i], pattern.nnz), new Uint32Array(0));
      this.edit(layer, next, (source) => carried(layer.values.dataSync() as Float32Array, source));
    });
  }
}

/** See {@link Gmp}. */
export function gmp(args: GmpArgs): Gmp {
  return new Gmp(args);
}
