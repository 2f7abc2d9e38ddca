import * as tf from '@tensorflow/tfjs-core';
import { topKast } from 'tfjs-sparse';
import { serve } from 'tfjs-sparse/worker';
import { inside, makeData, makeModel } from '../train.js';

await tf.setBackend('cpu');
serve({
  build: ({ density }) => ({ model: makeModel(density), callbacks: [topKast()] }),
  data: makeData,
  functions: { inside },
});
