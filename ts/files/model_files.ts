// What a model saves, and the two files that tfjs's own handlers make of it.

import * as tf from '@tensorflow/tfjs-core';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { FileError } from '../errors.js';

/** What `model.save` would save, with the state of its optimizer if that is asked for. */
export async function artifactsOf(model: Pick<LayersModel, 'save'>, includeOptimizer: boolean): Promise<tf.io.ModelArtifacts> {
  let found: tf.io.ModelArtifacts | undefined;
  const handler = tf.io.withSaveHandler(async (artifacts) => {
    found = artifacts;
    return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(artifacts) };
  });
  await model.save(handler, { includeOptimizer });
  return found as tf.io.ModelArtifacts;
}

/** The weights, and `model.json`, which names them, by name. */
export function modelFiles(
  { weightSpecs, weightData, ...rest }: tf.io.ModelArtifacts,
  weights = 'weights.bin',
): Record<string, string | Uint8Array> {
  if (!weightSpecs || !weightData) throw new FileError('the model has no weights to save');
  const weightsManifest = [{ paths: [weights], weights: weightSpecs }];
  return {
    [weights]: new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData)),
    'model.json': JSON.stringify({ ...rest, weightsManifest }),
  };
}
