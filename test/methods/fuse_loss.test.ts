// A model with a fused loss trains as one without.

import { expect, test } from 'vitest';
import { dense } from '../../ts/layers/index.js';
import { fuseLoss } from '../../ts/methods/fuse_loss.js';
import { adam } from '../../ts/optimizers/index.js';
import { expectClose, onEachBackend, tf, tfl } from '../support/tf.js';

const SAMPLES = 12;
const x = () => tf.randomNormal([SAMPLES, 9], 0, 1, 'float32', 1);
const classes = () => Array.from({ length: SAMPLES }, (_, i) => i % 3);

function sequential(activation: 'softmax' | 'sigmoid'): tfl.Sequential {
  return tfl.sequential({
    layers: [
      dense({ inputShape: [9], units: 12, activation: 'relu', density: 0.3, seed: 1 }),
      tfl.layers.dense({ units: 3, activation, kernelInitializer: tfl.initializers.glorotNormal({ seed: 2 }) }),
    ],
  });
}

/** Two outputs, with a loss each. */
function functional(): tfl.LayersModel {
  const input = tfl.input({ shape: [9] });
  const shared = dense({ units: 12, activation: 'relu', density: 0.3, seed: 1 }).apply(input) as tfl.SymbolicTensor;
  const kind = dense({ name: 'kind', units: 3, activation: 'softmax', density: 0.5, seed: 2 }).apply(shared) as tfl.SymbolicTensor;
  const size = dense({ name: 'size', units: 1, density: 0.5, seed: 3 }).apply(shared) as tfl.SymbolicTensor;
  return tfl.model({ inputs: input, outputs: [kind, size] });
}

/** Losses and metrics of each epoch, of an evaluation, and the weights in the end. */
async function trained(
  make: () => tfl.LayersModel,
  args: tfl.ModelCompileArgs,
  y: tf.Tensor | tf.Tensor[],
  fit: tfl.ModelFitArgs,
  fused: boolean,
) {
  const model = make();
  const optimizer = adam(0.01);
  model.compile({ ...args, optimizer });
  if (fused) fuseLoss(model);
  const inputs = x();
  const { history } = await model.fit(inputs, y, { epochs: 4, batchSize: 5, shuffle: false, ...fit });
  const evaluated = tf.tidy(() => [model.evaluate(inputs, y)].flat().map((value) => value.dataSync()[0]));
  const weights = model.getWeights().flatMap((weight) => Array.from(weight.dataSync()));
  model.dispose();
  optimizer.dispose();
  inputs.dispose();
  return [...Object.values(history).flat(), ...evaluated, ...weights].map(Number);
}

onEachBackend('fuseLoss', () => {
  const soft = () => sequential('softmax');
  const oneHot = () => tf.oneHot(classes(), 3);
  const metrics = ['accuracy'];
  test.each<[string, () => tfl.LayersModel, object, () => tf.Tensor | tf.Tensor[], tfl.ModelFitArgs]>([
    ['categorical', soft, { loss: 'categoricalCrossentropy', metrics }, oneHot, {}],
    ['categorical, classes weighted', soft, { loss: 'categoricalCrossentropy' }, oneHot, { classWeight: { 0: 1, 1: 3, 2: 0.5 } }],
    ['classes by number', soft, { loss: 'sparseCategoricalCrossentropy', metrics }, () => tf.tensor1d(classes()), {}],
    ['binary', () => sequential('sigmoid'), { loss: 'binaryCrossentropy', metrics }, oneHot, { validationSplit: 0.25 }],
    [
      'one of two outputs, losses in a list',
      functional,
      { loss: ['categoricalCrossentropy', 'meanSquaredError'] },
      () => [oneHot(), tf.ones([SAMPLES, 1])],
      {},
    ],
    [
      'one of two outputs, losses by name',
      functional,
      { loss: { size: 'meanSquaredError', kind: 'categoricalCrossentropy' } },
      () => [oneHot(), tf.ones([SAMPLES, 1])],
      {},
    ],
  ])('%s', async (_, make, args, targets, fit) => {
    const y = targets();
    const [expected, received] = [
      await trained(make, args as tfl.ModelCompileArgs, y, fit, false),
      await trained(make, args as tfl.ModelCompileArgs, y, fit, true),
    ];
    expectClose(received, expected, 1e-4);
    tf.dispose(y);
  });

  test('takes one kernel for the loss and one for its gradient', async () => {
    const model = soft();
    const optimizer = adam(0.01);
    const [inputs, y] = [x(), oneHot()];
    const kernels = async () => (await tf.profile(() => model.trainOnBatch(inputs, y) as never)).kernelNames;
    model.compile({ optimizer, loss: 'categoricalCrossentropy' });
    const before = await kernels();
    expect(before).toContain(tf.Log);
    fuseLoss(model);
    const after = await kernels();
    expect(after).toEqual(expect.arrayContaining(['crossEntropy', 'crossEntropyGradient']));
    expect(after).not.toContain(tf.Log);
    tf.dispose([inputs, y]);
    model.dispose();
    optimizer.dispose();
  });

  test('the loss that a saved model names stays', async () => {
    const model = soft();
    const optimizer = adam(0.01);
    model.compile({ optimizer, loss: 'categoricalCrossentropy' });
    fuseLoss(model);
    let saved: tf.io.ModelArtifacts | undefined;
    const handler = tf.io.withSaveHandler(async (artifacts) => {
      saved = artifacts;
      return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(artifacts) };
    });
    await model.save(handler, { includeOptimizer: true });
    expect(saved?.trainingConfig?.loss).toBe('categorical_crossentropy');
    model.dispose();
    optimizer.dispose();
  });

  test('refuses a model that has no such loss', () => {
    const model = soft();
    const optimizer = adam(0.01);
    const wanted =
      'fuseLoss model: expected one compiled with categoricalCrossentropy or sparseCategoricalCrossentropy or binaryCrossentropy';
    expect(() => fuseLoss(model)).toThrow(`${wanted}, received []`);
    model.compile({ optimizer, loss: 'meanSquaredError' });
    expect(() => fuseLoss(model)).toThrow(`${wanted}, received ["meanSquaredError"]`);
    model.compile({ optimizer, loss: tfl.metrics.meanSquaredError });
    expect(() => fuseLoss(model)).toThrow(wanted);
    model.dispose();
    optimizer.dispose();
  });
});
