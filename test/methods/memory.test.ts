// Truly sparse: a layer whose dense matrix would be 268 MB is trained, edited and saved in memory for its weights. A file of its own: the wasm memory's
// size is its high-water mark.

import { expect, test } from 'vitest';
import { dense } from '../../ts/layers/index.js';
import { ggr } from '../../ts/methods/ggr.js';
import { gse } from '../../ts/methods/gse.js';
import { rigl } from '../../ts/methods/rigl.js';
import { set } from '../../ts/methods/set.js';
import { snfs } from '../../ts/methods/snfs.js';
import { adam } from '../../ts/optimizers/index.js';
import { memory } from '../../ts/wasm/memory.js';
import { tf, tfl } from '../support/tf.js';

const SIZE = 8192;
const always = { every: 1, endStep: Infinity, track: false };

test.each([
  ['set', () => set(always)],
  ['set, magnitude', () => set({ ...always, dropRule: 'magnitude' })],
  ['rigl', () => rigl(always)],
  ['ggr', () => ggr({ ...always, minNnz: 1 })],
  ['gse', () => gse({ ...always, sampling: 'grabo' })],
  ['snfs', () => snfs(always)],
] as const)('%s', async (_, make) => {
  await tf.setBackend('cpu');
  const layer = dense({ units: SIZE, inputShape: [SIZE], density: 0.0005, seed: 1, useBias: false });
  const model = tfl.sequential({ layers: [layer, dense({ units: 1, density: 0.5, seed: 2 })] });
  model.compile({ optimizer: adam(0.01), loss: 'meanSquaredError' });
  const method = make().attach(model);
  const x = tf.randomNormal([4, SIZE], 0, 1, 'float32', 1);
  const y = tf.ones([4, 1]);
  const before = layer.pattern;
  const arrays = process.memoryUsage().arrayBuffers;
  for (let step = 0; step < 2; step++) {
    await model.trainOnBatch(x, y);
    await method.step();
  }
  expect(layer.pattern).not.toBe(before);
  await model.save(
    tf.io.withSaveHandler(async (artifacts) => ({ modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(artifacts) })),
    {
      includeOptimizer: true,
    },
  );
  // 33 554 weights: with pattern, gradients, moments and working memory some 3 MB.
  expect(memory().heapBytes).toBeLessThan(24e6);
  expect(tf.memory().numBytes).toBeLessThan(8e6);
  expect(process.memoryUsage().arrayBuffers - arrays).toBeLessThan(60e6);
  method.detach();
  tf.dispose([x, y]);
  model.dispose();
  model.optimizer.dispose();
});
