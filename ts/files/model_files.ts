// A model as the two files that tfjs's own handlers write.

import * as tf from '@tensorflow/tfjs-core';
import { FileError } from '../errors.js';

/** `model.json` and `weights.bin`, by name. */
export function modelFiles({ weightSpecs, weightData, ...rest }: tf.io.ModelArtifacts): Record<string, string | Uint8Array> {
  if (!weightSpecs || !weightData) throw new FileError('the model has no weights to save');
  const weightsManifest = [{ paths: ['weights.bin'], weights: weightSpecs }];
  return {
    'model.json': JSON.stringify({ ...rest, weightsManifest }),
    'weights.bin': new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData)),
  };
}
