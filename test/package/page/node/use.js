// Trains, saves, loads, trains on; the loaded model has to be the saved one.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { ready } from 'tfjs-sparse';
import { fuseLoss } from 'tfjs-sparse/losses';
import { makeData, makeModel, train } from '../train.js';

await ready();
const result = await train();
const folder = mkdtempSync(join(tmpdir(), 'saved-'));
const model = makeModel();
const { x, y } = makeData();
await model.fit(x, y, { verbose: 0 });
await model.save(`file://${folder}/model`, { includeOptimizer: true });
const loaded = await tfl.loadLayersModel(`file://${folder}/model`);
const difference = tf.max(tf.abs(tf.sub(model.predict(x), loaded.predict(x)))).dataSync()[0];
if (difference !== 0) throw new Error(`the loaded model differs by ${difference}`);
for (const each of [model, loaded]) fuseLoss(each);
const [{ history: here }, { history: there }] = [await model.fit(x, y, fixed()), await loaded.fit(x, y, fixed())];
if (here.loss[0] !== there.loss[0]) throw new Error(`trained on, ${here.loss} and ${there.loss}`);
rmSync(folder, { recursive: true });
console.log(JSON.stringify(result));

function fixed() {
  return { shuffle: false, verbose: 0 };
}
