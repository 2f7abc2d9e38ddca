// Small data sets in IDX files: bright pixels in one of four quarters, which is the class.

import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Random } from '../../ts/pattern/random.js';

export function idx(dims: number[], data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * dims.length + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x0800 | dims.length);
  dims.forEach((dim, i) => {
    view.setUint32(4 + 4 * i, dim);
  });
  bytes.set(data, 4 + 4 * dims.length);
  return bytes;
}

export function quarters(count: number, seed: number, side = 8): { images: Uint8Array; labels: Uint8Array } {
  const random = new Random(seed);
  const labels = Uint8Array.from({ length: count }, () => random.below(4));
  const images = new Uint8Array(count * side ** 2);
  labels.forEach((label, i) => {
    for (let pixel = 0; pixel < side ** 2; pixel++) {
      const quarter = 2 * Number(pixel >= side ** 2 / 2) + Number(pixel % side >= side / 2);
      images[i * side ** 2 + pixel] = random.below(100) + (quarter === label ? 120 : 0);
    }
  });
  return { images, labels };
}

/** A folder with the four files of images `side`×`side`; `change` may spoil some. */
export async function dataFolder(
  change: (files: Record<string, Uint8Array>) => void = () => {},
  zipped = false,
  side = 8,
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'idx-'));
  const files: Record<string, Uint8Array> = {};
  for (const [prefix, count, seed] of [
    ['train', 400, 1],
    ['t10k', 100, 2],
  ] as const) {
    const { images, labels } = quarters(count, seed, side);
    files[`${prefix}-images-idx3-ubyte`] = idx([count, side, side], images);
    files[`${prefix}-labels-idx1-ubyte`] = idx([count], labels);
  }
  change(files);
  await mkdir(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) {
    await writeFile(join(folder, zipped ? `${name}.gz` : name), zipped ? gzipSync(bytes) : bytes);
  }
  return folder;
}
