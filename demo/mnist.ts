// MNIST as the page's site serves it: gzipped IDX files, the training images in parts.

import { parseIdx } from '../ts/cli/idx_bytes.js';
import { FileError } from '../ts/errors.js';

export const PART = 10_000;
export const TEST_IMAGES = 10_000;
/** Pixels of a row, and rows. */
export const SIDE = 28;
export const FEATURES = SIDE * SIDE;

export interface Images {
  /** `[count·784]`, 0 to 255. */
  images: Uint8Array;
  labels: Uint8Array;
}

async function idx(url: URL, rank: number): Promise<Uint8Array> {
  const name = url.pathname.split('/').at(-1) as string;
  const response = await fetch(url).catch((cause: Error) => {
    throw new FileError(`${name}: cannot be loaded (${cause.message}); offline, before it was loaded once?`, { cause });
  });
  if (!response.ok || !response.body) throw new FileError(`${name}: expected the data, received HTTP status ${response.status}`);
  const bytes = await new Response(response.body.pipeThrough(new DecompressionStream('gzip'))).arrayBuffer().catch((cause: Error) => {
    throw new FileError(`${name}: expected gzip data, received a broken or half-downloaded file (${cause.message}); try again`, { cause });
  });
  return parseIdx(name, new Uint8Array(bytes), rank).data;
}

/** The first `count` training images, or test images. `base` is the address of the folder. */
export async function loadMnist(base: string, set: 'train' | 'test', count: number): Promise<Images> {
  const parts = Array.from({ length: Math.ceil(count / PART) }, (_, i) => i);
  const file = (name: string) => new URL(`${name}.bin`, base);
  const [labels, ...images] = await Promise.all([
    idx(file(`${set}-labels`), 1),
    ...parts.map((part) => idx(file(`${set}-images-${part}`), 3)),
  ]);
  const all = new Uint8Array(count * FEATURES);
  images.forEach((part, i) => void all.set(part.subarray(0, all.length - i * PART * FEATURES), i * PART * FEATURES));
  return { images: all, labels: labels.subarray(0, count) };
}
