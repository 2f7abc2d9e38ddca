// What a report tells of a run, as plain numbers: read from its folder, or from a run that has just ended.

import type { LayersModel } from '@tensorflow/tfjs-layers';
import { FileError } from '../../errors.js';
import { footprint, type LayerFootprint } from '../footprint.js';
import type { TrainOptions } from '../options.js';
import { type EpochRecord, loadRun } from '../run_folder.js';
import { connectionsOf, type Distribution, distributionOf, weightsOf } from '../weights.js';

const BINS = 48;

export interface RunReport {
  /** Short, and its own among the runs of a report. */
  name: string;
  folder: string;
  options: TrainOptions;
  history: EpochRecord[];
  layers: (LayerFootprint & { weights: Distribution | undefined })[];
  /** Connections of each input feature, or channel, to the first layer. Undefined where that is dense, and where there is only one. */
  connections: number[] | undefined;
}

export function describeRun(name: string, folder: string, model: LayersModel, options: TrainOptions, history: EpochRecord[]): RunReport {
  const layers = footprint(model, model.optimizer).map((layer) => {
    const weights = weightsOf(model.getLayer(layer.name));
    return { ...layer, weights: weights && distributionOf(weights, BINS) };
  });
  const connections = connectionsOf(model.layers[0]);
  return { name, folder, options, history, layers, connections: connections?.length === 1 ? undefined : connections };
}

/** Reads the run in `folder`; a backend must have been started. */
export async function readRun(name: string, folder: string): Promise<RunReport> {
  const { state, load } = await loadRun(folder);
  const model = await load();
  try {
    if (!model.optimizer) throw new FileError(`${folder}: expected a run whose model has its optimizer, received one without`);
    return describeRun(name, folder, model, state.options, state.history);
  } finally {
    model.optimizer?.dispose();
    model.dispose();
  }
}
