// `tfjs-sparse inspect`: what a saved model is made of.

import type { LayersModel } from '@tensorflow/tfjs-layers';
import { allLayers, type LayerSummary, type Summary, summarise, summaryText } from '../topology/summary.js';
import { table } from '../topology/table.js';
import { useInstalledBackend } from './backend.js';
import { loadModel } from './saved_model.js';
import { bars, type Distribution, distributionOf, weightsOf } from './weights.js';

const BINS = 32;

interface Inspection extends Summary {
  model: string;
  layers: (LayerSummary & { weights?: Distribution })[];
}

export async function inspect(path: string, { json }: { json: boolean }): Promise<void> {
  await useInstalledBackend();
  const found = inspection(path, await loadModel(path));
  console.log(json ? JSON.stringify(found, null, 2) : text(found));
}

function inspection(path: string, model: LayersModel): Inspection {
  const named = allLayers(model);
  const { layers, total } = summarise(model);
  const withWeights = layers.map((row) => {
    const weights = weightsOf(named.get(row.name) as LayersModel['layers'][number]);
    const distribution = weights && distributionOf(weights, BINS);
    return distribution ? { ...row, weights: distribution } : row;
  });
  return { model: path, layers: withWeights, total };
}

function text({ layers, total }: Inspection): string {
  const short = (value: number) => (value === 0 ? '0' : value.toPrecision(3));
  const spreads = layers.flatMap(({ name, weights }) => (weights ? [{ name, ...weights }] : []));
  const rows = spreads.map(({ name, min, max, deviation, zeros, notFinite, histogram }) => [
    name,
    short(min),
    bars(histogram),
    short(max),
    short(deviation),
    String(zeros),
    String(notFinite),
  ]);
  const histograms = [['Weights', 'from', 'histogram'.padEnd(BINS), 'to', 'deviation', 'zeros', 'not finite'], ...rows];
  return [
    ...summaryText({ layers, total }),
    '',
    ...(rows.length > 0 ? [table(histograms), ''] : []),
    'Bytes: weights, patterns (also those that kernels keep), the vector that Top-KAST keeps, and the record of explored positions.',
  ].join('\n');
}
