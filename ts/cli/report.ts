// The table at the end of a run.

import type { LayersModel } from '@tensorflow/tfjs-layers';
import { footprint } from './footprint.js';
import type { RunState } from './run_folder.js';

export function report(model: LayersModel, { options, history }: RunState): string {
  const layers = footprint(model, model.optimizer);
  const last = history.at(-1);
  const sum = (pick: (layer: (typeof layers)[number]) => number) => layers.reduce((total, layer) => total + pick(layer), 0);
  const rows = layers.map(({ name, density, nnz, bytes, denseBytes }) => [
    name,
    percent(density),
    String(nnz),
    kilobytes(bytes),
    kilobytes(denseBytes),
  ]);
  rows.push(['total', '', String(sum((l) => l.nnz)), kilobytes(sum((l) => l.bytes)), kilobytes(sum((l) => l.denseBytes))]);
  const steps = history.map(({ msPerStep }) => msPerStep).sort((a, b) => a - b);
  return [
    '',
    table([['layer', 'density', 'weights', 'training bytes', 'dense twin'], ...rows]),
    '',
    `Test accuracy ${percent(last?.testAccuracy ?? Number.NaN, 2)} after ${history.length} epoch${history.length === 1 ? '' : 's'} (seed ${options.seed})`,
    `Time per step ${(steps[steps.length >> 1] ?? Number.NaN).toFixed(2)} ms (median of epochs, batch ${options.batch}, backend ${options.backend})`,
    'Training bytes: weights, gradients, moments, patterns, and the whole vector that Top-KAST keeps.',
  ].join('\n');
}

export function percent(share: number, digits = 1): string {
  return `${(100 * share).toFixed(digits)} %`;
}

function kilobytes(bytes: number): string {
  return `${Math.round(bytes / 1024)} kB`;
}

/** Columns padded to their widest; all but the first to the right. */
export function table(rows: string[][]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ')).join('\n');
}
