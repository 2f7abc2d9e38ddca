// What the commands that write a model say in the end.

import type { LayersModel } from '@tensorflow/tfjs-layers';
import { summarise, summaryText } from '../topology/summary.js';

/** Prints the layers of the model written to `out`. */
export function told(out: string, model: LayersModel, json: boolean): void {
  const summary = summarise(model);
  console.log(json ? JSON.stringify({ out, ...summary }, null, 2) : [...summaryText(summary), '', `Model: ${out}`].join('\n'));
}
