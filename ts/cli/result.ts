// The table at the end of a run.

import type { LayersModel } from '@tensorflow/tfjs-layers';
import { grouped, percent, table } from '../topology/table.js';
import { footprint, kilobytes } from './footprint.js';
import type { RunState } from './run_folder.js';

export function result(model: LayersModel, { options, history }: RunState): string {
  const layers = footprint(model, model.optimizer);
  const last = history.at(-1);
  const sum = (pick: (layer: (typeof layers)[number]) => number) => layers.reduce((total, layer) => total + pick(layer), 0);
  const rows = layers.map(({ name, density, nnz, bytes, denseBytes }) => [
    name,
    percent(density),
    grouped(nnz),
    kilobytes(bytes),
    kilobytes(denseBytes),
  ]);
  rows.push(['total', '', grouped(sum((l) => l.nnz)), kilobytes(sum((l) => l.bytes)), kilobytes(sum((l) => l.denseBytes))]);
  const steps = history.map(({ msPerStep }) => msPerStep).sort((a, b) => a - b);
  return [
    '',
    table([['layer', 'density', 'weights', 'training bytes', 'dense twin'], ...rows]),
    '',
    `Test accuracy ${percent(last?.testAccuracy ?? Number.NaN, 2)} after ${history.length} epoch${history.length === 1 ? '' : 's'} (seed ${options.seed})`,
    `Time per step ${(steps[steps.length >> 1] ?? Number.NaN).toFixed(2)} ms (median of epochs, batch ${options.batch}, backend ${options.backend})`,
    `Training bytes: weights, gradients, moments${options.dense ? '' : ', patterns, the whole vector that Top-KAST keeps, and the record of explored positions'}.`,
  ].join('\n');
}
