// Models on disk: where they may be, what may be wrong with them, and writing them whole.

import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type LayersModel, loadLayersModel } from '@tensorflow/tfjs-layers';
import { FileError } from '../errors.js';
import { writeNewFolder } from '../files/atomic.js';
import { artifactsOf, modelFiles } from '../files/model_files.js';

/** Loads a model from its folder, its model.json, or the folder of a run. Whatever is wrong with it is a FileError that names the file. */
export async function loadModel(path: string): Promise<LayersModel> {
  const file = await findModel(path);
  try {
    return await loadLayersModel(pathToFileURL(resolve(file)).href);
  } catch (cause) {
    if (cause instanceof FileError) throw cause;
    throw new FileError(`${file}: cannot be loaded as a layers model: ${oneLine(cause instanceof Error ? cause.message : String(cause))}`, {
      cause,
    });
  }
}

async function findModel(path: string): Promise<string> {
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    throw new FileError(`${path}: cannot be read (${cause.code})`, { cause });
  });
  if (found.isFile()) {
    if (!path.endsWith('.json')) throw new FileError(`${path}: expected a folder or a model.json, received another file`);
    return path;
  }
  for (const file of [join(path, 'model.json'), join(path, 'model', 'model.json')]) {
    const inside = await stat(file).catch(() => undefined);
    if (inside?.isFile()) return file;
  }
  throw new FileError(`${path}: expected a folder with a model.json, or that of a run with model/model.json, received one without`);
}

/** tfjs's messages may have lines, and end with whole lists of weights. */
function oneLine(message: string): string {
  const line = message.replace(/\s+/g, ' ');
  return line.length <= 300 ? line : `${line.slice(0, 300)}…`;
}

/** The files of a saved model by name, with its optimizer if it has one. */
export async function filesOf(model: LayersModel): Promise<Record<string, string | Uint8Array>> {
  return modelFiles(await artifactsOf(model, model.optimizer !== undefined));
}

/** Writes a model's folder, which must be new or empty, whole or not at all. */
export async function saveModel(folder: string, model: LayersModel): Promise<void> {
  await writeNewFolder(folder, await filesOf(model));
}
