// DPF: dynamic model pruning with feedback (Lin et al. 2020, https://arxiv.org/abs/2006.07253).

import { checkNumber, OptionError } from '../errors.js';
import { thetaOf } from '../ops/powerprop.js';
import { type Anneal, annealName, between, checkSchedule, cubic, type ScheduleArgs } from '../topology/schedule.js';
import { keptOf } from '../topology/select.js';
import type { SparseLayer } from '../topology/sparse_layer.js';
import { Training, type TrainingArgs } from '../topology/training.js';
import { refresh } from './top_kast.js';

export interface DpfArgs extends ScheduleArgs, TrainingArgs {
  /** Share of all weights in the forward pass from `endStep` on, in (0, 1]. */
  density: number;
  /** The way there from the density of the layers. Default `cubic`. */
  anneal?: Anneal | undefined;
}

/**
 * Top-KAST's limit: every weight is trained, by the gradient at the pruned model, so that one pruned too early comes back. The forward set is the
 * largest |θ| over all layers, chosen anew every 16 steps to the end of the training. Layers need `backwardDensity: 1`, and memory is that of dense
 * ones, with gradient and moments.
 */
export class Dpf extends Training {
  readonly name = 'dpf';
  protected readonly savedAs = 'dpf';
  readonly density: number;
  readonly anneal: Anneal;
  readonly #scheduleArgs: ScheduleArgs;

  constructor(args: DpfArgs = {} as DpfArgs) {
    super(args);
    this.density = checkNumber('dpf density', args.density, 0, 1, true);
    this.anneal = args.anneal ?? cubic;
    const { beginStep = 0, endStep, every = 16 } = args;
    this.#scheduleArgs = { beginStep, endStep, every };
    checkSchedule('dpf', this.#scheduleArgs, this.anneal);
  }

  protected options(): Record<string, unknown> {
    const { density, anneal } = this;
    return { density, anneal: annealName(anneal), ...this.schedule.toJSON() };
  }

  protected refuses(layer: SparseLayer): string | undefined {
    return layer.backwardDensity === 1 ? undefined : 'layers with a backwardDensity of 1, whose every weight is trained';
  }

  protected override begin(layers: readonly SparseLayer[], step: number): void {
    this.schedules(this.#scheduleArgs, step);
    if (this.schedule.endStep === Infinity) throw new OptionError('dpf endStep', 'the step at which the density is reached', Infinity);
    const sparser = layers.find((layer) => layer.density < this.density);
    if (sparser) throw new OptionError(`dpf density for ${sparser.name}`, `at most its own, ${sparser.density}`, this.density);
  }

  protected async after(step: number, layers: readonly SparseLayer[]): Promise<void> {
    const { beginStep, every } = this.schedule;
    // The density stops falling at endStep; weights go on changing places.
    if (step < Math.max(1, beginStep) || (step - beginStep) % every !== 0) return;
    const u = this.schedule.progress(step);
    const target = layers.reduce(
      (sum, { density, pattern }) => sum + between('dpf', density, this.density, this.anneal, u) * pattern.nnz,
      0,
    );
    const weights = layers.map((layer) => ({
      name: layer.name,
      weights: thetaOf(layer.theta(), layer.alpha),
    }));
    const kept = keptOf(this.name, weights, [target], 'global');
    await this.prepare();
    for (const [i, layer] of layers.entries()) await this.edit([refresh(this.name, layer, kept[i].length)]);
  }
}

/** See {@link Dpf}. */
export function dpf(args: DpfArgs): Dpf {
  return new Dpf(args);
}
