// `file://` for `model.save` and `tf.loadLayersModel` on Node, where tfjs itself has no handler for it.

import { readFile, rm } from 'node:fs/promises';
import * as paths from 'node:path';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import { FileError } from '../errors.js';
import { writeInto } from './atomic.js';
import { modelFiles } from './model_files.js';

const SCHEME = 'file://';

/** Both `file:///absolute` and tfjs-node's `file://relative` or `file://./relative`. */
function pathOf(url: string): string {
  return resolve(url.startsWith(`${SCHEME}/`) ? fileURLToPath(url) : url.slice(SCHEME.length));
}

/** Names for weights, in turn. */
const WEIGHTS = ['weights.bin', 'weights.2.bin'];

/** Saves under way, by folder: each waits for the one before, which would write the same files. */
const saves = new Map<string, Promise<unknown>>();

/** The folder with `model.json` and `weights.bin`, in tfjs's own format; `path` is the folder or its `model.json`. What else is in it stays. */
class FolderHandler implements tf.io.IOHandler {
  readonly path: string;
  /** Loading takes any name. */
  readonly file: string;

  constructor(path: string) {
    this.path = basename(path) === 'model.json' ? dirname(path) : path;
    this.file = path.endsWith('.json') ? path : join(path, 'model.json');
  }

  async save(artifacts: tf.io.ModelArtifacts): Promise<tf.io.SaveResult> {
    const { path } = this;
    const save = (saves.get(path) ?? Promise.resolve()).then(() => this.#save(artifacts));
    const over: Promise<unknown> = save.catch(() => {}).then(() => saves.get(path) === over && saves.delete(path));
    saves.set(path, over);
    return save;
  }

  async #save(artifacts: tf.io.ModelArtifacts): Promise<tf.io.SaveResult> {
    const before = await weightsOf(join(this.path, 'model.json'));
    // The model that is there keeps its weights until `model.json` names others: there is a whole one at any moment.
    const [weights, other] = before.includes(WEIGHTS[0]) ? [...WEIGHTS].reverse() : WEIGHTS;
    await writeInto(this.path, modelFiles(artifacts, weights));
    if (before.includes(other)) await rm(join(this.path, other), { force: true });
    return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(artifacts) };
  }

  async load(): Promise<tf.io.ModelArtifacts> {
    const { file } = this;
    const json = parseModel(file, await read(file));
    return tf.io.getModelArtifactsForJSON(json, async (manifest) => {
      const folder = dirname(file);
      const parts: Uint8Array[] = [];
      for (const path of manifest.flatMap((group) => group.paths)) {
        const part = resolve(folder, path);
        if (!liesIn(folder, part)) throw new FileError(`${file}: its weights lie outside its folder: ${path}`);
        parts.push(await read(part));
      }
      const specs = manifest.flatMap((group) => group.weights);
      const received = parts.reduce((sum, part) => sum + part.length, 0);
      const expected = specs.reduce((sum, spec) => sum + bytesOf(file, spec), 0);
      if (received !== expected) {
        throw new FileError(
          `${file}: expected ${expected} bytes of weights, received ${received}; the copy is incomplete or not of this model`,
        );
      }
      const data = new Uint8Array(received);
      let at = 0;
      for (const part of parts) {
        data.set(part, at);
        at += part.length;
      }
      return [specs, data.buffer];
    });
  }
}

/** What differs between systems; node:path's own type would ask every user for Node's types. */
interface Paths {
  relative(from: string, to: string): string;
  isAbsolute(path: string): boolean;
  readonly sep: string;
}

/** Whether a path leads into a folder. `on`: the system whose paths these are. */
export function liesIn(folder: string, path: string, on: Paths = paths): boolean {
  const way = on.relative(folder, path);
  // Between two drives of Windows there is no relative way.
  return !on.isAbsolute(way) && way !== '..' && !way.startsWith(`..${on.sep}`);
}

/** The files that a saved model names as its weights; none where there is no such model. */
async function weightsOf(file: string): Promise<string[]> {
  try {
    return parseModel(file, await read(file)).weightsManifest.flatMap(({ paths }) => paths);
  } catch {
    return [];
  }
}

async function read(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new FileError(`${file}: cannot be read (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
}

function parseModel(file: string, bytes: Uint8Array): tf.io.ModelJSON {
  let json: tf.io.ModelJSON;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new FileError(`${file}: expected JSON, received ${(cause as Error).message}`, { cause });
  }
  const groups = json?.weightsManifest;
  if (!json?.modelTopology || !Array.isArray(groups)) {
    throw new FileError(`${file}: expected a saved tfjs model with modelTopology and weightsManifest`);
  }
  const listed = (paths: unknown) => Array.isArray(paths) && paths.every((path) => typeof path === 'string');
  const bad = groups.findIndex((group) => !listed(group?.paths) || !Array.isArray(group.weights));
  if (bad >= 0) throw new FileError(`${file}: expected paths and weights in weightsManifest[${bad}]`);
  return json;
}

function bytesOf(file: string, { name, shape, dtype, quantization }: tf.io.WeightsManifestEntry): number {
  const size = shape.reduce((a, b) => a * b, 1);
  const widths: Record<string, number> = { float32: 4, int32: 4, bool: 1, complex64: 8, uint8: 1, uint16: 2, float16: 2 };
  const width = widths[quantization?.dtype ?? dtype];
  if (!width) throw new FileError(`${file}: weights of type ${dtype}, ${name}, cannot be read`);
  return size * width;
}

function router(url: string | string[]): tf.io.IOHandler {
  // Two handlers for one URL are an error in tfjs: where tfjs-node is present, its own serves.
  const taken = tf.findBackend('tensorflow') != null;
  const ours = typeof url === 'string' && url.startsWith(SCHEME) && !taken;
  return ours ? new FolderHandler(pathOf(url)) : NOT_OURS;
}

/** tfjs tries the next router on null, which its type does not admit. */
const NOT_OURS = null as unknown as tf.io.IOHandler;

tf.io.registerSaveRouter(router);
tf.io.registerLoadRouter(router);
