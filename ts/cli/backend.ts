// Starting a backend of tfjs that the user may or may not have installed.

import * as tf from '@tensorflow/tfjs-core';
import { FileError } from '../errors.js';
// file://, the wasm, and the layers' class names.
import '../index.js';

export type BackendName = 'wasm' | 'cpu';

export async function useBackend(name: BackendName): Promise<void> {
  tf.enableProdMode();
  const module = `@tensorflow/tfjs-backend-${name}`;
  await import(module).catch((cause) => {
    throw new FileError(`--backend ${name}: the package ${module} is not installed; npm install ${module}`, { cause });
  });
  // A backend that cannot start makes setBackend resolve to false, without an error.
  if (!(await tf.setBackend(name))) throw new FileError(`--backend ${name}: tfjs cannot start it here`);
}

/** Starts wasm, or cpu where that is the one installed. */
export async function useInstalledBackend(): Promise<BackendName> {
  try {
    await useBackend('wasm');
    return 'wasm';
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    await useBackend('cpu');
    return 'cpu';
  }
}
