// Most of what is public, as a user would call it.

import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {
  CsrPattern,
  cosine,
  dropGrow,
  erk,
  FileError,
  fastDense,
  type InitOptions,
  init,
  type LayerView,
  layers,
  memory,
  optimizers,
  powerprop,
  Random,
  type Rule,
  randomPattern,
  ready,
  resume,
  rigl,
  ShapeError,
  sparseDense,
  type TopKast,
  topKast,
  uniform,
  type Variant,
} from 'tfjs-sparse';
import * as inline from 'tfjs-sparse/inline';
import { categoricalCrossentropy, fuseLoss } from 'tfjs-sparse/losses';
import { connect, type Progress, serve, type Trainer } from 'tfjs-sparse/worker';

const options: InitOptions = { wasmUrl: new URL('https://example.org/wasm/'), variant: 'simd128' };
const densities: number[] = erk([[3, 4]], 0.1);

export async function train(): Promise<number[] | undefined> {
  await init(options);
  await ready();
  await inline.ready();
  const variant: Variant = memory().variant;
  const undo = fastDense();
  const hidden = layers.dense({ inputShape: [20], units: 32, activation: 'relu', density: densities[0] ?? 0.1, backwardDensity: 0.4 });
  const model: tfl.Sequential = tfl.sequential({ layers: [hidden, layers.dense({ units: 3, activation: 'softmax', density: 0.5 })] });
  model.compile({ optimizer: optimizers.adam(0.01), loss: 'categoricalCrossentropy' });
  fuseLoss(model);
  const each: tf.Tensor = categoricalCrossentropy(tf.ones([4, 3]), model.predict(tf.zeros([4, 20])) as tf.Tensor);
  each.dispose();
  const method: TopKast = topKast({ every: 10 });
  const callbacks = [method, rigl({ dropFraction: 0.2, anneal: cosine }), own, ...resume(model)];
  const { history } = await model.fit(tf.zeros([4, 20]), tf.ones([4, 3]), { callbacks });
  const pattern: CsrPattern = randomPattern(3, 4, 5, new Random(1).below(9));
  const y: tf.Tensor = sparseDense({ x: tf.zeros([2, 4]), values: tf.variable(tf.zeros([5])), pattern });
  powerprop(y, 2).dispose();
  undo();
  return variant === 'simd128' ? (history['loss'] as number[]) : uniform([[3, 4]], 0.1);
}

export async function inWorker(worker: Worker): Promise<string> {
  const trainer: Trainer = await connect(worker);
  const seen: Progress[] = [];
  const { history, cancelled } = await trainer.fit({ data: {}, epochs: 2, onProgress: (progress) => seen.push(progress) });
  await trainer.save('indexeddb://model');
  return `${cancelled} ${history['loss']?.[0]}`;
}

serve({ build: ({ units }: { units: number }) => tfl.sequential({ layers: [layers.dense({ units, density: 0.1 })] }) });

const sensitivity: Rule = {
  name: 'sensitivity',
  dropScore: ({ weights, gradients }: LayerView) => weights.map((w, i) => Math.abs(w * (gradients[i] ?? 0))),
  grow: (views, counts) => views.map((view, i) => view.randomFree(counts[i] ?? 0)),
};
const own = dropGrow(sensitivity, { every: 20, dropFraction: 0.2 });
export const errors: Error[] = [new ShapeError('x', [1], [2]), new FileError('x')];
export const isPattern = (value: unknown): boolean => value instanceof CsrPattern;
