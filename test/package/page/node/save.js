// A trained model as files, for a page to load, and what it says about the data.

import * as tf from '@tensorflow/tfjs-core';
import { optimizers, topKast } from 'tfjs-sparse';
import { makeData, makeModel } from '../train.js';

await tf.setBackend('cpu');
const model = makeModel();
model.compile({ optimizer: optimizers.momentum(0.1, 0.9), loss: 'categoricalCrossentropy' });
const { x, y } = makeData();
await model.fit(x, y, { epochs: 2, shuffle: false, verbose: 0, callbacks: [topKast()] });
await model.save(`file://${process.argv[2]}`, { includeOptimizer: true });
console.log(JSON.stringify([...model.predict(x).dataSync()]));
