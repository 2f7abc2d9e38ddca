// GaP: scheduled grow-and-prune (Ma et al. 2022, https://arxiv.org/abs/2106.09857), one partition after the other.

import { checkCount, OptionError } from '../errors.js';
import { largestMagnitudes, replace } from '../ops/whole_layer.js';
import { countFor } from '../pattern/csr.js';
import { mixedSeed } from '../pattern/random.js';
import { carried } from '../topology/edit.js';
import { LayerView } from '../topology/layer_view.js';
import { numbers } from '../topology/numbers.js';
import { checkSchedule, type Schedule, type ScheduleArgs } from '../topology/schedule.js';
import { others } from '../topology/select.js';
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
  readonly partitions: number | undefined;
  readonly seed: number;
  readonly #args: ScheduleArgs;
  #schedule: Schedule | undefined;

  constructor(args: GapArgs) {
    super(args);
    this.partitions = args.partitions === undefined ? undefined : checkCount('gap partitions', args.partitions, 1);
    this.seed = checkCount('gap seed', args.seed ?? 0, 0);
    const { beginStep = 1, endStep, every } = args;
    this.#args = { beginStep, endStep, every };
    checkSchedule('gap', this.#args);
  }

  protected options(): Record<string, unknown> {
    return { partitions: this.partitions ?? null, seed: this.seed, ...(this.#schedule as Schedule).toJSON() };
  }

  protected refuses(layer: SparseLayer): string | undefined {
    return layer.backwardDensity === undefined ? undefined : 'layers without a backwardDensity';
  }

  protected override begin(layers: readonly SparseLayer[], step: number): void {
    this.#schedule = this.scheduled(this.#args, step);
    if ((this.partitions ?? 1) > layers.length) {
      throw new OptionError('gap partitions', `at most one for each of ${layers.length} layers`, this.partitions);
    }
  }

  protected async after(step: number, layers: readonly SparseLayer[]): Promise<void> {
    const schedule = this.#schedule as Schedule;
    const last = step === schedule.endStep;
    if (!schedule.due(step) && !last) return;
    await this.prepare();
    const parts = this.partitions ?? layers.length;
    const dense = last ? -1 : ((step - schedule.beginStep) / schedule.every) % parts;
    layers.forEach((layer, i) => {
      if (Math.floor((i * parts) / layers.length) === dense) this.#grow(layer, i, step);
      else this.#prune(layer);
    });
  }

  #prune(layer: SparseLayer): void {
    const { pattern } = layer;
    const count = countFor(pattern.rows * pattern.cols, layer.density);
    if (count >= pattern.nnz) return;
    const kept = numbers(`gap weights of ${layer.name}`, () => largestMagnitudes(layer.values.dataSync() as Float32Array, count).slice());
    const next = replace(pattern, others(kept, pattern.nnz), new Uint32Array(0));
    this.edit(layer, next, (source) => carried(layer.values.dataSync() as Float32Array, source));
  }

  #grow(layer: SparseLayer, index: number, step: number): void {
    const view = new LayerView(layer, index, step, this.seed);
    if (view.free === 0) return;
    const grown = view.randomFree(view.free);
    const next = replace(layer.pattern, new Uint32Array(0), grown);
    this.edit(layer, next, (source) => {
      const values = carried(layer.values.dataSync() as Float32Array, source);
      // A weight of 0 would never move under Powerpropagation.
      if (layer.alpha > 1) {
        const drawn = layer.fresh(next, grown, mixedSeed(this.seed, step, index));
        for (let i = 0, n = 0; i < values.length; i++) if (source[i] < 0) values[i] = drawn[n++];
      }
      return values;
    });
  }
}

/** See {@link Gap}. */
export function gap(args: GapArgs): Gap {
  return new Gap(args);
}
