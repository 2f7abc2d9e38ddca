// GaP: scheduled grow-and-prune (Ma et al. 2022, https://arxiv.org/abs/2106.09857), one partition after the other.

import { checkCount, OptionError } from '../errors.js';
import { replace } from '../ops/whole_layer.js';
import { mixedSeed } from '../pattern/random.js';
import { type Edit, withDraws, withZeros } from '../topology/edit.js';
import { LayerView } from '../topology/layer_view.js';
import { checkSchedule, type ScheduleArgs } from '../topology/schedule.js';
import { keptOf, pruneTo } from '../topology/select.js';
import type { SparseLayer } from '../topology/sparse_layer.js';
import { Training, type TrainingArgs } from '../topology/training.js';

export interface GapArgs extends ScheduleArgs, TrainingArgs {
  /** Parts into which the layers are cut, in order and of about the same number of layers (κ). Default: one for each layer. */
  partitions?: number | undefined;
  /** Steps that a partition stays dense. The authors take 5 to 10 epochs. */
  every: number;
  /** Of drawn values, for layers with an `alpha` above 1. Default 0. */
  seed?: number | undefined;
}

/**
 * At each edit the next partition becomes dense and the one before is pruned back by magnitude to the density of its layers; at `endStep` all are
 * pruned. Every position is trained some of the time. Memory: one partition is dense, with gradient and moments.
 */
export class Gap extends Training {
  readonly name = 'gap';
  protected readonly savedAs = 'gap';
  readonly partitions: number | undefined;
  readonly seed: number;
  readonly #scheduleArgs: ScheduleArgs;

  constructor(args: GapArgs = {} as GapArgs) {
    super(args);
    this.partitions = args.partitions === undefined ? undefined : checkCount('gap partitions', args.partitions, 1);
    this.seed = checkCount('gap seed', args.seed ?? 0, 0);
    const { beginStep = 1, endStep, every } = args;
    // Without a default: the authors count in epochs.
    this.#scheduleArgs = { beginStep, endStep, every: checkCount('gap every', every, 1) };
    checkSchedule('gap', this.#scheduleArgs);
  }

  protected options(): Record<string, unknown> {
    return { partitions: this.partitions ?? null, seed: this.seed, ...this.schedule.toJSON() };
  }

  protected refuses(layer: SparseLayer): string | undefined {
    return layer.backwardDensity === undefined ? undefined : 'layers without a backwardDensity';
  }

  protected override begin(layers: readonly SparseLayer[], step: number): void {
    this.schedules(this.#scheduleArgs, step);
    if ((this.partitions ?? 1) > layers.length) {
      throw new OptionError('gap partitions', `at most one for each of ${layers.length} layers`, this.partitions);
    }
  }

  protected async after(step: number, layers: readonly SparseLayer[]): Promise<void> {
    const { schedule } = this;
    const last = step === schedule.endStep;
    if (!schedule.due(step) && !last) return;
    const parts = this.partitions ?? layers.length;
    const dense = last ? -1 : ((step - schedule.beginStep) / schedule.every) % parts;
    const isDense = layers.map((_, i) => Math.floor((i * parts) / layers.length) === dense);
    const pruned = layers.filter((_, i) => !isDense[i]);
    const targets = pruned.map(({ density, pattern }) => density * pattern.rows * pattern.cols);
    const weights = pruned.map(({ name, values }) => ({ name, weights: values.dataSync() as Float32Array }));
    const grown = layers.flatMap((layer, i) => (isDense[i] ? this.#grow(layer, i, step) : []));
    await this.edit([...pruneTo(pruned, keptOf(this.name, weights, targets, 'layer')), ...grown]);
  }

  #grow(layer: SparseLayer, index: number, step: number): Edit[] {
    const view = new LayerView(layer, index, step, this.seed);
    if (view.free === 0) return [];
    const grown = view.randomFree(view.free);
    const key = mixedSeed(this.seed, step, index);
    const next = () => replace(layer.pattern, new Uint32Array(0), grown);
    // A weight of 0 would never move under Powerpropagation.
    return [{ layer, next, values: (source, next) => (layer.alpha > 1 ? withDraws(layer, next, source, key) : withZeros(layer, source)) }];
  }
}

/** See {@link Gap}. */
export function gap(args: GapArgs): Gap {
  return new Gap(args);
}
